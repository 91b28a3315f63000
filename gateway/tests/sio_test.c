#include "base/tests/testing.h"
#include "client_frames.h"
#include "wire/sio.h"

#include <stdlib.h>

enum {
    CONNECT_TIMEOUT = 450,
    PAYLOAD_MAX = 100000,
    OUTBOX_MAX = 4096,
    START = 1000,
    ROOMS_MAX = 8
};

/* What the user keeps for a socket. */
struct room {
    struct sio_socket socket;
    char namespace[16];
};

/* A client with a socket, and what the user does when it is called. */
struct peer {
    struct sio_client client;
    struct timers timers;
    struct eio_waits waits;
    struct sio_settings settings;
    struct room *rooms[ROOMS_MAX]; /* as they came */
    unsigned room_count;
    struct buf log; /* what was called back, in order, each ended by '|' */
    uint64_t now_ms;
    enum { HOLD, ACCEPT, REFUSE, REFUSE_WITH_DATA } on_connect;
    enum { NOTHING, DETACH, CLOSE, FREE_ALL } on_event;
};

static struct peer *peer_of(struct sio_client *client)
{
    return CONTAINER_OF(client, struct peer, client);
}

static void note(struct peer *peer, const char *what, struct bytes a, struct bytes b)
{
    buf_append_format(&peer->log, "%s %.*s %.*s|", what, BYTES_FMT(a), BYTES_FMT(b));
}

static void on_connect(struct sio_client *client, struct bytes namespace, struct bytes auth,
                       uint64_t now_ms)
{
    struct peer *peer = peer_of(client);
    CHECK(now_ms == peer->now_ms);
    note(peer, "connect", namespace, auth);
    if (peer->on_connect == REFUSE || peer->on_connect == REFUSE_WITH_DATA) {
        sio_client_refuse(client, namespace, BYTES("Invalid namespace"),
                          peer->on_connect == REFUSE ? (struct bytes){0} : BYTES("{\"code\":1}"));
        return;
    }
    CHECK(peer->room_count < ROOMS_MAX && namespace.len < sizeof(peer->rooms[0]->namespace));
    struct room *room = mem_alloc_zeroed(sizeof(*room));
    memcpy(room->namespace, namespace.data, namespace.len);
    peer->rooms[peer->room_count++] = room;
    sio_socket_init(&room->socket, client, room->namespace, namespace.len);
    if (peer->on_connect == ACCEPT) {
        sio_socket_accept(&room->socket, BYTES("s1"), (struct bytes){0});
    }
}

/* Frees the room of @socket, or all, as a user that has had enough does. */
static void free_rooms(struct peer *peer, const struct sio_socket *socket)
{
    for (unsigned i = 0; i < peer->room_count; i++) {
        if (peer->rooms[i] != NULL && (socket == NULL || &peer->rooms[i]->socket == socket)) {
            sio_socket_detach(&peer->rooms[i]->socket);
            free(peer->rooms[i]);
            peer->rooms[i] = NULL;
        }
    }
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, uint64_t now_ms)
{
    struct sio_client *client = socket->client;
    struct peer *peer = peer_of(client);
    CHECK(now_ms == peer->now_ms && !event->has_binary);
    note(peer, "event", bytes_of(socket->namespace, socket->namespace_len), event->payload);
    if (event->has_ack_id) {
        sio_socket_ack(socket, event->ack_id, BYTES("\"done\""));
    }
    switch (peer->on_event) {
    case NOTHING: break;
    case DETACH: free_rooms(peer, socket); break;
    case CLOSE: eio_session_close(&client->eio, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms); break;
    case FREE_ALL:
        free_rooms(peer, NULL);
        eio_session_close(&client->eio, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, now_ms);
    }
}

static void on_disconnect(struct sio_socket *socket, uint64_t now_ms)
{
    struct peer *peer = peer_of(socket->client);
    CHECK(now_ms == peer->now_ms && socket->state == SIO_GONE);
    note(peer, "disconnect", bytes_of(socket->namespace, socket->namespace_len), (struct bytes){0});
    free_rooms(peer, socket);
}

static void on_client_close(struct sio_client *client, enum eio_close_reason reason,
                            uint64_t now_ms)
{
    struct peer *peer = peer_of(client);
    CHECK(now_ms == peer->now_ms && client->sockets == NULL);
    note(peer, "close", bytes_of_string(eio_close_reason_name(reason)), (struct bytes){0});
}

