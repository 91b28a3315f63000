#include "base/tests/testing.h"
#include "client_frames.h"
#include "wire/sio.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAYLOAD_MAX = 500, OUTBOX_MAX = 4096, START = 1000 };

/* An application that knows "/" and "/room" and sends every event back, as an event or as its acknowledgement. */
struct peer {
    struct sio_client client;
    struct sio_socket sockets[2];
    unsigned socket_count;
    struct timers timers;
    struct eio_waits waits;
    struct sio_settings settings;
    struct buf log; /* events, each "namespace payload <attachment>…|", and "close reason|" */
    bool closes_on_event;
};

static struct peer *peer_of(struct sio_client *client)
{
    return CONTAINER_OF(client, struct peer, client);
}

static void on_connect(struct sio_client *client, struct bytes namespace, struct bytes auth,
                       uint64_t now_ms)
{
    struct peer *peer = peer_of(client);
    (void)auth;
    (void)now_ms;
    CHECK(peer->socket_count < COUNT_OF(peer->sockets));
    struct sio_socket *socket = &peer->sockets[peer->socket_count++];
    sio_socket_init(socket, client, namespace.len == 1 ? "/" : "/room", namespace.len);
    sio_socket_accept(socket, BYTES("s1"), (struct bytes){0});
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, uint64_t now_ms)
{
    struct peer *peer = peer_of(socket->client);
    CHECK(event->has_binary == (event->attachment_count > 0));
    buf_append(&peer->log, socket->namespace, socket->namespace_len);
    buf_append_char(&peer->log, ' ');
    buf_append_bytes(&peer->log, event->payload);
    for (uint32_t i = 0; i < event->attachment_count; i++) {
        buf_append_format(&peer->log, " <%.*s>", BYTES_FMT(event->attachments[i]));
    }
    buf_append_char(&peer->log, '|');
    if (peer->closes_on_event) {
        eio_session_close(&socket->client->eio, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    }
    struct bytes inside = bytes_of(event->payload.data + 1, event->payload.len - 2);
    if (event->has_binary && event->has_ack_id) {
        sio_socket_ack_binary(socket, event->ack_id, inside, event->attachments,
                              event->attachment_count);
    } else if (event->has_binary) {
        sio_socket_emit_binary(socket, inside, event->attachments, event->attachment_count);
    }
}

static void on_disconnect(struct sio_socket *socket, uint64_t now_ms)
{
    (void)socket;
    (void)now_ms;
}

static void on_client_close(struct sio_client *client, enum eio_close_reason reason,
                            uint64_t now_ms)
{
    (void)now_ms;
    CHECK(client->assembly == NULL);
    buf_append_format(&peer_of(client)->log, "close %s|", eio_close_reason_name(reason));
}

static void on_output(struct eio_session *session)
{
    (void)session;
}

static void text(struct peer *peer, const char *packet)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_TEXT, bytes_of_string(packet));
    eio_session_receive(&peer->client.eio, frame.data, frame.len, START);
    buf_release(&frame);
}

static void binary(struct peer *peer, struct bytes data)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_BINARY, data);
    eio_session_receive(&peer->client.eio, frame.data, frame.len, START);
    buf_release(&frame);
}

static void expect_log(struct peer *peer, const char *log)
{
    CHECK_TEXT(buf_bytes(&peer->log), log);
    buf_clear(&peer->log);
}

/* Takes one frame that goes out. */
static void expect(struct peer *peer, enum ws_opcode opcode, const char *payload)
{
    struct iovec iov;
    CHECK(eio_session_peek(&peer->client.eio, &iov, 1) == 1);
    struct bytes frames = bytes_of(iov.iov_base, iov.iov_len), found = {0};
    enum ws_opcode found_opcode = WS_CONTINUATION;
    CHECK(server_take_frame(&frames, &found_opcode, &found));
    assert_int_equal(found_opcode, opcode);
    CHECK_TEXT(found, payload);
    eio_session_advance(&peer->client.eio, iov.iov_len - frames.len);
}

