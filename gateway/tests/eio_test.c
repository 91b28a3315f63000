#include "base/tests/testing.h"
#include "client_frames.h"
#include "wire/eio.h"

#include <stdlib.h>

enum {
    PING_INTERVAL = 300,
    PING_TIMEOUT = 200,
    PAYLOAD_MAX = 1000,
    OUTBOX_MAX = 4096,
    START = 1000
};

static const char SID[] = "abcdefghij0123456789";
static_assert(sizeof(SID) - 1 == EIO_SID_BYTES, "a whole sid");

/* A session with a socket: what was called back, and what went out. */
struct peer {
    struct eio_session session;
    struct timers timers;
    struct eio_waits waits;
    struct eio_settings settings;
    struct buf received; /* messages, each followed by '|', binary ones in <> */
    struct buf sent;     /* bytes that went out, without the frames that a test has looked at */
    unsigned closes, outputs;
    enum eio_close_reason reason;
    uint64_t now_ms;
    /* What on_message does besides. */
    enum { DO_NOTHING, DO_CLOSE, DO_ECHO, DO_FLOOD } reaction;
    /* The user's own frames: a text that is not in the outbox. */
    struct buf frames;
};

static struct peer *peer_of(struct eio_session *session)
{
    return CONTAINER_OF(session, struct peer, session);
}

static void on_message(struct eio_session *session, struct bytes message, bool binary,
                       uint64_t now_ms)
{
    struct peer *peer = peer_of(session);
    CHECK(now_ms == peer->now_ms && peer->closes == 0);
    buf_append_bytes(&peer->received, binary ? BYTES("<") : BYTES(""));
    buf_append_bytes(&peer->received, message);
    buf_append_bytes(&peer->received, binary ? BYTES(">|") : BYTES("|"));
    switch (peer->reaction) {
    case DO_NOTHING: break;
    case DO_CLOSE: eio_session_close(session, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms); break;
    case DO_ECHO: eio_session_send(session, message, binary); break;
    case DO_FLOOD:
        for (int i = 0; i < OUTBOX_MAX; i++) {
            eio_session_send(session, message, binary);
        }
    }
}

static void on_close(struct eio_session *session, enum eio_close_reason reason, uint64_t now_ms)
{
    struct peer *peer = peer_of(session);
    CHECK(now_ms == peer->now_ms);
    CHECK(session->state != EIO_STATE_OPEN);
    peer->closes++;
    peer->reason = reason;
}

static void on_output(struct eio_session *session)
{
    peer_of(session)->outputs++;
}

static size_t peek(struct eio_session *session, struct iovec *ret_iov, size_t iov_max)
{
    struct peer *peer = peer_of(session);
    CHECK(session->state == EIO_STATE_OPEN && iov_max > 0);
    if (peer->frames.len == 0) {
        return 0;
    }
    *ret_iov = (struct iovec){peer->frames.data, peer->frames.len};
    return 1;
}

/* Takes the frames of which something was written; the rest of the last one goes through the
 * outbox. */
static void advance(struct eio_session *session, size_t written)
{
    struct peer *peer = peer_of(session);
    struct bytes rest = buf_bytes(&peer->frames), payload;
    enum ws_opcode opcode;
    while (peer->frames.len - rest.len < written) {
        CHECK(server_take_frame(&rest, &opcode, &payload));
    }
    size_t taken = peer->frames.len - rest.len;
    CHECK(session->outbox.len == 0);
    if (taken > written) {
        buf_append(eio_session_begin_write(session), peer->frames.data + written, taken - written);
        eio_session_end_write(session);
    }
    buf_consume(&peer->frames, taken);
}