static void on_output(struct eio_session *session)
{
    (void)session;
}

static struct peer *peer_new(void)
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
        .connect_timeout_ms = CONNECT_TIMEOUT,
        .callbacks = {on_connect, on_event, on_disconnect, on_client_close},
    };
    sio_settings_init(&peer->settings);
    peer->now_ms = START;
    peer->on_connect = ACCEPT;
    sio_client_open(&peer->client, &peer->settings, "abcdefghij0123456789", EIO_WEBSOCKET,
                    peer->now_ms);
    eio_session_advance(&peer->client.eio, peer->client.eio.outbox.len); /* the open packet */
    return peer;
}

static void peer_free(struct peer *peer)
{
    eio_session_transport_closed(&peer->client.eio, peer->now_ms);
    CHECK(peer->client.sockets == NULL);
    assert_int_equal(timers_next_due(&peer->timers), TIMER_NEVER);
    sio_client_release(&peer->client);
    free_rooms(peer, NULL);
    timers_release(&peer->timers);
    buf_release(&peer->log);
    free(peer);
}

static void receive_message(struct peer *peer, unsigned first, struct bytes message)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, first, message);
    assert_int_equal(eio_session_receive(&peer->client.eio, frame.data, frame.len, peer->now_ms),
                     frame.len);
    buf_release(&frame);
}

static void receive(struct peer *peer, const char *packet)
{
    receive_message(peer, CLIENT_FIN | WS_TEXT, bytes_of_string(packet));
}

static void run(struct peer *peer, uint64_t now_ms)
{
    peer->now_ms = now_ms;
    timers_run(&peer->timers, now_ms);
}

/* Takes one frame that goes out. */
static void expect_frame(struct peer *peer, enum ws_opcode opcode, const char *payload)
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

static void expect(struct peer *peer, const char *packet)
{
    expect_frame(peer, WS_TEXT, packet);
}

static void expect_silence(struct peer *peer)
{
    struct iovec iov;
    assert_int_equal(eio_session_peek(&peer->client.eio, &iov, 1), 0);
}

static void expect_log(struct peer *peer, const char *log)
{
    CHECK_TEXT(buf_bytes(&peer->log), log);
    buf_clear(&peer->log);
}

static void expect_protocol_close(struct peer *peer)
{
    expect_frame(peer, WS_CLOSE, "\x03\xEA");
    CHECK(peer->client.eio.state == EIO_STATE_CLOSED);
}

TEST(a_client_joins_namespaces_with_auth_or_without)
{
    struct peer *peer = peer_new();
    receive(peer, "40");
    expect_log(peer, "connect / |");
    expect(peer, "40{\"sid\":\"s1\"}");
    receive(peer, "40/room,{\"token\":1}");
    expect_log(peer, "connect /room {\"token\":1}|");
    expect(peer, "40/room,{\"sid\":\"s1\"}");
    receive(peer, "40/other");
    expect(peer, "40/other,{\"sid\":\"s1\"}");
    expect_silence(peer);
    CHECK(sio_client_find(&peer->client, BYTES("/room")) == &peer->rooms[1]->socket);
    CHECK(sio_client_find(&peer->client, BYTES("/nowhere")) == NULL);
    peer_free(peer);
}

TEST(a_connect_may_be_held_and_accepted_later_with_a_pid)
{
    struct peer *peer = peer_new();
    peer->on_connect = HOLD;
    receive(peer, "40/room,");
    expect_silence(peer);
    assert_int_equal(peer->rooms[0]->socket.state, SIO_CONNECTING);
    sio_socket_emit(&peer->rooms[0]->socket, BYTES("\"too early\""));
    expect_silence(peer);
    sio_socket_accept(&peer->rooms[0]->socket, BYTES("s2"), BYTES("p3"));
    assert_int_equal(peer->rooms[0]->socket.state, SIO_CONNECTED);
    expect(peer, "40/room,{\"sid\":\"s2\",\"pid\":\"p3\"}");
    peer_free(peer);
}