static struct peer *peer_new_with(enum eio_transport transport)
{
    struct peer *peer = mem_alloc_zeroed(sizeof(*peer));
    timers_init(&peer->timers);
    eio_waits_init(&peer->waits, &peer->timers);
    peer->settings = (struct sio_settings){
        .eio =
            {
                .ping_interval_ms = 25000,
                .ping_timeout_ms = 20000,
                .payload_bytes_max = PAYLOAD_MAX,
                .outbox_bytes_max = OUTBOX_MAX,
                .waits = &peer->waits,
                .callbacks = {.on_output = on_output},
            },
        .connect_timeout_ms = 45000,
        .callbacks = {on_connect, on_event, on_disconnect, on_client_close},
    };
    sio_settings_init(&peer->settings);
    sio_client_open(&peer->client, &peer->settings, "abcdefghij0123456789", transport, START);
    eio_session_advance(&peer->client.eio, peer->client.eio.outbox.len);
    return peer;
}

/* In both namespaces. */
static struct peer *peer_new(void)
{
    struct peer *peer = peer_new_with(EIO_WEBSOCKET);
    text(peer, "40");
    text(peer, "40/room,");
    eio_session_advance(&peer->client.eio, peer->client.eio.outbox.len);
    return peer;
}

static void peer_free(struct peer *peer)
{
    eio_session_transport_closed(&peer->client.eio, START);
    sio_client_release(&peer->client);
    assert_int_equal(timers_next_due(&peer->timers), TIMER_NEVER);
    timers_release(&peer->timers);
    buf_release(&peer->log);
    free(peer);
}

TEST(an_event_waits_for_its_attachments)
{
    struct peer *peer = peer_new();
    text(peer, "452-[\"a\",{\"_placeholder\":true,\"num\":0}, {\"x\":{\"num\":1,\"_placeholder\":"
               "true}}]");
    expect_log(peer, "");
    binary(peer, BYTES("one"));
    expect_log(peer, "");
    CHECK(peer->client.assembly != NULL);
    binary(peer, BYTES("two"));
    expect_log(peer, "/ [\"a\",{\"_placeholder\":true,\"num\":0}, {\"x\":{\"num\":1,"
                     "\"_placeholder\":true}}] <one> <two>|");
    CHECK(peer->client.assembly == NULL);
    peer_free(peer);
}

TEST(binary_goes_out_as_it_came_in)
{
    struct peer *peer = peer_new();
    text(peer, "452-/room,[\"a\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":"
               "0}]");
    binary(peer, BYTES("one"));
    binary(peer, BYTES(""));
    text(peer, "42[\"plain\"]");
    expect_log(peer, "/room [\"a\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,"
                     "\"num\":0}] <one> <>|/ [\"plain\"]|");
    expect(peer, WS_TEXT,
           "452-/room,[\"a\",{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]");
    expect(peer, WS_BINARY, "one");
    expect(peer, WS_BINARY, "");
    peer_free(peer);
}

TEST(an_acknowledgement_may_have_attachments)
{
    struct peer *peer = peer_new();
    text(peer, "451-7[\"a\",{\"_placeholder\":true,\"num\":0}]");
    binary(peer, BYTES("one"));
    expect(peer, WS_TEXT, "461-7[\"a\",{\"_placeholder\":true,\"num\":0}]");
    expect(peer, WS_BINARY, "one");
    text(peer, "451-/room,12[1,{\"_placeholder\":true,\"num\":0}]");
    binary(peer, BYTES("one"));
    expect(peer, WS_TEXT, "461-/room,12[1,{\"_placeholder\":true,\"num\":0}]");
    peer_free(peer);
}

TEST(binary_works_over_polling)
{
    struct peer *peer = peer_new_with(EIO_POLLING);
    CHECK(eio_session_post(&peer->client.eio,
                           BYTES("40\x1e"
                                 "451-[\"a\",{\"_placeholder\":true,\"num\":0}]"),
                           START) == EIO_POST_OK);
    CHECK(eio_session_post(&peer->client.eio, BYTES("bAQID"), START) == EIO_POST_OK);
    struct buf out = BUF_INIT;
    CHECK(eio_session_poll(&peer->client.eio, &out, 10, START));
    CHECK_TEXT(buf_bytes(&out), "40{\"sid\":\"s1\"}");
    buf_clear(&out);
    CHECK(eio_session_poll(&peer->client.eio, &out, 10000, START));
    CHECK_TEXT(buf_bytes(&out), "451-[\"a\",{\"_placeholder\":true,\"num\":0}]\x1e"
                                "bAQID");
    buf_release(&out);
    peer_free(peer);
}

TEST(a_client_s_binary_acknowledgement_is_read_and_ignored)
{
    struct peer *peer = peer_new();
    text(peer, "462-7[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]");
    binary(peer, BYTES("one"));
    binary(peer, BYTES("two"));
    text(peer, "42[\"next\"]");
    expect_log(peer, "/ [\"next\"]|");
    peer_free(peer);
}