static struct peer *peer_new(void)
{
    struct peer *peer = mem_alloc_zeroed(sizeof(*peer));
    timers_init(&peer->timers);
    eio_waits_init(&peer->waits, &peer->timers);
    peer->settings = (struct eio_settings){
        .ping_interval_ms = PING_INTERVAL,
        .ping_timeout_ms = PING_TIMEOUT,
        .payload_bytes_max = PAYLOAD_MAX,
        .outbox_bytes_max = OUTBOX_MAX,
        .waits = &peer->waits,
        .callbacks = {.on_message = on_message,
                      .on_close = on_close,
                      .on_output = on_output,
                      .peek = peek,
                      .advance = advance},
    };
    peer->now_ms = START;
    eio_session_open(&peer->session, &peer->settings, SID, EIO_WEBSOCKET, peer->now_ms);
    return peer;
}

static void peer_free(struct peer *peer)
{
    eio_session_transport_closed(&peer->session, peer->now_ms);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(timers_next_due(&peer->timers), TIMER_NEVER);
    eio_session_release(&peer->session);
    timers_release(&peer->timers);
    buf_release(&peer->received);
    buf_release(&peer->sent);
    buf_release(&peer->frames);
    free(peer);
}

/* Writes up to @max bytes of what the session has. */
static void write_some(struct peer *peer, size_t max)
{
    struct iovec iov[4];
    size_t count = eio_session_peek(&peer->session, iov, COUNT_OF(iov));
    size_t written = 0;
    for (size_t i = 0; i < count && written < max; i++) {
        size_t len = MIN_OF(iov[i].iov_len, max - written);
        buf_append(&peer->sent, iov[i].iov_base, len);
        written += len;
    }
    eio_session_advance(&peer->session, written);
}

/* Writes all and takes one frame of it. */
static void expect_frame(struct peer *peer, enum ws_opcode opcode, struct bytes payload)
{
    write_some(peer, SIZE_MAX);
    struct bytes frames = buf_bytes(&peer->sent), found = {0};
    enum ws_opcode found_opcode = WS_CONTINUATION;
    CHECK(server_take_frame(&frames, &found_opcode, &found));
    assert_int_equal(found_opcode, opcode);
    CHECK(bytes_equal(found, payload));
    buf_consume(&peer->sent, peer->sent.len - frames.len);
}

static void expect_silence(struct peer *peer)
{
    write_some(peer, SIZE_MAX);
    assert_int_equal(peer->sent.len, 0);
}

static void skip_open_packet(struct peer *peer)
{
    write_some(peer, SIZE_MAX);
    buf_release(&peer->sent);
}

static void run(struct peer *peer, uint64_t now_ms)
{
    peer->now_ms = now_ms;
    timers_run(&peer->timers, now_ms);
}

static void receive_frame(struct peer *peer, unsigned first, struct bytes payload)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, first, payload);
    assert_int_equal(eio_session_receive(&peer->session, frame.data, frame.len, peer->now_ms),
                     frame.len);
    buf_release(&frame);
}

static void receive(struct peer *peer, const char *packet)
{
    receive_frame(peer, CLIENT_FIN | WS_TEXT, bytes_of_string(packet));
}

static void expect_closed(struct peer *peer, enum eio_close_reason reason,
                          struct bytes close_payload)
{
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, reason);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSING);
    expect_frame(peer, WS_CLOSE, close_payload);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    expect_silence(peer);
}

TEST(a_session_opens_with_the_five_keys_of_the_handshake)
{
    struct peer *peer = peer_new();
    CHECK(peer->outputs > 0);
    expect_frame(peer, WS_TEXT,
                 BYTES("0{\"sid\":\"abcdefghij0123456789\",\"upgrades\":[],\"pingInterval\":300,"
                       "\"pingTimeout\":200,\"maxPayload\":1000}"));
    CHECK(peer->session.outbox.data == NULL); /* an idle session owns no heap */
    CHECK(peer->session.reader.fragments == NULL);
    peer_free(peer);
}