TEST(a_connect_may_be_refused_at_once_or_later)
{
    struct peer *peer = peer_new();
    peer->on_connect = REFUSE;
    receive(peer, "40/nowhere,");
    expect(peer, "44/nowhere,{\"message\":\"Invalid namespace\"}");
    peer->on_connect = REFUSE_WITH_DATA;
    receive(peer, "40");
    expect(peer, "44{\"message\":\"Invalid namespace\",\"data\":{\"code\":1}}");
    peer->on_connect = HOLD;
    receive(peer, "40/room,");
    sio_socket_refuse(&peer->rooms[0]->socket, BYTES("say \"no\""), (struct bytes){0});
    expect(peer, "44/room,{\"message\":\"say \\\"no\\\"\"}");
    assert_int_equal(peer->rooms[0]->socket.state, SIO_GONE);
    CHECK(peer->client.sockets == NULL);
    expect_log(peer, "connect /nowhere |connect / |connect /room |");
    peer->on_connect = ACCEPT; /* may try again */
    receive(peer, "40/room,");
    expect(peer, "40/room,{\"sid\":\"s1\"}");
    peer_free(peer);
}

TEST(a_namespace_may_have_255_bytes_and_not_one_more)
{
    char packet[400] = "40/";
    memset(packet + 3, 'x', SIO_NAMESPACE_BYTES_MAX - 1);
    struct peer *peer = peer_new();
    peer->on_connect = REFUSE;
    receive(peer, packet);
    CHECK(bytes_start_with(buf_bytes(&peer->log), BYTES("connect /x")));
    buf_clear(&peer->log);
    packet[3 + SIO_NAMESPACE_BYTES_MAX - 1] = 'x';
    receive(peer, packet);
    expect_log(peer, ""); /* the user is not asked */
    peer_free(peer);
}

TEST(a_second_connect_to_a_namespace_closes_the_connection)
{
    for (int is_held = 0; is_held <= 1; is_held++) {
        struct peer *peer = peer_new();
        peer->on_connect = is_held ? HOLD : ACCEPT;
        receive(peer, "40/room,");
        receive(peer, "40/room,");
        expect_log(peer, "connect /room |disconnect /room |close protocol |");
        peer_free(peer);
    }
}

TEST(events_reach_their_socket_and_are_acknowledged)
{
    struct peer *peer = peer_new();
    receive(peer, "40");
    receive(peer, "40/room,");
    expect(peer, "40{\"sid\":\"s1\"}");
    expect(peer, "40/room,{\"sid\":\"s1\"}");
    buf_clear(&peer->log);
    receive(peer, "42[\"a\", 1 ]");
    receive(peer, "42/room,7[\"b\",{}]");
    receive(peer, "4212[\"c\"]");
    expect_log(peer, "event / [\"a\", 1 ]|event /room [\"b\",{}]|event / [\"c\"]|");
    expect(peer, "43/room,7[\"done\"]");
    expect(peer, "4312[\"done\"]");
    expect_silence(peer);
    sio_socket_emit(&peer->rooms[1]->socket, BYTES("\"hello\",[1]"));
    expect(peer, "42/room,[\"hello\",[1]]");
    peer_free(peer);
}

TEST(an_event_before_the_connect_reply_closes_the_connection)
{
    struct peer *peer = peer_new();
    peer->on_connect = HOLD;
    receive(peer, "40/room,");
    receive(peer, "42/room,[\"a\"]");
    expect_log(peer, "connect /room |disconnect /room |close protocol |");
    expect_protocol_close(peer);
    peer_free(peer);
}

TEST(what_is_for_a_namespace_that_is_not_joined_is_ignored)
{
    struct peer *peer = peer_new();
    receive(peer, "42[\"a\"]");
    receive(peer, "42/room,1[\"a\"]");
    receive(peer, "41/room,");
    receive(peer, "43/room,1[]");
    expect_log(peer, "");
    expect_silence(peer);
    CHECK(peer->client.eio.state == EIO_STATE_OPEN);
    peer_free(peer);
}

TEST(acknowledgements_and_connect_errors_from_a_client_are_ignored)
{
    struct peer *peer = peer_new();
    receive(peer, "40");
    expect(peer, "40{\"sid\":\"s1\"}");
    receive(peer, "435[\"x\"]");
    receive(peer, "44{\"message\":\"no\"}");
    expect_log(peer, "connect / |");
    expect_silence(peer);
    peer_free(peer);
}