TEST(binary_for_a_namespace_that_is_not_joined_is_read_and_ignored)
{
    struct peer *peer = peer_new();
    text(peer, "451-/left,[\"a\",{\"_placeholder\":true,\"num\":0}]");
    binary(peer, BYTES("one"));
    text(peer, "42[\"next\"]");
    expect_log(peer, "/ [\"next\"]|");
    peer_free(peer);
}

TEST(text_while_binary_is_awaited_closes_the_connection)
{
    struct peer *peer = peer_new();
    text(peer, "451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    text(peer, "42[\"b\"]");
    expect_log(peer, "close protocol|");
    peer_free(peer);
}

TEST(binary_that_none_awaits_closes_the_connection)
{
    struct peer *peer = peer_new();
    text(peer, "451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    binary(peer, BYTES("one"));
    buf_clear(&peer->log);
    binary(peer, BYTES("two"));
    expect_log(peer, "close protocol|");
    peer_free(peer);
}

TEST(an_engine_s_packets_between_attachments_do_not_matter)
{
    struct peer *peer = peer_new();
    text(peer, "451-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    text(peer, "3");
    binary(peer, BYTES("one"));
    expect_log(peer, "/ [\"a\",{\"_placeholder\":true,\"num\":0}] <one>|");
    peer_free(peer);
}

TEST(a_packet_that_announces_no_attachment_is_complete_at_once)
{
    struct peer *peer = peer_new();
    text(peer, "450-[\"a\"]");
    text(peer, "42[\"b\"]");
    expect_log(peer, "/ [\"a\"]|/ [\"b\"]|");
    peer_free(peer);
}

TEST(ten_attachments_are_taken_and_eleven_are_not)
{
    struct peer *peer = peer_new();
    text(peer, "4510-[\"a\"]");
    for (int i = 0; i < SIO_ATTACHMENTS_MAX; i++) {
        expect_log(peer, "");
        binary(peer, BYTES("x"));
    }
    expect_log(peer, "/ [\"a\"] <x> <x> <x> <x> <x> <x> <x> <x> <x> <x>|");
    text(peer, "4511-[\"a\"]");
    expect_log(peer, "close protocol|");
    peer_free(peer);
}

TEST(a_packet_with_its_attachments_has_the_payload_s_limit)
{
    static const char HEADER[] = "452-[\"a\"]"; /* 5 bytes of JSON */
    char data[PAYLOAD_MAX] = {0};
    struct peer *peer = peer_new();
    text(peer, HEADER);
    binary(peer, bytes_of(data, 300));
    binary(peer, bytes_of(data, PAYLOAD_MAX - 300 - 5));
    CHECK(bytes_start_with(buf_bytes(&peer->log), BYTES("/ [\"a\"]")));
    buf_clear(&peer->log);
    text(peer, HEADER);
    binary(peer, bytes_of(data, 300));
    binary(peer, bytes_of(data, PAYLOAD_MAX - 300 - 4));
    expect_log(peer, "close protocol|");
    peer_free(peer);
}

TEST(a_connection_that_ends_meanwhile_leaves_nothing)
{
    struct peer *peer = peer_new();
    text(peer, "452-[\"a\"]");
    binary(peer, BYTES("one"));
    eio_session_transport_closed(&peer->client.eio, START);
    CHECK(peer->client.assembly == NULL);
    expect_log(peer, "close transport|");
    peer_free(peer);

    peer = peer_new();
    text(peer, "451-[\"a\"]");
    peer->closes_on_event = true;
    binary(peer, BYTES("one"));
    expect_log(peer, "/ [\"a\"] <one>|close server|");
    peer_free(peer);
}

static bool are_valid(const char *payload, uint32_t count)
{
    struct bytes value = {0};
    CHECK(json_scan(bytes_of_string(payload), &value));
    return sio_placeholders_are_valid(value, count);
}

TEST(placeholders_name_attachments_that_are_there)
{
    static const char *const VALID[] = {
        "[]",
        "[\"a\",1,-2.5e3,true,false,null,\"\\\"}\\\\\",[],{}]",
        "[{\"_placeholder\":true,\"num\":0}]",
        "[{\"_placeholder\":true,\"num\":1}]",
        "[ { \"num\" : 1 , \"_placeholder\" : true } ]",
        "[{\"_placeholder\":true,\"num\":0,\"more\":{\"num\":9}}]",
        "[{\"_placeholder\":false,\"num\":9},{\"_placeholder\":\"true\"},{\"_placeholder\":1}]",
        "[\"_placeholder\",true,\"num\",9]",
        "[{\"a\":\"_placeholder\",\"b\":true}]",
        "[{\"_placeholder\":true,\"_placeholder\":false}]", /* the last counts, as in JavaScript */
        "[{\"_placeholder\":true,\"num\":9,\"num\":0}]",
        "[{\"_placeholder\":{\"_placeholder\":true,\"num\":1}}]",
        "[{\"\":true}]",
    };
    static const char *const WRONG[] = {
        "[{\"_placeholder\":true}]",
        "[{\"_placeholder\":true,\"num\":2}]",
        "[{\"_placeholder\":true,\"num\":-1}]",
        "[{\"_placeholder\":true,\"num\":0.5}]",
        "[{\"_placeholder\":true,\"num\":\"0\"}]",
        "[{\"_placeholder\":true,\"num\":null}]",
        "[{\"_placeholder\":true,\"num\":[0]}]",
        "[{\"_placeholder\":true,\"num\":{\"num\":0}}]",
        "[{\"_placeholder\":true,\"num\":0,\"num\":9}]",
        "[{\"_placeholder\":true,\"num\":18446744073709551616}]",
        "[{\"\\u005fplaceholder\":true}]",
        "[[{\"a\":[1,{\"_placeholder\":true}]}]]",
        "[{\"_placeholder\":true,\"a\":{\"num\":0}}]",
        "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":5}]",
    };
    for (size_t i = 0; i < COUNT_OF(VALID); i++) {
        CHECK(are_valid(VALID[i], 2));
    }
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        CHECK(!are_valid(WRONG[i], 2));
    }
    CHECK(!are_valid("[{\"_placeholder\":true,\"num\":0}]", 0));
}

