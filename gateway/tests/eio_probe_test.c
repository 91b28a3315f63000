#include "eio_peer.h"

/* A WebSocket that came with a sid, and what it reads and writes. */
struct socket {
    struct eio_probe probe;
    struct peer *peer;
    struct buf waiting; /* came in, not taken yet */
    unsigned outputs, probes, upgrades;
};

static struct socket *socket_of(struct eio_probe *probe)
{
    return CONTAINER_OF(probe, struct socket, probe);
}

static void on_output(struct eio_probe *probe)
{
    socket_of(probe)->outputs++;
}

static void on_probe(struct eio_probe *probe, uint64_t now_ms)
{
    CHECK(now_ms == socket_of(probe)->peer->now_ms);
    socket_of(probe)->probes++;
}

static void on_upgrade(struct eio_probe *probe, uint64_t now_ms)
{
    CHECK(now_ms == socket_of(probe)->peer->now_ms);
    socket_of(probe)->upgrades++;
}

static const struct eio_probe_callbacks HERE = {.on_output = on_output};
static const struct eio_probe_callbacks ELSEWHERE = {on_output, on_probe, on_upgrade};

static struct socket *socket_new_for(struct peer *peer, struct eio_session *session)
{
    struct socket *socket = mem_alloc_zeroed(sizeof(*socket));
    socket->peer = peer;
    eio_probe_open(&socket->probe, session, &peer->settings, session != NULL ? &HERE : &ELSEWHERE,
                   peer->now_ms);
    return socket;
}

static struct socket *socket_new(struct peer *peer)
{
    return socket_new_for(peer, &peer->session);
}

static void socket_free(struct socket *socket)
{
    eio_probe_release(&socket->probe);
    CHECK(!timer_is_set(&socket->probe.timeout));
    buf_release(&socket->waiting);
    free(socket);
}

/* What the WebSocket has read goes to the probe and, once that is UPGRADED, to the session. */
static void receive_bytes(struct socket *socket, struct bytes data)
{
    struct peer *peer = socket->peer;
    struct buf *waiting = &socket->waiting;
    buf_append_bytes(waiting, data);
    buf_consume(waiting,
                eio_probe_receive(&socket->probe, waiting->data, waiting->len, peer->now_ms));
    if (socket->probe.state == EIO_PROBE_UPGRADED && peer->session.transport == EIO_WEBSOCKET) {
        buf_consume(waiting,
                    eio_session_receive(&peer->session, waiting->data, waiting->len, peer->now_ms));
    }
}

static void receive_frame(struct socket *socket, unsigned first, struct bytes payload)
{
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, first, payload);
    receive_bytes(socket, buf_bytes(&frame));
    buf_release(&frame);
}

static void receive(struct socket *socket, const char *packet)
{
    receive_frame(socket, CLIENT_FIN | WS_TEXT, bytes_of_string(packet));
}

static void expect_frame(struct bytes *frames, enum ws_opcode opcode, struct bytes payload)
{
    enum ws_opcode found_opcode = WS_CONTINUATION;
    struct bytes found = {0};
    CHECK(server_take_frame(frames, &found_opcode, &found));
    assert_int_equal(found_opcode, opcode);
    CHECK(bytes_equal(found, payload));
}

/* The probe writes this one frame and no other. */
static void expect_written(struct socket *socket, enum ws_opcode opcode, struct bytes payload)
{
    struct iovec iov = {0};
    CHECK(socket->outputs > 0);
    socket->outputs = 0;
    CHECK(eio_probe_peek(&socket->probe, &iov, 1) == 1);
    struct bytes frames = bytes_of(iov.iov_base, iov.iov_len);
    expect_frame(&frames, opcode, payload);
    assert_int_equal(frames.len, 0);
    eio_probe_advance(&socket->probe, iov.iov_len);
    CHECK(eio_probe_peek(&socket->probe, &iov, 1) == 0);
}

static void expect_closed(struct socket *socket)
{
    assert_int_equal(socket->probe.state, EIO_PROBE_CLOSED);
    CHECK(socket->probe.session == NULL && !timer_is_set(&socket->probe.timeout));
    expect_written(socket, WS_CLOSE, BYTES(""));
}