TEST(messages_come_in_and_go_out)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    peer->reaction = DO_ECHO;
    receive(peer, "4hello");
    receive(peer, "4");
    receive_frame(peer, CLIENT_FIN | WS_BINARY, BYTES("\x01\x02"));
    CHECK_TEXT(buf_bytes(&peer->received), "hello||<\x01\x02>|");
    expect_frame(peer, WS_TEXT, BYTES("4hello"));
    expect_frame(peer, WS_TEXT, BYTES("4"));
    expect_frame(peer, WS_BINARY, BYTES("\x01\x02"));
    expect_silence(peer);
    peer_free(peer);
}

TEST(a_message_may_come_byte_by_byte)
{
    struct peer *peer = peer_new();
    struct buf in = BUF_INIT;
    client_append_frame(&in, WS_TEXT, BYTES("4he"));
    client_append_frame(&in, CLIENT_FIN | WS_CONTINUATION, BYTES("llo"));
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("4you"));
    struct buf waiting = BUF_INIT;
    for (size_t i = 0; i < in.len; i++) {
        buf_append_char(&waiting, in.data[i]);
        buf_consume(&waiting,
                    eio_session_receive(&peer->session, waiting.data, waiting.len, peer->now_ms));
    }
    assert_int_equal(waiting.len, 0);
    CHECK_TEXT(buf_bytes(&peer->received), "hello|you|");
    CHECK(peer->session.reader.fragments == NULL);
    buf_release(&in);
    peer_free(peer);
}

TEST(the_server_pings_an_interval_after_open_and_after_each_pong)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    run(peer, START + PING_INTERVAL - 1);
    expect_silence(peer);
    run(peer, START + PING_INTERVAL);
    expect_frame(peer, WS_TEXT, BYTES("2"));
    run(peer, START + PING_INTERVAL + PING_TIMEOUT - 1);
    receive(peer, "3");
    run(peer, START + 2 * PING_INTERVAL + PING_TIMEOUT - 2);
    expect_silence(peer);
    run(peer, START + 2 * PING_INTERVAL + PING_TIMEOUT - 1);
    expect_frame(peer, WS_TEXT, BYTES("2"));
    assert_int_equal(peer->closes, 0);
    peer_free(peer);
}

TEST(without_a_pong_the_session_closes_at_the_timeout_whatever_else_comes)
{
    struct peer *peer = peer_new();
    run(peer, START + PING_INTERVAL);
    run(peer, START + PING_INTERVAL + PING_TIMEOUT - 1);
    receive(peer, "4still here");
    assert_int_equal(peer->closes, 0);
    skip_open_packet(peer);
    run(peer, START + PING_INTERVAL + PING_TIMEOUT);
    expect_closed(peer, EIO_CLOSE_PING_TIMEOUT, BYTES("\x03\xE9"));
    peer_free(peer);
}

TEST(a_pong_that_nobody_asked_for_puts_the_next_ping_off)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    run(peer, START + 100);
    receive(peer, "3");
    run(peer, START + PING_INTERVAL);
    expect_silence(peer);
    run(peer, START + 100 + PING_INTERVAL);
    expect_frame(peer, WS_TEXT, BYTES("2"));
    peer_free(peer);
}

TEST(packets_that_no_client_may_send_close_the_session)
{
    static const char *const PACKETS[] = {"", "2", "2probe", "7", "a", "b4AQI=", "\x1e", " 4x"};
    for (size_t i = 0; i < COUNT_OF(PACKETS); i++) {
        struct peer *peer = peer_new();
        skip_open_packet(peer);
        receive(peer, PACKETS[i]);
        expect_closed(peer, EIO_CLOSE_PROTOCOL, BYTES("\x03\xEA"));
        assert_int_equal(peer->received.len, 0);
        peer_free(peer);
    }
}

TEST(packets_that_mean_nothing_on_a_websocket_are_ignored)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    receive(peer, "0");
    receive(peer, "5");
    receive(peer, "6");
    receive_frame(peer, CLIENT_FIN | WS_PONG, BYTES("x"));
    expect_silence(peer);
    assert_int_equal(peer->closes, 0);
    peer_free(peer);
}