TEST(placeholders_are_found_at_any_depth)
{
    struct buf deep = BUF_INIT;
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++) {
        buf_append_char(&deep, '[');
    }
    buf_append_bytes(&deep, BYTES("{\"_placeholder\":true,\"num\":3}"));
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++) {
        buf_append_char(&deep, ']');
    }
    struct bytes value = {0};
    CHECK(json_scan(buf_bytes(&deep), &value));
    CHECK(sio_placeholders_are_valid(value, 4));
    CHECK(!sio_placeholders_are_valid(value, 3));
    buf_release(&deep);
}

TEST(a_wrong_placeholder_closes_the_connection)
{
    struct peer *peer = peer_new();
    text(peer, "451-[\"a\",{\"_placeholder\":true,\"num\":1}]");
    expect_log(peer, "close protocol|");
    peer_free(peer);
    peer = peer_new();
    text(peer, "450-[\"a\",{\"_placeholder\":true,\"num\":0}]");
    expect_log(peer, "close protocol|");
    peer_free(peer);
    peer = peer_new();
    text(peer, "42[\"a\",{\"_placeholder\":true,\"num\":0}]"); /* plain JSON in a plain event */
    expect_log(peer, "/ [\"a\",{\"_placeholder\":true,\"num\":0}]|");
    peer_free(peer);
}

TEST_MAIN(TEST_OF(an_event_waits_for_its_attachments), TEST_OF(binary_goes_out_as_it_came_in),
          TEST_OF(an_acknowledgement_may_have_attachments), TEST_OF(binary_works_over_polling),
          TEST_OF(a_client_s_binary_acknowledgement_is_read_and_ignored),
          TEST_OF(binary_for_a_namespace_that_is_not_joined_is_read_and_ignored),
          TEST_OF(text_while_binary_is_awaited_closes_the_connection),
          TEST_OF(binary_that_none_awaits_closes_the_connection),
          TEST_OF(an_engine_s_packets_between_attachments_do_not_matter),
          TEST_OF(a_packet_that_announces_no_attachment_is_complete_at_once),
          TEST_OF(ten_attachments_are_taken_and_eleven_are_not),
          TEST_OF(a_packet_with_its_attachments_has_the_payload_s_limit),
          TEST_OF(a_connection_that_ends_meanwhile_leaves_nothing),
          TEST_OF(placeholders_name_attachments_that_are_there),
          TEST_OF(placeholders_are_found_at_any_depth),
          TEST_OF(a_wrong_placeholder_closes_the_connection))