/* The session writes these text frames to its WebSocket, each followed by '|', and no other. */
static void expect_session_writes(struct peer *peer, const char *packets)
{
    struct buf text = BUF_INIT;
    struct iovec iov[4];
    size_t count;
    while ((count = eio_session_peek(&peer->session, iov, COUNT_OF(iov))) > 0) {
        size_t written = 0;
        for (size_t i = 0; i < count; i++) {
            struct bytes frames = bytes_of(iov[i].iov_base, iov[i].iov_len), payload;
            enum ws_opcode opcode;
            while (server_take_frame(&frames, &opcode, &payload)) {
                buf_append_bytes(&text, payload);
                buf_append_char(&text, '|');
            }
            assert_int_equal(frames.len, 0);
            written += iov[i].iov_len;
        }
        eio_session_advance(&peer->session, written);
    }
    CHECK_TEXT(buf_bytes(&text), packets);
    buf_release(&text);
}

static struct socket *probed(struct peer *peer)
{
    struct socket *socket = socket_new(peer);
    receive(socket, "2probe");
    expect_written(socket, WS_TEXT, BYTES("3probe"));
    return socket;
}

static struct socket *upgraded(struct peer *peer)
{
    struct socket *socket = probed(peer);
    receive(socket, "5");
    assert_int_equal(socket->probe.state, EIO_PROBE_UPGRADED);
    assert_int_equal(peer->session.transport, EIO_WEBSOCKET);
    return socket;
}

static void expect_polling_goes_on(struct peer *peer)
{
    CHECK(peer->session.probe == NULL);
    assert_int_equal(peer->session.transport, EIO_POLLING);
    assert_int_equal(peer->closes, 0);
    expect_answer(peer, NULL);
    send_text(peer, "still polling");
    expect_answer(peer, "4still polling");
}

TEST(a_probe_is_answered_and_the_upgrade_flushes_what_waited)
{
    struct peer *peer = peer_new();
    struct socket *socket = socket_new(peer);
    send_text(peer, "before"); /* the WebSocket alone changes nothing yet */
    expect_answer(peer, "4before");
    expect_answer(peer, NULL);
    unsigned outputs = peer->outputs;
    receive(socket, "2probe");
    CHECK(peer->outputs > outputs); /* a GET that waits is to be answered */
    expect_written(socket, WS_TEXT, BYTES("3probe"));
    send_text(peer, "a");
    ws_append_frame(&peer->frames, WS_TEXT, BYTES("4log"));
    eio_session_send(&peer->session, BYTES("b"), true);
    outputs = peer->outputs;
    receive(socket, "5");
    assert_int_equal(peer->upgrades, 1);
    CHECK(peer->outputs > outputs);
    assert_int_equal(socket->probe.state, EIO_PROBE_UPGRADED);
    assert_int_equal(peer->session.upgrade, EIO_UPGRADE_DONE);
    expect_session_writes(peer, "4a|b|4log|");
    socket_free(socket);
    assert_int_equal(peer->session.state, EIO_STATE_OPEN);
    peer_free(peer);
}

TEST(while_it_is_probed_every_get_gets_a_noop)
{
    struct peer *peer = peer_new();
    struct socket *socket = probed(peer);
    for (int i = 0; i < 3; i++) {
        send_text(peer, "waits");
        ws_append_frame(&peer->frames, WS_TEXT, BYTES("4waits, too"));
        expect_answer(peer, "6");
    }
    receive(socket, "5");
    expect_answer(peer, "6"); /* a GET that is still open then */
    expect_session_writes(peer, "4waits|4waits|4waits|4waits, too|4waits, too|4waits, too|");
    expect_answer(peer, "6");
    expect_session_writes(peer, ""); /* no noop ever goes onto the WebSocket */
    socket_free(socket);
    peer_free(peer);
}

TEST(posts_are_read_while_it_is_probed_and_refused_after_the_upgrade)
{
    struct peer *peer = peer_new();
    struct socket *socket = probed(peer);
    post(peer, "4a");
    receive(socket, "5");
    receive(socket, "4b");
    expect_post(peer, BYTES("4c"), EIO_POST_REFUSED);
    CHECK_TEXT(buf_bytes(&peer->received), "a|b|");
    assert_int_equal(peer->closes, 0);
    socket_free(socket);
    peer_free(peer);
}

