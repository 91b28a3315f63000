/*
 * eio_inbox_test.c - what all sessions of a server hold of packets that are not all there is bounded: over WebSocket, by frames
 * and by fragments, over polling, and by what the layer above keeps.
 */
#include "base/tests/testing.h"
#include "client_frames.h"
#include "wire/eio.h"

#include <stdlib.h>

enum { UNIT = 100, ALL = 1000, PAYLOAD_MAX = 800, SESSIONS = 3 };

/* A session, and what it has read and not taken. */
struct holder {
    struct eio_session session;
    struct buf unread;
    size_t held; /* by the layer above */
    unsigned closes;
    enum eio_close_reason reason;
};

static struct holder holders[SESSIONS];
static struct timers timers;
static struct eio_waits waits;
static struct eio_inboxes inboxes;
static struct eio_settings settings;

static struct holder *holder_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct holder, session);
}

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    (void)binary, (void)now_ms;
    if (bytes_start_with(message, BYTES("keep"))) {
        holder_of(session)->held += message.len;
    }
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms)
{
    (void)now_ms;
    struct holder *holder = holder_of(session);
    holder->held = 0;
    holder->closes++;
    holder->reason = reason;
}

static void on_output(struct eio_session *session)
{
    (void)session;
}

static size_t held(struct eio_session *session)
{
    return holder_of(session)->held;
}

static void open_all(enum eio_transport transport)
{
    timers_init(&timers);
    eio_waits_init(&waits, &timers);
    inboxes = (struct eio_inboxes){.bytes_max = ALL, .unit_bytes = UNIT};
    settings = (struct eio_settings){
        .ping_interval_ms = 1000,
        .ping_timeout_ms = 1000,
        .payload_bytes_max = PAYLOAD_MAX,
        .outbox_bytes_max = 4096,
        .waits = &waits,
        .inboxes = &inboxes,
        .callbacks = {.on_message = on_message,
                      .on_close = on_close,
                      .on_output = on_output,
                      .held = held},
    };
    for (size_t i = 0; i < SESSIONS; i++) {
        holders[i] = (struct holder){0};
        char sid[EIO_SID_BYTES + 1] = "abcdefghij0123456789";
        sid[0] = (char)('a' + i);
        eio_session_open(&holders[i].session, &settings, sid, transport, 0);
    }
}

static void close_all(void)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        eio_session_transport_closed(&holders[i].session, 0);
        eio_session_release(&holders[i].session);
        buf_release(&holders[i].unread);
    }
    assert_int_equal(inboxes.bytes, 0);
    timers_release(&timers);
}

/* Hands over what is unread and @bytes, as whoever has the socket does. */
static void receive(struct holder *holder, struct bytes bytes)
{
    buf_append_bytes(&holder->unread, bytes);
    buf_consume(&holder->unread,
                eio_session_receive(&holder->session, holder->unread.data, holder->unread.len, 0));
}

/* The beginning of a frame that announces more: @len bytes of it in all. */
static void begin_frame(struct holder *holder, size_t len)
{
    char payload[PAYLOAD_MAX] = {0};
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_BINARY, bytes_of(payload, sizeof(payload)));
    receive(holder, bytes_of(frame.data, len));
    buf_release(&frame);
}

static void fragment(struct holder *holder, enum ws_opcode opcode, unsigned fin, size_t len)
{
    char payload[PAYLOAD_MAX] = {0};
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, fin | opcode, bytes_of(payload, len));
    receive(holder, buf_bytes(&frame));
    buf_release(&frame);
}

static bool is_closed_for_it(const struct holder *holder)
{
    return holder->closes == 1 && holder->reason == EIO_CLOSE_INBOX_FULL;
}

TEST(who_makes_them_overflow_is_closed_and_gives_back_all_of_it)
{
    open_all(EIO_WEBSOCKET);
    begin_frame(&holders[0], 500);
    begin_frame(&holders[1], 500);
    assert_int_equal(inboxes.bytes, ALL);
    begin_frame(&holders[2], UNIT);
    CHECK(is_closed_for_it(&holders[2]));
    assert_int_equal(holders[2].unread.len, 0);
    assert_int_equal(inboxes.bytes, ALL);
    CHECK(holders[0].closes == 0 && holders[1].closes == 0);
    close_all();
}

TEST(who_holds_less_than_a_unit_does_not_count)
{
    open_all(EIO_WEBSOCKET);
    begin_frame(&holders[0], 500);
    begin_frame(&holders[1], 500);
    begin_frame(&holders[2], UNIT - 1);
    assert_int_equal(inboxes.bytes, ALL);
    assert_int_equal(holders[2].closes, 0);
    close_all();
}

TEST(a_packet_that_is_all_there_counts_no_longer)
{
    open_all(EIO_WEBSOCKET);
    begin_frame(&holders[0], 500);
    assert_int_equal(inboxes.bytes, 500);
    char rest[PAYLOAD_MAX + WS_CLIENT_HEADER_MAX] = {0};
    receive(&holders[0], bytes_of(rest, PAYLOAD_MAX + 8 - 500)); /* its header has 8 bytes */
    assert_int_equal(inboxes.bytes, 0);
    assert_int_equal(holders[0].closes, 0);
    close_all();
}

TEST(fragments_count_as_frames_do)
{
    open_all(EIO_WEBSOCKET);
    fragment(&holders[0], WS_BINARY, 0, 400);
    fragment(&holders[0], WS_CONTINUATION, 0, 100);
    assert_int_equal(inboxes.bytes, 500);
    begin_frame(&holders[1], 500);
    fragment(&holders[0], WS_CONTINUATION, 0, 100);
    CHECK(is_closed_for_it(&holders[0]));
    assert_int_equal(inboxes.bytes, 500);
    /* Whoever ends its message, instead, is done. */
    fragment(&holders[2], WS_BINARY, 0, 400);
    fragment(&holders[2], WS_CONTINUATION, CLIENT_FIN, 100);
    assert_int_equal(inboxes.bytes, 500);
    assert_int_equal(holders[2].closes, 0);
    close_all();
}

TEST(what_the_layer_above_keeps_counts_over_polling_too)
{
    open_all(EIO_POLLING);
    char body[PAYLOAD_MAX] = "4keep";
    memset(body + 5, 'x', sizeof(body) - 5);
    CHECK(eio_session_post(&holders[0].session, bytes_of(body, 501), 0) == EIO_POST_OK);
    CHECK(eio_session_post(&holders[1].session, bytes_of(body, 501), 0) == EIO_POST_OK);
    assert_int_equal(inboxes.bytes, ALL);
    CHECK(eio_session_post(&holders[2].session, bytes_of(body, 501), 0) == EIO_POST_REFUSED);
    CHECK(is_closed_for_it(&holders[2]));
    assert_int_equal(inboxes.bytes, ALL);
    close_all();
}

TEST_MAIN(cmocka_unit_test(who_makes_them_overflow_is_closed_and_gives_back_all_of_it),
          cmocka_unit_test(who_holds_less_than_a_unit_does_not_count),
          cmocka_unit_test(a_packet_that_is_all_there_counts_no_longer),
          cmocka_unit_test(fragments_count_as_frames_do),
          cmocka_unit_test(what_the_layer_above_keeps_counts_over_polling_too))
