#include "eio_peer.h"
#include "wire/base64.h"

TEST(the_open_packet_offers_the_upgrade_and_comes_alone)
{
    struct peer *peer = peer_new_with(EIO_POLLING);
    CHECK(peer->outputs > 0);
    send_text(peer, "early");
    expect_answer(peer, "0{\"sid\":\"abcdefghij0123456789\",\"upgrades\":[\"websocket\"],"
                        "\"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":1000}");
    expect_answer(peer, "4early");
    peer_free(peer);
}

TEST(an_idle_session_is_small_and_owns_no_heap)
{
    static_assert(sizeof(struct eio_session) <= 112, "what polling adds is two words");
    struct peer *peer = peer_new();
    CHECK(peer->session.outbox.data == NULL && peer->session.reader.fragments == NULL);
    CHECK(peer->session.probe == NULL);
    peer_free(peer);
}

TEST(a_get_waits_until_there_is_something)
{
    struct peer *peer = peer_new();
    expect_answer(peer, NULL);
    unsigned outputs = peer->outputs;
    send_text(peer, "hello");
    CHECK(peer->outputs > outputs);
    expect_answer(peer, "4hello");
    expect_answer(peer, NULL);
    peer_free(peer);
}

TEST(packets_are_joined_and_binary_is_in_base64)
{
    struct peer *peer = peer_new();
    send_text(peer, "a");
    eio_session_send(&peer->session, BYTES("\x01\x02\x03\x04"), true);
    send_text(peer, "");
    eio_session_send(&peer->session, BYTES(""), true);
    send_text(peer, "ü");
    expect_answer(peer, "4a\x1e"
                        "bAQIDBA==\x1e"
                        "4\x1e"
                        "b\x1e"
                        "4ü");
    peer_free(peer);
}

TEST(a_payload_stops_behind_the_packet_with_which_it_is_full)
{
    struct peer *peer = peer_new();
    for (int i = 0; i < 4; i++) {
        send_text(peer, "12345");
    }
    expect_answer_within(peer, 6, "412345");
    expect_answer_within(peer, 7,
                         "412345\x1e"
                         "412345");
    expect_answer_within(peer, 1, "412345"); /* a packet is never cut */
    expect_answer(peer, NULL);
    peer_free(peer);
}

TEST(the_user_s_frames_follow_the_outbox)
{
    struct peer *peer = peer_new();
    ws_append_frame(&peer->frames, WS_TEXT, BYTES("4log1"));
    ws_append_frame(&peer->frames, WS_TEXT, BYTES("4log2"));
    ws_append_frame(&peer->frames, WS_TEXT, BYTES("4log3"));
    send_text(peer, "ack");
    expect_answer_within(peer, 10,
                         "4ack\x1e"
                         "4log1");
    send_text(peer, "more");
    expect_answer(peer, "4more\x1e"
                        "4log2\x1e"
                        "4log3");
    expect_answer(peer, NULL);
    peer_free(peer);
}

TEST(frames_of_every_length_are_transcribed)
{
    static const size_t LENGTHS[] = {1, 125, 126, 65535, 65536};
    for (size_t i = 0; i < COUNT_OF(LENGTHS); i++) {
        struct peer *peer = peer_new();
        struct buf payload = BUF_INIT, out = BUF_INIT;
        memset(buf_reserve(&payload, LENGTHS[i]), '4', LENGTHS[i]);
        payload.len = LENGTHS[i];
        ws_append_frame(&peer->frames, WS_TEXT, buf_bytes(&payload));
        CHECK(eio_session_poll(&peer->session, &out, ANSWER_MAX, peer->now_ms));
        CHECK(bytes_equal(buf_bytes(&out), buf_bytes(&payload)));
        buf_release(&payload);
        buf_release(&out);
        peer_free(peer);
    }
}

TEST(a_post_may_hold_several_packets)
{
    struct peer *peer = peer_new();
    post(peer, "4a\x1e"
               "4\x1e"
               "bAQID\x1e"
               "3\x1e"
               "4ü");
    CHECK_TEXT(buf_bytes(&peer->received), "a||<\x01\x02\x03>|ü|");
    expect_answer(peer, NULL);
    peer_free(peer);
}