TEST(what_comes_behind_the_upgrade_is_the_session_s)
{
    struct buf in = BUF_INIT;
    client_append_frame(&in, WS_TEXT, BYTES("2pr"));
    client_append_frame(&in, CLIENT_FIN | WS_CONTINUATION, BYTES("obe"));
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("5"));
    client_append_frame(&in, CLIENT_FIN | WS_TEXT, BYTES("4a"));
    client_append_frame(&in, CLIENT_FIN | WS_BINARY,
                        BYTES("a message that is longer than any that a probe may be sent: far "
                              "more than 64 bytes"));
    for (size_t step = 1; step <= in.len; step++) {
        struct peer *peer = peer_new();
        struct socket *socket = socket_new(peer);
        for (size_t i = 0; i < in.len; i += step) {
            receive_bytes(socket, bytes_of(in.data + i, MIN_OF(step, in.len - i)));
        }
        assert_int_equal(socket->waiting.len, 0);
        CHECK(bytes_start_with(buf_bytes(&peer->received), BYTES("a|<a message")));
        expect_session_writes(peer, "3probe|"); /* which had not been written yet */
        socket_free(socket);
        peer_free(peer);
    }
    buf_release(&in);
}

TEST(anything_but_probe_and_upgrade_closes_only_the_websocket)
{
    static const char *const PACKETS[] = {"5", "",  "2", "2probe ", "2Probe", "3probe", "4a",
                                          "1", "6", "0", "x",       "5 ",     "55"};
    for (size_t i = 0; i < COUNT_OF(PACKETS); i++) {
        struct peer *peer = peer_new();
        struct socket *socket = socket_new(peer);
        receive(socket, PACKETS[i]);
        expect_closed(socket);
        expect_polling_goes_on(peer);
        socket_free(socket);
        peer_free(peer);
    }
    for (size_t i = 1; i < COUNT_OF(PACKETS); i++) {
        struct peer *peer = peer_new();
        struct socket *socket = probed(peer);
        receive(socket, PACKETS[i]);
        expect_closed(socket);
        expect_polling_goes_on(peer);
        receive(socket, "5"); /* too late: nobody reads it */
        assert_int_equal(socket->waiting.len, 0);
        expect_polling_goes_on(peer);
        socket_free(socket);
        peer_free(peer);
    }
}

TEST(frames_that_no_probe_needs_close_only_the_websocket)
{
    struct peer *peer = peer_new();
    struct socket *socket = socket_new(peer);
    receive_frame(socket, CLIENT_FIN | WS_BINARY, BYTES("2probe"));
    expect_closed(socket);
    socket_free(socket);

    socket = socket_new(peer);
    receive_frame(socket, CLIENT_FIN | 0x40 | WS_TEXT, BYTES("2probe"));
    assert_int_equal(socket->probe.state, EIO_PROBE_CLOSED);
    expect_written(socket, WS_CLOSE, BYTES("\x03\xEA"));
    socket_free(socket);

    socket = socket_new(peer);
    char too_long[EIO_PROBE_MESSAGE_BYTES_MAX + 1] = "2probe";
    receive_frame(socket, CLIENT_FIN | WS_TEXT, bytes_of(too_long, sizeof(too_long)));
    expect_written(socket, WS_CLOSE, BYTES("\x03\xF1"));
    socket_free(socket);

    socket = socket_new(peer);
    receive_frame(socket, CLIENT_FIN | WS_CLOSE, BYTES("\x03\xE8"));
    expect_written(socket, WS_CLOSE, BYTES("\x03\xE8"));
    socket_free(socket);
    expect_polling_goes_on(peer);
    peer_free(peer);
}

TEST(a_probe_that_is_sent_again_is_answered_again)
{
    struct peer *peer = peer_new();
    struct socket *socket = probed(peer);
    receive(socket, "2probe");
    expect_written(socket, WS_TEXT, BYTES("3probe"));
    receive(socket, "5");
    assert_int_equal(peer->upgrades, 1);
    socket_free(socket);
    peer_free(peer);
}

/* Keeps the heartbeat of a session that polls going until @until_ms. */
static void poll_until(struct peer *peer, uint64_t until_ms, const char *answer)
{
    while (peer->now_ms < until_ms) {
        uint64_t next = MIN_OF(peer->now_ms + PING_INTERVAL, until_ms);
        run(peer, next);
        struct buf out = BUF_INIT;
        if (eio_session_poll(&peer->session, &out, ANSWER_MAX, peer->now_ms) &&
            out.data[0] == EIO_PING) {
            post(peer, "3");
        } else {
            CHECK_TEXT(buf_bytes(&out), answer);
        }
        buf_release(&out);
    }
}