TEST(a_close_packet_closes_the_session)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    receive(peer, "1");
    expect_closed(peer, EIO_CLOSE_PEER, BYTES("\x03\xE8"));
    peer_free(peer);
}

TEST(a_websocket_ping_is_answered_with_its_payload)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    receive_frame(peer, CLIENT_FIN | WS_PING, BYTES("abc"));
    expect_frame(peer, WS_PONG, BYTES("abc"));
    peer_free(peer);
}

TEST(a_close_frame_is_answered_once_and_nothing_behind_it_is_read)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    struct buf in = BUF_INIT;
    client_append_frame(&in, CLIENT_FIN | WS_CLOSE, BYTES("\x0B\xB8why"));
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("4late"));
    client_append_frame(&in, CLIENT_FIN | WS_CLOSE, BYTES(""));
    size_t len = in.len;
    assert_int_equal(eio_session_receive(&peer->session, in.data, in.len, peer->now_ms), len);
    buf_release(&in);
    expect_closed(peer, EIO_CLOSE_PEER, BYTES("\x0B\xB8"));
    assert_int_equal(peer->received.len, 0);
    receive(peer, "4later");
    expect_silence(peer);
    peer_free(peer);
}

TEST(faults_of_framing_are_told_with_their_codes)
{
    static const struct {
        unsigned first;
        struct bytes payload, close_payload;
    } CASES[] = {
        {CLIENT_FIN | WS_TEXT, {"4\xFF", 2}, {"\x03\xEF", 2}},
        {CLIENT_FIN | WS_CLOSE, {"\x03", 1}, {"\x03\xEA", 2}},
        {CLIENT_FIN | 0x40 | WS_TEXT, {"4", 1}, {"\x03\xEA", 2}},
        {CLIENT_FIN | WS_CLOSE, {"", 0}, {"", 0}},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct peer *peer = peer_new();
        skip_open_packet(peer);
        receive_frame(peer, CASES[i].first, CASES[i].payload);
        expect_closed(peer,
                      CASES[i].first == (CLIENT_FIN | WS_CLOSE) && CASES[i].payload.len == 0
                          ? EIO_CLOSE_PEER
                          : EIO_CLOSE_PROTOCOL,
                      CASES[i].close_payload);
        peer_free(peer);
    }
}

TEST(a_packet_may_be_as_long_as_the_maximum_and_not_one_longer)
{
    char packet[PAYLOAD_MAX + 1];
    memset(packet, '4', sizeof(packet));
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    receive_frame(peer, CLIENT_FIN | WS_TEXT, bytes_of(packet, PAYLOAD_MAX));
    assert_int_equal(peer->received.len, PAYLOAD_MAX); /* without the '4', with the '|' */
    receive_frame(peer, CLIENT_FIN | WS_TEXT, bytes_of(packet, PAYLOAD_MAX + 1));
    expect_closed(peer, EIO_CLOSE_PROTOCOL, BYTES("\x03\xF1"));
    peer_free(peer);
}

TEST(a_session_that_is_closed_by_a_callback_reads_no_further)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    peer->reaction = DO_CLOSE;
    struct buf in = BUF_INIT;
    client_append_frame(&in, WS_TEXT, BYTES("4o"));
    client_append_frame(&in, CLIENT_FIN | WS_CONTINUATION, BYTES("ne"));
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("4two"));
    assert_int_equal(eio_session_receive(&peer->session, in.data, in.len, peer->now_ms), in.len);
    buf_release(&in);
    CHECK_TEXT(buf_bytes(&peer->received), "one|");
    CHECK(peer->session.reader.fragments == NULL);
    expect_closed(peer, EIO_CLOSE_SERVER, BYTES("\x03\xE8"));
    eio_session_close(&peer->session, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, peer->now_ms);
    eio_session_send(&peer->session, BYTES("late"), false);
    CHECK(eio_session_begin_write(&peer->session) == NULL);
    expect_silence(peer);
    peer_free(peer);
}