TEST(an_echo_comes_back_as_it_went)
{
    struct peer *peer = peer_new();
    peer->reaction = DO_ECHO;
    post(peer, "4hello\x1e"
               "bAQIDBA==");
    expect_answer(peer, "4hello\x1e"
                        "bAQIDBA==");
    peer_free(peer);
}

TEST(a_malformed_post_closes_the_session)
{
    static const char *const BODIES[] = {
        "",       "abc",       "\x1e",   "4a\x1e", "\x1e\x34",  "4\x1e\x1e\x34", "2",
        "2probe", "7",         "b!",     "bA",     "bAQIDBA=A", "bAQIDB===",     "bA===",
        "bAQ=I",  "bAQ==AQ==", "bAQID ", "b-_-_",  "4\xff",     "4\xed\xa0\x80", "4\x1e\x34\xc3",
    };
    for (size_t i = 0; i < COUNT_OF(BODIES); i++) {
        struct peer *peer = peer_new();
        send_text(peer, "lost");
        expect_post(peer, bytes_of_string(BODIES[i]), EIO_POST_REFUSED);
        assert_int_equal(peer->closes, 1);
        assert_int_equal(peer->reason, EIO_CLOSE_PROTOCOL);
        assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
        expect_answer(peer, "1"); /* for a GET that waits */
        peer_free(peer);
    }
}

TEST(packets_in_front_of_a_malformed_one_are_read_and_none_behind_it)
{
    struct peer *peer = peer_new();
    expect_post(peer, BYTES("4a\x1ex\x1e\x34\x62"), EIO_POST_REFUSED);
    CHECK_TEXT(buf_bytes(&peer->received), "a|");
    peer_free(peer);
}

TEST(packets_that_mean_nothing_from_a_client_are_ignored)
{
    struct peer *peer = peer_new();
    post(peer, "0\x1e"
               "5\x1e"
               "6\x1e"
               "4a");
    CHECK_TEXT(buf_bytes(&peer->received), "a|");
    assert_int_equal(peer->closes, 0);
    peer_free(peer);
}

TEST(a_body_at_the_limit_is_read_and_one_past_it_is_not)
{
    struct peer *peer = peer_new();
    char body[PAYLOAD_MAX + 1];
    memset(body, '4', sizeof(body));
    expect_post(peer, bytes_of(body, PAYLOAD_MAX + 1), EIO_POST_TOO_LARGE);
    assert_int_equal(peer->received.len, 0);
    assert_int_equal(peer->closes, 0);
    expect_post(peer, bytes_of(body, PAYLOAD_MAX), EIO_POST_OK);
    assert_int_equal(peer->received.len, PAYLOAD_MAX);
    peer_free(peer);
}

TEST(a_close_packet_ends_the_session_and_a_waiting_get_gets_a_noop)
{
    struct peer *peer = peer_new();
    expect_answer(peer, NULL);
    post(peer, "4a\x1e"
               "1\x1e"
               "4b\x1e"
               "x");
    CHECK_TEXT(buf_bytes(&peer->received), "a|");
    assert_int_equal(peer->reason, EIO_CLOSE_PEER);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    expect_answer(peer, "6");
    expect_post(peer, BYTES("4late"), EIO_POST_REFUSED);
    peer_free(peer);
}

TEST(a_server_s_close_gives_the_next_get_what_is_left_and_the_close_packet)
{
    struct peer *peer = peer_new();
    send_text(peer, "a");
    send_text(peer, "b");
    ws_append_frame(&peer->frames, WS_TEXT, BYTES("4never"));
    unsigned outputs = peer->outputs;
    eio_session_close(&peer->session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, peer->now_ms);
    CHECK(peer->outputs > outputs && peer->closes == 1);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSING);
    send_text(peer, "late");
    post(peer, "4unread");
    assert_int_equal(peer->received.len, 0);
    run(peer, START + EIO_CLOSE_WAIT_MS - 1);
    expect_answer_within(peer, 1,
                         "4a\x1e"
                         "4b\x1e"
                         "1");
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    assert_int_equal(timers_next_due(&peer->timers), TIMER_NEVER);
    peer_free(peer);
}