TEST(an_upgrade_that_takes_ten_seconds_closes_only_the_websocket)
{
    struct peer *peer = peer_new();
    struct socket *socket = probed(peer);
    send_text(peer, "waits");
    poll_until(peer, START + UPGRADE_TIMEOUT - 1, "6");
    assert_int_equal(socket->probe.state, EIO_PROBE_ANSWERED);
    run(peer, START + UPGRADE_TIMEOUT);
    expect_closed(socket);
    assert_int_equal(peer->closes, 0);
    expect_answer(peer, "4waits");
    expect_polling_goes_on(peer);
    socket_free(socket);

    uint64_t now_ms = peer->now_ms;
    socket = socket_new(peer); /* one that says nothing, either; and another upgrade may be tried */
    poll_until(peer, now_ms + UPGRADE_TIMEOUT - 1, "");
    assert_int_equal(socket->probe.state, EIO_PROBE_WAITING);
    run(peer, now_ms + UPGRADE_TIMEOUT);
    expect_closed(socket);
    socket_free(socket);
    socket = upgraded(peer);
    socket_free(socket);
    peer_free(peer);
}

TEST(a_websocket_that_is_gone_leaves_the_session_polling)
{
    struct peer *peer = peer_new();
    struct socket *socket = socket_new(peer);
    socket_free(socket);
    expect_polling_goes_on(peer);
    socket = probed(peer);
    send_text(peer, "waits");
    expect_answer(peer, "6");
    socket_free(socket);
    expect_answer(peer, "4waits");
    expect_polling_goes_on(peer);
    peer_free(peer);
}

TEST(a_second_websocket_is_closed_and_the_first_goes_on)
{
    struct peer *peer = peer_new();
    struct socket *first = socket_new(peer);
    struct socket *second = socket_new(peer);
    expect_closed(second);
    receive(second, "2probe");
    CHECK(second->waiting.len == 0);
    socket_free(second);

    receive(first, "2probe");
    expect_written(first, WS_TEXT, BYTES("3probe"));
    second = socket_new(peer);
    expect_closed(second);
    socket_free(second);
    expect_answer(peer, "6");

    receive(first, "5");
    second = socket_new(peer);
    expect_closed(second);
    socket_free(second);
    receive(first, "4a");
    send_text(peer, "b");
    CHECK_TEXT(buf_bytes(&peer->received), "a|");
    expect_session_writes(peer, "4b|");
    socket_free(first);
    peer_free(peer);
}

TEST(a_session_on_a_websocket_takes_no_upgrade)
{
    struct peer *peer = peer_new_with(EIO_WEBSOCKET);
    struct socket *socket = socket_new(peer);
    expect_closed(socket);
    socket_free(socket);
    assert_int_equal(peer->session.state, EIO_STATE_OPEN);
    peer_free(peer);
}

TEST(a_ping_that_is_due_while_it_is_probed_goes_by_polling)
{
    struct peer *peer = peer_new();
    run(peer, START + PING_INTERVAL - 1);
    struct socket *socket = probed(peer);
    run(peer, START + PING_INTERVAL);
    expect_answer(peer, "2\x1e"
                        "6");
    expect_answer(peer, "6");
    post(peer, "3");
    run(peer, START + PING_INTERVAL + PING_TIMEOUT);
    assert_int_equal(peer->closes, 0);
    receive(socket, "5");
    expect_session_writes(peer, "");
    run(peer, START + 2 * PING_INTERVAL);
    expect_session_writes(peer, "2|");
    socket_free(socket);
    peer_free(peer);
}

TEST(a_ping_that_no_get_fetched_goes_by_the_websocket)
{
    struct peer *peer = peer_new();
    struct socket *socket = probed(peer);
    run(peer, START + PING_INTERVAL);
    send_text(peer, "a");
    receive(socket, "5");
    expect_session_writes(peer, "2|4a|");
    receive(socket, "3");
    run(peer, START + PING_INTERVAL + PING_TIMEOUT);
    assert_int_equal(peer->closes, 0);
    socket_free(socket);
    peer_free(peer);
}