TEST(what_was_sent_before_a_close_still_goes_out)
{
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    eio_session_send(&peer->session, BYTES("bye"), false);
    buf_append_bytes(&peer->frames, BYTES("not asked for any more"));
    eio_session_close(&peer->session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, peer->now_ms);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSING);
    expect_frame(peer, WS_TEXT, BYTES("4bye"));
    expect_frame(peer, WS_CLOSE, BYTES("\x03\xE9"));
    expect_silence(peer);
    peer_free(peer);
}

TEST(the_outbox_holds_its_limit_and_not_one_byte_more)
{
    char message[OUTBOX_MAX] = {0};
    enum { FITS = OUTBOX_MAX - 4 - 1 }; /* header and the '4' */
    struct peer *peer = peer_new();
    skip_open_packet(peer);
    eio_session_send(&peer->session, bytes_of(message, FITS), false);
    assert_int_equal(peer->session.outbox.len, OUTBOX_MAX);
    assert_int_equal(peer->session.state, EIO_STATE_OPEN);
    peer_free(peer);

    peer = peer_new();
    skip_open_packet(peer);
    unsigned outputs = peer->outputs;
    eio_session_send(&peer->session, bytes_of(message, FITS + 1), false);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    CHECK(peer->outputs > outputs);
    CHECK(peer->session.outbox.data == NULL);
    assert_int_equal(peer->closes, 0); /* sending does not call that back */
    eio_session_send(&peer->session, BYTES("late"), false);
    expect_silence(peer);
    run(peer, START + 1);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_OUTBOX_FULL);
    peer_free(peer);
}

TEST(an_overflow_is_told_by_whatever_comes_first)
{
    struct peer *peer = peer_new();
    peer->reaction = DO_FLOOD;
    receive(peer, "4x");
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_OUTBOX_FULL);
    peer_free(peer);

    char message[OUTBOX_MAX] = {0};
    peer = peer_new();
    eio_session_send(&peer->session, bytes_of(message, sizeof(message)), true);
    eio_session_transport_closed(&peer->session, peer->now_ms);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_OUTBOX_FULL);
    peer_free(peer);

    peer = peer_new(); /* by the ping that nobody reads */
    skip_open_packet(peer);
    eio_session_send(&peer->session, bytes_of(message, OUTBOX_MAX - 5), false);
    run(peer, START + PING_INTERVAL);
    run(peer, START + PING_INTERVAL);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_OUTBOX_FULL);
    peer_free(peer);
}

TEST(frames_of_the_outbox_never_stand_inside_of_the_user_s)
{
    /* The session's pieces are written @step bytes at a time, and a packet is sent after each. */
    for (size_t step = 1; step < 40; step++) {
        struct peer *peer = peer_new();
        skip_open_packet(peer);
        for (int i = 0; i < 10; i++) {
            ws_append_frame(&peer->frames, WS_TEXT, BYTES("a message of the log"));
        }
        unsigned packets = 0;
        while (peer->frames.len > 0) {
            write_some(peer, step);
            if (packets < 30) {
                eio_session_send(&peer->session, BYTES("x"), false);
                packets++;
            }
        }
        write_some(peer, SIZE_MAX);
        struct bytes sent = buf_bytes(&peer->sent), payload;
        enum ws_opcode opcode;
        unsigned of_outbox = 0, of_user = 0;
        while (server_take_frame(&sent, &opcode, &payload)) {
            bool is_packet = bytes_equal(payload, BYTES("4x"));
            CHECK(is_packet || bytes_equal(payload, BYTES("a message of the log")));
            *(is_packet ? &of_outbox : &of_user) += 1;
        }
        assert_int_equal(sent.len, 0);
        assert_int_equal(of_user, 10);
        assert_int_equal(of_outbox, packets);
        peer_free(peer);
    }
}