TEST(a_client_leaves_a_namespace_and_may_come_back)
{
    struct peer *peer = peer_new();
    receive(peer, "40/room,");
    expect(peer, "40/room,{\"sid\":\"s1\"}");
    receive(peer, "41/room,");
    expect_log(peer, "connect /room |disconnect /room |");
    expect_silence(peer); /* no reply to a disconnect */
    receive(peer, "42/room,[\"late\"]");
    expect_log(peer, "");
    run(peer, START + CONNECT_TIMEOUT); /* leaving the last one does not close */
    CHECK(peer->client.eio.state == EIO_STATE_OPEN);
    receive(peer, "40/room,");
    expect(peer, "40/room,{\"sid\":\"s1\"}");
    peer_free(peer);
}

TEST(a_client_may_leave_while_its_connect_is_held)
{
    struct peer *peer = peer_new();
    peer->on_connect = HOLD;
    receive(peer, "40/room,");
    receive(peer, "41/room,");
    expect_log(peer, "connect /room |disconnect /room |");
    CHECK(peer->client.sockets == NULL);
    peer_free(peer);
}

TEST(packets_that_break_the_protocol_close_the_connection)
{
    static const char *const PACKETS[] = {
        "4",
        "47",
        "4abc",
        "42{}",
        "42[]",
        "42[{}]",
        "42[\"disconnect\"]",
        "42[\"\\u0063onnect\"]",
        "42abc[\"a\"]",
        "42[\"a\"",
        "43[]",
        "40[]",
        "45[\"a\"]",
        "4511-[\"a\"]",
        "45-[\"a\"]",
    };
    for (size_t i = 0; i < COUNT_OF(PACKETS); i++) {
        struct peer *peer = peer_new();
        receive(peer, "40");
        expect(peer, "40{\"sid\":\"s1\"}");
        receive(peer, PACKETS[i]);
        expect_log(peer, "connect / |disconnect / |close protocol |");
        expect_protocol_close(peer);
        peer_free(peer);
    }
}

TEST(binary_that_nothing_announced_closes_the_connection)
{
    struct peer *peer = peer_new();
    receive_message(peer, CLIENT_FIN | WS_BINARY, BYTES("42[\"a\"]"));
    expect_log(peer, "close protocol |");
    expect_protocol_close(peer);
    peer_free(peer);
}

TEST(a_client_that_joins_nothing_in_time_is_closed)
{
    struct peer *peer = peer_new();
    run(peer, START + CONNECT_TIMEOUT - 1);
    expect_silence(peer);
    run(peer, START + CONNECT_TIMEOUT);
    expect_log(peer, "close server |");
    expect_frame(peer, WS_CLOSE, "\x03\xE8");
    peer_free(peer);

    peer = peer_new(); /* a refusal does not count as joining */
    peer->on_connect = REFUSE;
    receive(peer, "40");
    run(peer, START + CONNECT_TIMEOUT);
    expect_log(peer, "connect / |close server |");
    peer_free(peer);
}

TEST(a_client_whose_connect_is_held_is_not_closed_for_it)
{
    struct peer *peer = peer_new();
    peer->on_connect = HOLD;
    receive(peer, "40");
    run(peer, START + CONNECT_TIMEOUT);
    run(peer, START + 2 * CONNECT_TIMEOUT);
    expect_log(peer, "connect / |");
    sio_socket_refuse(&peer->rooms[0]->socket, BYTES("no"), (struct bytes){0});
    run(peer, START + 3 * CONNECT_TIMEOUT);
    expect_log(peer, "close server |");
    peer_free(peer);
}

TEST(all_sockets_are_told_before_the_client_s_end)
{
    struct peer *peer = peer_new();
    receive(peer, "40");
    peer->on_connect = HOLD;
    receive(peer, "40/a,");
    receive(peer, "40/b,");
    buf_clear(&peer->log);
    eio_session_transport_closed(&peer->client.eio, peer->now_ms);
    expect_log(peer, "disconnect /b |disconnect /a |disconnect / |close transport |");
    peer_free(peer);
}

TEST(a_callback_may_free_its_socket_or_close_the_session)
{
    struct peer *peer = peer_new();
    receive(peer, "40");
    receive(peer, "40/a,");
    buf_clear(&peer->log);
    peer->on_event = DETACH;
    receive(peer, "42/a,1[\"x\"]");
    expect_log(peer, "event /a [\"x\"]|");
    receive(peer, "42/a,1[\"x\"]");
    expect_log(peer, "");
    peer->on_event = CLOSE;
    receive(peer, "42[\"x\"]");
    expect_log(peer, "event / [\"x\"]|disconnect / |close server |");
    peer_free(peer);

    peer = peer_new();
    receive(peer, "40");
    receive(peer, "40/a,");
    buf_clear(&peer->log);
    peer->on_event = FREE_ALL;
    receive(peer, "42[\"x\"]");
    expect_log(peer, "event / [\"x\"]|close server |");
    peer_free(peer);
}