TEST(a_pong_may_come_by_the_other_transport)
{
    struct peer *peer = peer_new();
    run(peer, START + PING_INTERVAL);
    expect_answer(peer, "2");
    struct socket *socket = upgraded(peer);
    run(peer, START + PING_INTERVAL + PING_TIMEOUT - 1);
    receive(socket, "3");
    run(peer, START + PING_INTERVAL + PING_TIMEOUT);
    assert_int_equal(peer->closes, 0);
    socket_free(socket);
    peer_free(peer);
}

TEST(a_session_that_ends_takes_its_probe_with_it)
{
    for (int how = 0; how < 5; how++) {
        struct peer *peer = peer_new();
        struct socket *socket = probed(peer);
        switch (how) {
        case 0: run(peer, START + PING_INTERVAL), run(peer, START + UPGRADE_TIMEOUT / 2); break;
        case 1: post(peer, "1"); break;
        case 2:
            eio_session_close(&peer->session, EIO_CLOSE_SERVER, WS_CLOSE_NORMAL, peer->now_ms);
            break;
        case 3: eio_session_transport_closed(&peer->session, peer->now_ms); break;
        default:
            for (int i = 0; i < OUTBOX_MAX; i++) {
                send_text(peer, "flood");
            }
            run(peer, peer->now_ms + 1);
        }
        assert_int_equal(peer->closes, 1);
        expect_closed(socket);
        receive(socket, "5");
        peer_free(peer);
        socket_free(socket);
    }
}

TEST(a_probe_may_outlive_its_session_and_the_other_way_round)
{
    struct peer *peer = peer_new();
    struct socket *socket = probed(peer);
    eio_session_release(&peer->session); /* at the server's end: nothing is called back */
    assert_int_equal(socket->outputs, 0);
    assert_int_equal(socket->probe.state, EIO_PROBE_CLOSED);
    CHECK(socket->probe.session == NULL);
    socket_free(socket);
    peer->closes = 1;
    peer_free(peer);

    peer = peer_new();
    socket = upgraded(peer);
    socket_free(socket);
    CHECK(peer->session.probe == NULL);
    peer_free(peer);
}

TEST(websocket_pings_are_answered_until_their_sender_does_not_read)
{
    struct peer *peer = peer_new();
    struct socket *socket = socket_new(peer);
    receive_frame(socket, CLIENT_FIN | WS_PING, BYTES("hi"));
    expect_written(socket, WS_PONG, BYTES("hi"));
    for (size_t written = 4; written <= EIO_PROBE_OUTBOX_BYTES_MAX; written += 4) {
        assert_int_equal(socket->probe.state, EIO_PROBE_WAITING);
        receive_frame(socket, CLIENT_FIN | WS_PING, BYTES("hi"));
    }
    assert_int_equal(socket->probe.state, EIO_PROBE_WAITING);
    receive_frame(socket, CLIENT_FIN | WS_PING, BYTES("hi"));
    assert_int_equal(socket->probe.state, EIO_PROBE_CLOSED);
    struct iovec iov;
    CHECK(eio_probe_peek(&socket->probe, &iov, 1) == 0);
    expect_polling_goes_on(peer);
    socket_free(socket);
    peer_free(peer);
}

TEST(a_half_written_answer_is_finished_before_anything_else)
{
    struct peer *peer = peer_new();
    struct socket *socket = socket_new(peer);
    receive(socket, "2probe");
    eio_probe_advance(&socket->probe, 3); /* header and "3" */
    send_text(peer, "a");
    receive(socket, "5");
    struct iovec iov[2];
    CHECK(eio_session_peek(&peer->session, iov, 2) == 1);
    CHECK(bytes_equal(bytes_of(iov[0].iov_base, iov[0].iov_len), BYTES("probe\x81\x02"
                                                                       "4a")));
    socket_free(socket);
    peer_free(peer);
}