TEST(a_server_s_close_that_nobody_fetches_is_over_after_30_seconds)
{
    struct peer *peer = peer_new();
    send_text(peer, "a");
    eio_session_close(&peer->session, EIO_CLOSE_SERVER, WS_CLOSE_GOING_AWAY, peer->now_ms);
    run(peer, START + EIO_CLOSE_WAIT_MS - 1);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSING);
    unsigned outputs = peer->outputs;
    run(peer, START + EIO_CLOSE_WAIT_MS);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    CHECK(peer->outputs > outputs);
    CHECK(peer->session.outbox.data == NULL);
    peer_free(peer);
}

TEST(a_second_get_kills_the_session_and_the_first_gets_a_close_packet)
{
    struct peer *peer = peer_new();
    expect_answer(peer, NULL);
    eio_session_close(&peer->session, EIO_CLOSE_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, peer->now_ms);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    expect_answer(peer, "1");
    peer_free(peer);
}

TEST(an_aborted_request_closes_the_session)
{
    struct peer *peer = peer_new();
    send_text(peer, "a");
    eio_session_transport_closed(&peer->session, peer->now_ms);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_TRANSPORT);
    CHECK(peer->session.outbox.data == NULL);
    peer_free(peer);
}

TEST(pings_and_pongs_go_by_get_and_post)
{
    struct peer *peer = peer_new();
    run(peer, START + PING_INTERVAL - 1);
    expect_answer(peer, NULL);
    send_text(peer, "a");
    unsigned outputs = peer->outputs;
    run(peer, START + PING_INTERVAL);
    CHECK(peer->outputs > outputs);
    expect_answer(peer, "2\x1e"
                        "4a");
    run(peer, START + PING_INTERVAL + PING_TIMEOUT - 1);
    post(peer, "3");
    run(peer, START + 2 * PING_INTERVAL + PING_TIMEOUT - 2);
    expect_answer(peer, NULL);
    run(peer, START + 2 * PING_INTERVAL + PING_TIMEOUT - 1);
    expect_answer(peer, "2");
    expect_answer(peer, NULL);
    peer_free(peer);
}

TEST(without_a_pong_the_session_is_dead_at_the_timeout)
{
    struct peer *peer = peer_new();
    run(peer, START + PING_INTERVAL);
    run(peer, START + PING_INTERVAL + PING_TIMEOUT - 1);
    assert_int_equal(peer->closes, 0);
    run(peer, START + PING_INTERVAL + PING_TIMEOUT);
    assert_int_equal(peer->reason, EIO_CLOSE_PING_TIMEOUT);
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    expect_answer(peer, "1");
    peer_free(peer);
}

TEST(who_does_not_fetch_what_it_asked_for_is_closed)
{
    struct peer *peer = peer_new();
    peer->reaction = DO_FLOOD;
    expect_post(peer, BYTES("4flood\x1e\x34unread"), EIO_POST_REFUSED);
    CHECK_TEXT(buf_bytes(&peer->received), "flood|");
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->reason, EIO_CLOSE_OUTBOX_FULL);
    expect_answer(peer, "1");
    peer_free(peer);
}

TEST(a_full_outbox_is_told_by_the_next_call_with_a_time)
{
    struct peer *peer = peer_new();
    for (int i = 0; i < OUTBOX_MAX; i++) {
        send_text(peer, "flood");
    }
    assert_int_equal(peer->session.state, EIO_STATE_CLOSED);
    assert_int_equal(peer->closes, 0);
    expect_answer(peer, "1");
    assert_int_equal(peer->closes, 1);
    peer_free(peer);
}

TEST(a_callback_that_closes_ends_the_reading)
{
    struct peer *peer = peer_new();
    peer->reaction = DO_CLOSE;
    post(peer, "4a\x1e"
               "4b");
    CHECK_TEXT(buf_bytes(&peer->received), "a|");
    expect_answer(peer, "1");
    peer_free(peer);
}