TEST(nothing_is_called_back_while_a_loop_sends_more_than_the_outbox_takes)
{
    struct peer *peer = peer_new();
    receive(peer, "40");
    buf_clear(&peer->log);
    for (int i = 0; i < OUTBOX_MAX; i++) {
        sio_socket_emit(&peer->rooms[0]->socket, BYTES("\"flood\""));
    }
    expect_log(peer, "");
    assert_int_equal(peer->rooms[0]->socket.state, SIO_CONNECTED);
    run(peer, START + 1);
    expect_log(peer, "disconnect / |close outbox_full |");
    peer_free(peer);
}

static void on_probe_event(struct eio_probe *probe, uint64_t now_ms)
{
    (void)now_ms;
    eio_probe_answer(probe);
}

static void ignore_upgrade(struct eio_probe *probe, uint64_t now_ms)
{
    (void)probe;
    (void)now_ms;
}

static void ignore_output(struct eio_probe *probe)
{
    (void)probe;
}

TEST(a_client_that_was_handed_over_is_in_its_namespaces_still)
{
    static const struct eio_probe_callbacks CALLBACKS = {ignore_output, on_probe_event,
                                                         ignore_upgrade};
    struct peer *peer = peer_new();
    sio_client_release(&peer->client);
    struct eio_probe probe;
    eio_probe_open(&probe, NULL, &peer->settings.eio, &CALLBACKS, START);
    struct buf in = BUF_INIT;
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("2probe"));
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("5"));
    assert_int_equal(eio_probe_receive(&probe, in.data, in.len, START), in.len);
    buf_release(&in);
    sio_client_take_over(&peer->client, &peer->settings, "abcdefghij0123456789",
                         &(struct eio_handover){.heartbeat_in_ms = 25000},
                         BYTES("\x81\x02\x34\x32"), &probe, START);
    eio_probe_release(&probe);
    struct room *room = mem_alloc_zeroed(sizeof(*room));
    memcpy(room->namespace, "/room", 5);
    peer->rooms[peer->room_count++] = room;
    sio_socket_take_over(&room->socket, &peer->client, room->namespace, 5);
    expect(peer, "3probe"); /* which the probe had not written */
    expect(peer, "42");     /* and what was handed over */
    receive(peer, "42/room,7[\"a\"]");
    expect_log(peer, "event /room [\"a\"]|");
    expect(peer, "43/room,7[\"done\"]");
    run(peer, START + CONNECT_TIMEOUT);
    CHECK(peer->client.eio.state == EIO_STATE_OPEN);
    peer_free(peer);
}

TEST_MAIN(TEST_OF(a_client_joins_namespaces_with_auth_or_without),
          TEST_OF(a_connect_may_be_held_and_accepted_later_with_a_pid),
          TEST_OF(a_connect_may_be_refused_at_once_or_later),
          TEST_OF(a_namespace_may_have_255_bytes_and_not_one_more),
          TEST_OF(a_second_connect_to_a_namespace_closes_the_connection),
          TEST_OF(events_reach_their_socket_and_are_acknowledged),
          TEST_OF(an_event_before_the_connect_reply_closes_the_connection),
          TEST_OF(what_is_for_a_namespace_that_is_not_joined_is_ignored),
          TEST_OF(acknowledgements_and_connect_errors_from_a_client_are_ignored),
          TEST_OF(a_client_leaves_a_namespace_and_may_come_back),
          TEST_OF(a_client_may_leave_while_its_connect_is_held),
          TEST_OF(packets_that_break_the_protocol_close_the_connection),
          TEST_OF(binary_that_nothing_announced_closes_the_connection),
          TEST_OF(a_client_that_joins_nothing_in_time_is_closed),
          TEST_OF(a_client_whose_connect_is_held_is_not_closed_for_it),
          TEST_OF(all_sockets_are_told_before_the_client_s_end),
          TEST_OF(a_callback_may_free_its_socket_or_close_the_session),
          TEST_OF(nothing_is_called_back_while_a_loop_sends_more_than_the_outbox_takes),
          TEST_OF(a_client_that_was_handed_over_is_in_its_namespaces_still))