TEST(a_lost_transport_closes_without_a_word)
{
    struct peer *peer = peer_new();
    eio_session_transport_closed(&peer->session, peer->now_ms);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_TRANSPORT);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    expect_silence(peer);
    peer_free(peer);
}

TEST(a_released_session_calls_nothing_back)
{
    struct peer *peer = peer_new();
    eio_session_release(&peer->session);
    run(peer, START + 100000);
    assert_int_equal(peer->closes, 0);
    peer->closes = 1;
    peer_free(peer);
}

TEST(the_query_s_parameters_are_found_in_any_order)
{
    struct eio_query query;
    eio_parse_query(BYTES("EIO=4&transport=websocket&sid=abc&t=x"), &query);
    CHECK_TEXT(query.eio, "4");
    CHECK_TEXT(query.transport, "websocket");
    CHECK_TEXT(query.sid, "abc");

    eio_parse_query(BYTES("&x&sid=&transport=a=b&transport=c&EIO"), &query);
    CHECK_TEXT(query.transport, "a=b"); /* the first counts */
    CHECK(query.sid.data != NULL && query.sid.len == 0);
    CHECK(query.eio.data != NULL && query.eio.len == 0);

    eio_parse_query((struct bytes){0}, &query);
    CHECK(query.transport.data == NULL && query.sid.data == NULL && query.eio.data == NULL);
}

TEST(refusals_are_worded_as_in_the_reference)
{
    CHECK_TEXT(bytes_of_string(eio_error_message(EIO_ERROR_TRANSPORT)), "Transport unknown");
    CHECK_TEXT(bytes_of_string(eio_error_message(EIO_ERROR_SID)), "Session ID unknown");
    CHECK_TEXT(bytes_of_string(eio_error_message(EIO_ERROR_METHOD)), "Bad handshake method");
    CHECK_TEXT(bytes_of_string(eio_error_message(EIO_ERROR_BAD_REQUEST)), "Bad request");
    CHECK_TEXT(bytes_of_string(eio_error_message(EIO_ERROR_FORBIDDEN)), "Forbidden");
    CHECK_TEXT(bytes_of_string(eio_error_message(EIO_ERROR_VERSION)),
               "Unsupported protocol version");
}

TEST_MAIN(TEST_OF(a_session_opens_with_the_five_keys_of_the_handshake),
          TEST_OF(messages_come_in_and_go_out), TEST_OF(a_message_may_come_byte_by_byte),
          TEST_OF(the_server_pings_an_interval_after_open_and_after_each_pong),
          TEST_OF(without_a_pong_the_session_closes_at_the_timeout_whatever_else_comes),
          TEST_OF(a_pong_that_nobody_asked_for_puts_the_next_ping_off),
          TEST_OF(packets_that_no_client_may_send_close_the_session),
          TEST_OF(packets_that_mean_nothing_on_a_websocket_are_ignored),
          TEST_OF(a_close_packet_closes_the_session),
          TEST_OF(a_websocket_ping_is_answered_with_its_payload),
          TEST_OF(a_close_frame_is_answered_once_and_nothing_behind_it_is_read),
          TEST_OF(faults_of_framing_are_told_with_their_codes),
          TEST_OF(a_packet_may_be_as_long_as_the_maximum_and_not_one_longer),
          TEST_OF(a_session_that_is_closed_by_a_callback_reads_no_further),
          TEST_OF(what_was_sent_before_a_close_still_goes_out),
          TEST_OF(the_outbox_holds_its_limit_and_not_one_byte_more),
          TEST_OF(an_overflow_is_told_by_whatever_comes_first),
          TEST_OF(frames_of_the_outbox_never_stand_inside_of_the_user_s),
          TEST_OF(a_lost_transport_closes_without_a_word),
          TEST_OF(a_released_session_calls_nothing_back),
          TEST_OF(the_query_s_parameters_are_found_in_any_order),
          TEST_OF(refusals_are_worded_as_in_the_reference))
