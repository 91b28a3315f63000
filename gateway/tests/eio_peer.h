/*
 * eio_peer.h - a session over polling with a server around it, as the tests of polling and of upgrades need it: what
 * was called back, and GETs, POSTs and WebSockets as a client makes them.
 */
#ifndef PARLEY_TESTS_EIO_PEER_H
#define PARLEY_TESTS_EIO_PEER_H

#include "base/tests/testing.h"
#include "client_frames.h"
#include "wire/eio_probe.h"

#include <stdlib.h>

enum {
    PING_INTERVAL = 300,
    PING_TIMEOUT = 200,
    UPGRADE_TIMEOUT = 10000,
    PAYLOAD_MAX = 1000,
    OUTBOX_MAX = 4096,
    ANSWER_MAX = 100000, /* of a GET, unless a test says otherwise */
    START = 1000,
};

struct peer {
    struct eio_session session;
    struct timers timers;
    struct eio_waits waits;
    struct eio_settings settings;
    struct buf received; /* messages, each followed by '|', binary ones in <> */
    struct buf frames;   /* the user's own */
    unsigned closes, outputs, upgrades;
    enum eio_close_reason reason;
    uint64_t now_ms;
    enum { DO_NOTHING, DO_CLOSE, DO_ECHO, DO_FLOOD } reaction; /* of on_message */
};

static inline struct peer *peer_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct peer, session);
}

static inline void peer_on_message(struct eio_session *session, struct bytes message, bool binary,
                                   uint64_t now_ms)
{
    struct peer *peer = peer_of(session);
    CHECK(now_ms == peer->now_ms && peer->closes == 0);
    buf_append_bytes(&peer->received, binary ? BYTES("<") : BYTES(""));
    buf_append_bytes(&peer->received, message);
    buf_append_bytes(&peer->received, binary ? BYTES(">|") : BYTES("|"));
    if (peer->reaction == DO_CLOSE) {
        eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    } else if (peer->reaction == DO_ECHO) {
        eio_session_send(session, message, binary);
    } else if (peer->reaction == DO_FLOOD) {
        for (int i = 0; i < OUTBOX_MAX; i++) {
            eio_session_send(session, message, binary);
        }
    }
}

static inline void peer_on_close(struct eio_session *session, enum eio_close_reason reason,
                                 uint64_t now_ms)
{
    struct peer *peer = peer_of(session);
    CHECK(now_ms == peer->now_ms && session->state != EIO_STATE_OPEN);
    peer->closes++;
    peer->reason = reason;
}

static inline void peer_on_output(struct eio_session *session)
{
    peer_of(session)->outputs++;
}

static inline size_t peer_peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max)
{
    struct peer *peer = peer_of(session);
    CHECK(session->state == EIO_STATE_OPEN && iov_max > 0);
    *ret_iov = (struct iovec){peer->frames.data, peer->frames.len};
    return peer->frames.len > 0 ? 1 : 0;
}

/* Over polling only whole frames are ever taken. */
static inline void peer_advance(struct eio_session *session, size_t written)
{
    struct peer *peer = peer_of(session);
    struct bytes rest = buf_bytes(&peer->frames), payload;
    enum ws_opcode opcode;
    while (peer->frames.len - rest.len < written) {
        CHECK(server_take_frame(&rest, &opcode, &payload));
    }
    CHECK(peer->frames.len - rest.len == written);
    buf_consume(&peer->frames, written);
}

static inline void peer_on_upgraded(struct eio_session *session, struct eio_probe *probe,
                                    uint64_t now_ms)
{
    CHECK(session->transport == EIO_WEBSOCKET && probe->state == EIO_PROBE_UPGRADED);
    CHECK(now_ms == peer_of(session)->now_ms);
    peer_of(session)->upgrades++;
}

static inline struct peer *peer_new_with(enum eio_transport transport)
{
    struct peer *peer = mem_alloc_zeroed(sizeof(*peer));
    timers_init(&peer->timers);
    eio_waits_init(&peer->waits, &peer->timers);
    peer->settings = (struct eio_settings){
        .ping_interval_ms = PING_INTERVAL,
        .ping_timeout_ms = PING_TIMEOUT,
        .upgrade_timeout_ms = UPGRADE_TIMEOUT,
        .payload_bytes_max = PAYLOAD_MAX,
        .outbox_bytes_max = OUTBOX_MAX,
        .waits = &peer->waits,
        .callbacks = {.on_message = peer_on_message,
                      .on_close = peer_on_close,
                      .on_output = peer_on_output,
                      .peek = peer_peek,
                      .advance = peer_advance,
                      .on_upgraded = peer_on_upgraded},
    };
    peer->now_ms = START;
    eio_session_open(&peer->session, &peer->settings, "abcdefghij0123456789", transport,
                     peer->now_ms);
    return peer;
}

/* Ends the session, unless it has ended, and checks that it leaves nothing behind. */
static inline void peer_free(struct peer *peer)
{
    eio_session_transport_closed(&peer->session, peer->now_ms);
    assert_int_equal(peer->closes, 1);
    eio_session_release(&peer->session);
    assert_int_equal(timers_next_due(&peer->timers), TIMER_NEVER);
    timers_release(&peer->timers);
    buf_release(&peer->received);
    buf_release(&peer->frames);
    free(peer);
}

static inline void run(struct peer *peer, uint64_t now_ms)
{
    peer->now_ms = now_ms;
    timers_run(&peer->timers, now_ms);
}

/* A GET is answered with @payload; NULL: it waits. */
static inline void expect_answer_within(struct peer *peer, size_t bytes_max, const char *payload)
{
    struct buf out = BUF_INIT;
    buf_append_char(&out, '~'); /* what is in front stays */
    bool is_answered = eio_session_poll(&peer->session, &out, bytes_max, peer->now_ms);
    CHECK(is_answered == (payload != NULL) && out.data[0] == '~');
    CHECK_TEXT(bytes_skip(buf_bytes(&out), 1), payload != NULL ? payload : "");
    buf_release(&out);
}

static inline void expect_answer(struct peer *peer, const char *payload)
{
    expect_answer_within(peer, ANSWER_MAX, payload);
}

static inline void expect_post(struct peer *peer, struct bytes body, enum eio_post_result result)
{
    assert_int_equal(eio_session_post(&peer->session, body, peer->now_ms), result);
}

static inline void post(struct peer *peer, const char *body)
{
    expect_post(peer, bytes_of_string(body), EIO_POST_OK);
}

static inline void send_text(struct peer *peer, const char *message)
{
    eio_session_send(&peer->session, bytes_of_string(message), false);
}

/* A polling session whose open packet was fetched. */
static inline struct peer *peer_new(void)
{
    struct peer *peer = peer_new_with(EIO_POLLING);
    struct buf out = BUF_INIT;
    CHECK(eio_session_poll(&peer->session, &out, ANSWER_MAX, peer->now_ms));
    buf_release(&out);
    return peer;
}

#endif