TEST(a_session_elsewhere_answers_when_it_can)
{
    struct peer *peer = peer_new(); /* here only for its settings and its clock */
    struct socket *socket = socket_new_for(peer, NULL);
    receive(socket, "2probe");
    assert_int_equal(socket->probes, 1);
    assert_int_equal(socket->probe.state, EIO_PROBE_ASKED);
    assert_int_equal(socket->outputs, 0);
    eio_probe_answer(&socket->probe);
    eio_probe_answer(&socket->probe);
    expect_written(socket, WS_TEXT, BYTES("3probe"));
    receive(socket, "5");
    assert_int_equal(socket->upgrades, 1);
    assert_int_equal(socket->probe.state, EIO_PROBE_MOVING);
    receive(socket, "4kept");
    CHECK(socket->waiting.len > 0);
    struct buf unwritten = BUF_INIT;
    eio_probe_take(&socket->probe, &unwritten);
    assert_int_equal(unwritten.len, 0);
    assert_int_equal(socket->probe.state, EIO_PROBE_UPGRADED);
    CHECK(!timer_is_set(&socket->probe.timeout));
    CHECK(socket->waiting.len > 0);
    socket_free(socket);
    peer_free(peer);
}

TEST(a_session_elsewhere_may_refuse_or_never_answer)
{
    struct peer *peer = peer_new();
    struct socket *refused = socket_new_for(peer, NULL);
    struct socket *asked = socket_new_for(peer, NULL);
    struct socket *moving = socket_new_for(peer, NULL);
    receive(refused, "2probe");
    eio_probe_close(&refused->probe);
    expect_closed(refused);
    eio_probe_answer(&refused->probe); /* late */
    assert_int_equal(refused->probe.state, EIO_PROBE_CLOSED);
    receive(asked, "2probe");
    receive(moving, "2probe");
    eio_probe_answer(&moving->probe);
    expect_written(moving, WS_TEXT, BYTES("3probe"));
    receive(moving, "5");
    poll_until(peer, START + UPGRADE_TIMEOUT, "");
    expect_closed(asked);
    expect_closed(moving);
    socket_free(refused);
    socket_free(asked);
    socket_free(moving);
    peer_free(peer);
}

TEST(an_upgrade_from_elsewhere_is_claimed_once)
{
    struct peer *peer = peer_new();
    CHECK(!eio_session_upgrade_probed(&peer->session));
    CHECK(eio_session_upgrade_claim(&peer->session));
    CHECK(!eio_session_upgrade_claim(&peer->session));
    struct socket *socket = socket_new(peer);
    expect_closed(socket);
    socket_free(socket);
    CHECK(eio_session_upgrade_probed(&peer->session));
    CHECK(!eio_session_upgrade_probed(&peer->session));
    expect_answer(peer, "6");
    eio_session_upgrade_failed(&peer->session);
    expect_polling_goes_on(peer);
    socket = upgraded(peer);
    eio_session_upgrade_failed(&peer->session); /* late: nothing happens */
    assert_int_equal(peer->session.upgrade, EIO_UPGRADE_DONE);
    socket_free(socket);
    peer_free(peer);
}

/* A server that has no session yet, with a WebSocket whose session is @owner's and has got its "5". */
static struct socket *moving_from(struct peer *owner)
{
    struct peer *other = peer_new();
    eio_session_release(&other->session);
    struct socket *socket = socket_new_for(other, NULL);
    receive(socket, "2probe");
    CHECK(eio_session_upgrade_claim(&owner->session));
    CHECK(eio_session_upgrade_probed(&owner->session));
    eio_probe_answer(&socket->probe);
    expect_written(socket, WS_TEXT, BYTES("3probe"));
    receive(socket, "5");
    return socket;
}

static void take_over(struct socket *socket, const struct eio_handover *handover,
                      struct bytes undelivered)
{
    struct peer *peer = socket->peer;
    eio_session_take_over(&peer->session, &peer->settings, "abcdefghij0123456789", handover,
                          undelivered, &socket->probe, peer->now_ms);
    CHECK(peer->session.state == EIO_STATE_OPEN && peer->session.transport == EIO_WEBSOCKET);
    CHECK(peer->outputs > 0 && socket->probe.state == EIO_PROBE_UPGRADED);
}