static void expect_base64(struct bytes data, const char *text)
{
    struct buf out = BUF_INIT, back = BUF_INIT;
    base64_append(&out, data);
    CHECK_TEXT(buf_bytes(&out), text);
    CHECK(base64_decode(buf_bytes(&out), &back));
    CHECK(bytes_equal(buf_bytes(&back), data));
    while (out.len > 0 && out.data[out.len - 1] == '=') {
        out.len--;
    }
    buf_clear(&back);
    CHECK(base64_decode(buf_bytes(&out), &back));
    CHECK(bytes_equal(buf_bytes(&back), data));
    buf_release(&out);
    buf_release(&back);
}

TEST(base64_has_the_standard_alphabet_and_takes_missing_padding)
{
    expect_base64(BYTES(""), "");
    expect_base64(BYTES("f"), "Zg==");
    expect_base64(BYTES("fo"), "Zm8=");
    expect_base64(BYTES("foo"), "Zm9v");
    expect_base64(BYTES("foob"), "Zm9vYg==");
    expect_base64(BYTES("\xfb\xff\xbf"), "+/+/");
    expect_base64(BYTES("\0\x10\x83\x10\x51\x87\x20\x92\x8b"), "ABCDEFGHIJKL");
}

TEST(base64_may_have_line_breaks_as_the_java_client_makes_them)
{
    struct buf back = BUF_INIT;
    CHECK(base64_decode(BYTES("Zm9v\nYg=\r\n=\n"), &back));
    CHECK_TEXT(buf_bytes(&back), "foob");
    CHECK(base64_decode(BYTES("\n"), &back));
    CHECK(!base64_decode(BYTES("Zm9v\tYg=="), &back));
    CHECK(!base64_decode(BYTES("Zm9v\nY"), &back));
    CHECK(!base64_decode(BYTES("Zg=\nZg=="), &back));
    CHECK_TEXT(buf_bytes(&back), "foob");
    buf_release(&back);
}

TEST_MAIN(TEST_OF(the_open_packet_offers_the_upgrade_and_comes_alone),
          TEST_OF(an_idle_session_is_small_and_owns_no_heap),
          TEST_OF(a_get_waits_until_there_is_something),
          TEST_OF(packets_are_joined_and_binary_is_in_base64),
          TEST_OF(a_payload_stops_behind_the_packet_with_which_it_is_full),
          TEST_OF(the_user_s_frames_follow_the_outbox),
          TEST_OF(frames_of_every_length_are_transcribed), TEST_OF(a_post_may_hold_several_packets),
          TEST_OF(an_echo_comes_back_as_it_went), TEST_OF(a_malformed_post_closes_the_session),
          TEST_OF(packets_in_front_of_a_malformed_one_are_read_and_none_behind_it),
          TEST_OF(packets_that_mean_nothing_from_a_client_are_ignored),
          TEST_OF(a_body_at_the_limit_is_read_and_one_past_it_is_not),
          TEST_OF(a_close_packet_ends_the_session_and_a_waiting_get_gets_a_noop),
          TEST_OF(a_server_s_close_gives_the_next_get_what_is_left_and_the_close_packet),
          TEST_OF(a_server_s_close_that_nobody_fetches_is_over_after_30_seconds),
          TEST_OF(a_second_get_kills_the_session_and_the_first_gets_a_close_packet),
          TEST_OF(an_aborted_request_closes_the_session),
          TEST_OF(pings_and_pongs_go_by_get_and_post),
          TEST_OF(without_a_pong_the_session_is_dead_at_the_timeout),
          TEST_OF(who_does_not_fetch_what_it_asked_for_is_closed),
          TEST_OF(a_full_outbox_is_told_by_the_next_call_with_a_time),
          TEST_OF(a_callback_that_closes_ends_the_reading),
          TEST_OF(base64_has_the_standard_alphabet_and_takes_missing_padding),
          TEST_OF(base64_may_have_line_breaks_as_the_java_client_makes_them))