TEST(a_session_moves_with_all_that_it_has_not_sent)
{
    struct peer *owner = peer_new();
    struct socket *socket = moving_from(owner);
    send_text(owner, "a");
    run(owner, START + PING_INTERVAL);
    struct buf undelivered = BUF_INIT;
    struct eio_handover handover;
    CHECK(eio_session_hand_over(&owner->session, &undelivered, &handover, owner->now_ms));
    assert_int_equal(owner->closes, 1);
    assert_int_equal(owner->reason, EIO_CLOSE_MOVED);
    expect_answer(owner, "6"); /* a GET that waits there */
    CHECK(!eio_session_hand_over(&owner->session, &undelivered, &handover, owner->now_ms));

    struct peer *other = socket->peer;
    receive(socket, "4early"); /* waits for the session */
    take_over(socket, &handover, buf_bytes(&undelivered));
    receive(socket, "4b");
    CHECK_TEXT(buf_bytes(&other->received), "early|b|");
    expect_session_writes(other, "2|4a|");
    buf_release(&undelivered);
    socket_free(socket);
    peer_free(other);
    peer_free(owner);
}

TEST(the_heartbeat_of_a_session_that_moves_goes_on_where_it_was)
{
    struct peer *owner = peer_new();
    run(owner, START + PING_INTERVAL);
    expect_answer(owner, "2");
    run(owner, START + PING_INTERVAL + 50);
    struct socket *socket = moving_from(owner);
    struct peer *other = socket->peer; /* its clock says START */
    struct buf undelivered = BUF_INIT;
    struct eio_handover handover;
    CHECK(eio_session_hand_over(&owner->session, &undelivered, &handover, owner->now_ms));
    assert_int_equal(handover.heartbeat_in_ms, PING_TIMEOUT - 50);
    CHECK(handover.awaits_pong && undelivered.len == 0);
    take_over(socket, &handover, buf_bytes(&undelivered));
    run(other, START + PING_TIMEOUT - 51);
    assert_int_equal(other->closes, 0);
    run(other, START + PING_TIMEOUT - 50);
    assert_int_equal(other->reason, EIO_CLOSE_PING_TIMEOUT);
    socket_free(socket);
    peer_free(other);
    peer_free(owner);
}

TEST(only_a_session_that_is_probed_from_elsewhere_is_handed_over)
{
    struct peer *peer = peer_new();
    struct buf undelivered = BUF_INIT;
    struct eio_handover handover;
    CHECK(!eio_session_hand_over(&peer->session, &undelivered, &handover, peer->now_ms));
    struct socket *socket = probed(peer);
    CHECK(!eio_session_hand_over(&peer->session, &undelivered, &handover, peer->now_ms));
    assert_int_equal(peer->closes, 0);
    socket_free(socket);
    peer_free(peer);
}

TEST_MAIN(TEST_OF(a_probe_is_answered_and_the_upgrade_flushes_what_waited),
          TEST_OF(while_it_is_probed_every_get_gets_a_noop),
          TEST_OF(posts_are_read_while_it_is_probed_and_refused_after_the_upgrade),
          TEST_OF(what_comes_behind_the_upgrade_is_the_session_s),
          TEST_OF(anything_but_probe_and_upgrade_closes_only_the_websocket),
          TEST_OF(frames_that_no_probe_needs_close_only_the_websocket),
          TEST_OF(a_probe_that_is_sent_again_is_answered_again),
          TEST_OF(an_upgrade_that_takes_ten_seconds_closes_only_the_websocket),
          TEST_OF(a_websocket_that_is_gone_leaves_the_session_polling),
          TEST_OF(a_second_websocket_is_closed_and_the_first_goes_on),
          TEST_OF(a_session_on_a_websocket_takes_no_upgrade),
          TEST_OF(a_ping_that_is_due_while_it_is_probed_goes_by_polling),
          TEST_OF(a_ping_that_no_get_fetched_goes_by_the_websocket),
          TEST_OF(a_pong_may_come_by_the_other_transport),
          TEST_OF(a_session_that_ends_takes_its_probe_with_it),
          TEST_OF(a_probe_may_outlive_its_session_and_the_other_way_round),
          TEST_OF(websocket_pings_are_answered_until_their_sender_does_not_read),
          TEST_OF(a_half_written_answer_is_finished_before_anything_else),
          TEST_OF(a_session_elsewhere_answers_when_it_can),
          TEST_OF(a_session_elsewhere_may_refuse_or_never_answer),
          TEST_OF(an_upgrade_from_elsewhere_is_claimed_once),
          TEST_OF(a_session_moves_with_all_that_it_has_not_sent),
          TEST_OF(the_heartbeat_of_a_session_that_moves_goes_on_where_it_was),
          TEST_OF(only_a_session_that_is_probed_from_elsewhere_is_handed_over))
