/*
 * hub_handover_test.c - a client polls at one gateway and goes on, with a WebSocket, at another.
 */
#include "base/tests/testing.h"
#include "client_frames.h"
#include "fake_world.h"
#include "hub/limits.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_world world;

static int set_up(void **state)
{
    (void)state;
    fake_world_init(&world);
    fake_gateway_start(&world, 1, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_world_release(&world);
    return 0;
}

static struct fake_gateway *gateway(unsigned index)
{
    return &world.gateways[index];
}

/* One that polls at gateway 0. */
static struct fake_client *polling(const char *username, const char *auth)
{
    struct fake_client *client = fake_client_new(&world, username);
    fake_client_connect_polling(client, gateway(0));
    fake_client_join(client, "/", auth);
    fake_world_run(&world, 50);
    buf_clear(&client->seen);
    return client;
}

static struct fake_room *lobby(void)
{
    return fake_store_room(&world.store, BYTES("lobby"));
}

/* The store's Postgres is away: what is sent stays on its way. */
static void freeze_store(void)
{
    world.append_mode = FAKE_STORE_UNAVAILABLE;
}

TEST(a_client_goes_on_behind_the_last_message_that_it_got)
{
    struct fake_client *ann = polling("ann", "");
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "#1 one, ack 1 ok 1");
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 50);
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "#2 two, ack 2 ok 2");
    assert_int_equal(hub_stats(gateway(0)->hub)->clients, 0);
    assert_int_equal(hub_stats(gateway(0)->hub)->members, 0);
    assert_int_equal(hub_stats(gateway(1)->hub)->members, 1);
}

TEST(what_was_not_delivered_yet_comes_on_the_other_side)
{
    struct fake_client *ann = polling("ann", "");
    ann->window_left = 0; /* no GET waits */
    fake_client_send(ann, "/", "one", "");
    fake_client_send(ann, "/", "", ""); /* an error acknowledgement, which is in no log */
    fake_world_run(&world, 50);
    fake_client_saw(ann, "");
    ann->window_left = SIZE_MAX;
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 1200);
    fake_client_saw(ann, "ack 2 error invalid_message, #1 one, ack 1 ok 1");
}

TEST(outcomes_of_what_was_on_its_way_follow)
{
    struct fake_client *ann = polling("ann", "");
    freeze_store();
    fake_client_send(ann, "/", "one", "client-id-number-1");
    fake_world_run(&world, 10);
    fake_client_send(ann, "/", "two", ""); /* still in the room's queue */
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 500);
    fake_client_saw(ann, "");
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    fake_client_saw(ann, "#1 one, ack 1 ok 1, #2 two, ack 2 ok 2");
    assert_null(ann->awaits_from);
}

TEST(what_is_said_after_the_move_does_not_overtake_what_was_said_before)
{
    struct fake_client *ann = polling("ann", "");
    struct fake_client *bob = fake_client_new(&world, "bob");
    fake_client_connect(bob, gateway(1));
    fake_client_join(bob, "/", "");
    fake_world_run(&world, 50);
    buf_clear(&bob->seen);
    world.append_mode = FAKE_STORE_SILENT; /* frozen: it may commit yet */
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 10);
    fake_client_upgrade(ann, gateway(1));
    fake_client_send(ann, "/", "two", "");
    world.append_mode =
        FAKE_STORE_UP; /* the first append is not asked for again before its time is up */
    fake_client_send(bob, "/", "others are not held", "");
    fake_world_run(&world, 100);
    fake_client_saw(bob, "#1 others are not held, ack 1 ok 1");
    fake_world_run(&world, 5000);
    fake_client_saw(bob, "#2 one, #3 two");
    fake_client_saw(ann, "#1 others are not held, #2 one, ack 1 ok 2, #3 two, ack 2 ok 3");
}

TEST(a_send_that_misses_its_deadline_is_told_where_the_client_is_now)
{
    struct fake_client *ann = polling("ann", "");
    freeze_store();
    fake_client_send(ann, "/", "one", "client-id-number-1");
    fake_world_run(&world, 10);
    fake_client_upgrade(ann, gateway(1));
    fake_client_send(ann, "/", "two", "client-id-number-2");
    fake_world_run(&world, 9000);
    fake_client_saw(ann,
                    "error unavailable client-id-number-1, error unavailable client-id-number-2");
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    fake_client_saw(ann,
                    "#1 one"); /* it was sent, so it may be stored yet; the other one was not */
    assert_null(ann->awaits_from);
    fake_client_send(ann, "/", "three", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "#2 three, ack 3 ok 2");
}

TEST(what_missed_its_deadline_before_the_move_is_not_overtaken_either)
{
    struct fake_client *ann = polling("ann", "");
    world.append_mode = FAKE_STORE_SILENT; /* frozen: it may commit yet */
    fake_client_send(ann, "/", "one", "client-id-number-1");
    fake_world_run(&world, 9000);
    fake_client_saw(ann, "error unavailable client-id-number-1");
    fake_client_upgrade(ann, gateway(1));
    world.append_mode = FAKE_STORE_UP;
    fake_client_send(ann, "/", "two", "client-id-number-2");
    fake_world_run(&world, 5000);
    fake_client_saw(ann, "#1 one, #2 two, ack 2 ok 2");
}

TEST(a_refused_message_is_told_where_the_client_is_now)
{
    struct fake_client *ann = polling("ann", "");
    world.append_mode = FAKE_STORE_INVALID;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 0);
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 100);
    fake_client_saw(ann, "ack 1 error invalid_message");
    assert_null(ann->awaits_from);
}

TEST(the_old_owners_death_ends_a_session_that_waits_for_it_and_no_other)
{
    struct fake_client *ann = polling("ann", "");
    struct fake_client *bob = polling("bob", "");
    freeze_store();
    fake_client_send(ann, "/", "one", "client-id-number-1");
    fake_world_run(&world, 10);
    fake_client_upgrade(ann, gateway(1));
    fake_client_upgrade(bob, gateway(1));
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 100);
    fake_gateway_kill(gateway(0));
    fake_world_run(&world, 100);
    fake_client_saw(ann, "closed");
    world.append_mode = FAKE_STORE_UP;
    fake_client_connect(ann, gateway(1));
    fake_client_rejoin(ann, "/");
    fake_world_run(&world, 50);
    fake_client_send(ann, "/", "one", "client-id-number-1");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "resumed, #1 one, ack 3 ok 1");
    fake_client_saw(bob, "#1 one");
}

TEST(a_session_that_moves_to_where_it_is_being_resumed_gives_way)
{
    struct fake_client *ann = polling("ann", "");
    struct fake_client *again = fake_client_new(&world, "ann");
    again->places[0] = ann->places[0];
    again->place_count = 1;
    world.query_mode = FAKE_STORE_UNAVAILABLE; /* gateway 1 cannot open the room */
    fake_client_connect(again, gateway(1));
    fake_client_rejoin(again, "/");
    fake_world_run(&world, 10);
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 10);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    fake_client_saw(ann, "closed");
    fake_client_send(again, "/", "one", "");
    fake_world_run(&world, 10);
    fake_client_saw(again, "resumed, #1 one, ack 1 ok 1");
    assert_int_equal(hub_stats(gateway(1)->hub)->members, 1);
}

TEST(a_connect_that_is_held_is_held_on_the_other_side)
{
    struct fake_client *ann = fake_client_new(&world, "ann");
    world.query_mode = FAKE_STORE_UNAVAILABLE;
    fake_client_connect_polling(ann, gateway(0));
    fake_client_join(ann, "/", "\"serverOffset\":0,\"echo\":false");
    fake_world_run(&world, 100);
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 100);
    fake_client_saw(ann, "");
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 2000);
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, ack 1 ok 1"); /* no echo */
}

TEST(of_a_connect_that_is_held_no_more_is_kept_than_counts)
{
    enum { JUNK_BYTES = 710000, ROOMS = 6 };
    static char junk[JUNK_BYTES + 1];
    memset(junk, 'x', JUNK_BYTES);
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect_polling(ann, gateway(0));
    world.query_mode = FAKE_STORE_UNAVAILABLE;
    for (int i = 0; i < ROOMS; i++) { /* more than what may be handed over, in all */
        fake_client_say(ann, "0/room%d,{\"username\":\"ann\",\"junk\":\"%s\"}", i, junk);
    }
    fake_client_upgrade(ann, gateway(1));
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    assert_int_equal(hub_stats(gateway(1)->hub)->members, ROOMS);
}

TEST(who_wants_no_echo_gets_none_on_the_other_side)
{
    struct fake_client *ann = polling("ann", "\"echo\":false");
    struct fake_client *bob = polling("bob", "");
    fake_client_upgrade(ann, gateway(1));
    fake_client_send(ann, "/", "mine", "");
    fake_world_run(&world, 50);
    fake_client_send(bob, "/", "yours", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "ack 1 ok 1, #2 yours");
}

TEST(an_answer_of_history_comes_on_the_other_side)
{
    struct fake_client *ann = polling("ann", "");
    for (int i = 0; i < 60; i++) {
        fake_client_send(ann, "/", "hello", "");
    }
    fake_world_run(&world, 100);
    fake_world_run(&world, 60000); /* the room's own memory is as it was */
    buf_clear(&ann->seen);
    fake_client_say(ann, "277[\"chat history\",{\"before\":11,\"limit\":10}]");
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 1000);
    fake_client_saw(ann, "history 1-10");
}

TEST(a_packet_whose_attachments_are_not_all_there_is_completed_on_the_other_side)
{
    struct fake_client *ann = polling("ann", "");
    fake_client_say(ann, "51-7[\"chat message\",{\"_placeholder\":true,\"num\":0}]");
    fake_client_upgrade(ann, gateway(1));
    struct buf frame = BUF_INIT;
    client_append_frame(&frame, CLIENT_FIN | WS_BINARY, BYTES("\1\2"));
    size_t taken =
        eio_session_receive(client_session(ann->client), frame.data, frame.len, world.now_ms);
    assert_int_equal(taken, frame.len);
    buf_release(&frame);
    fake_world_run(&world, 50);
    fake_client_send(ann, "/", "text", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "ack 7 error invalid_message, #1 text, ack 1 ok 1");
}

TEST(all_rooms_of_a_connection_move)
{
    struct fake_client *ann = polling("ann", "");
    fake_client_join(ann, "/garden", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "/garden joined");
    fake_client_send(ann, "/garden", "one", "");
    fake_client_send(ann, "/", "two", "");
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 50);
    fake_client_send(ann, "/garden", "three", "");
    fake_world_run(&world, 50);
    fake_client_place(ann, "/garden");
    assert_int_equal(fake_client_place(ann, "/garden")->next_id, 3);
    assert_int_equal(fake_client_place(ann, "/")->next_id, 2);
}

TEST(a_gateway_that_is_behind_catches_up_before_the_client_goes_on)
{
    struct fake_client *bob = fake_client_new(&world, "bob"); /* so that gateway 1 has the room */
    fake_client_connect(bob, gateway(1));
    fake_client_join(bob, "/", "");
    struct fake_client *ann = polling("ann", "");
    gateway(1)->is_cut_off = true;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "#1 one, ack 1 ok 1");
    fake_client_upgrade(ann, gateway(1));
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 100);
    gateway(1)->is_cut_off = false;
    hub_on_bus_restored(gateway(1)->hub, world.now_ms);
    fake_world_run(&world, 5000);
    fake_client_saw(ann, "#2 two, ack 2 ok 2");
    assert_int_equal(lobby()->head, 2);
}

TEST(a_session_in_no_upgrade_is_not_handed_over)
{
    struct fake_client *ann = polling("ann", "");
    struct contract_peer_key key = {.gateway = "gw1-0001", .number = 1};
    struct buf out = BUF_INIT;
    bool follows;
    assert_false(hub_hand_over(ann->client, &key, &out, &follows, world.now_ms));
    assert_int_equal(out.len, 0);
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "#1 one, ack 1 ok 1");
}

TEST(a_handover_that_makes_no_sense_is_not_taken)
{
    struct contract_handover_member member = {.room = BYTES(""), .cursor = 1};
    struct contract_handover handover = {.member_count = 1, .members = &member};
    struct eio_probe probe;
    bool awaits;
    assert_null(hub_take_over(gateway(1)->hub, NULL, "gw0-0001abcdefghijkl", &handover, &probe,
                              &awaits, world.now_ms));
    member.room = BYTES("lobby");
    member.auth = BYTES("[1");
    assert_null(hub_take_over(gateway(1)->hub, NULL, "gw0-0001abcdefghijkl", &handover, &probe,
                              &awaits, world.now_ms));
    member.session = BYTES("too short");
    assert_null(hub_take_over(gateway(1)->hub, NULL, "gw0-0001abcdefghijkl", &handover, &probe,
                              &awaits, world.now_ms));
    assert_int_equal(hub_stats(gateway(1)->hub)->clients, 0);
}

TEST(a_handover_whose_rooms_have_no_place_is_not_taken)
{
    fake_gateway_kill(gateway(1));
    struct hub_settings settings = fake_settings(&world);
    settings.rooms_max = 1;
    fake_gateway_start(&world, 1, &settings);
    struct fake_client *bob = fake_client_new(&world, "bob");
    fake_client_connect(bob, gateway(1));
    fake_client_join(bob, "/a", "");
    fake_world_run(&world, 50);
    struct contract_handover_member member = {.room = BYTES("b"),
                                              .session = BYTES("0123456789abcdefghij"),
                                              .username = BYTES("ann"),
                                              .cursor = 1};
    struct contract_handover handover = {.member_count = 1, .members = &member};
    struct fake_client *ann = fake_client_new(&world, "ann");
    struct eio_probe probe;
    bool awaits;
    assert_null(hub_take_over(gateway(1)->hub, ann, "gw0-0001abcdefghijkl", &handover, &probe,
                              &awaits, world.now_ms));
    assert_int_equal(hub_stats(gateway(1)->hub)->clients, 1);
    assert_int_equal(hub_stats(gateway(1)->hub)->rooms, 1);
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(IN_A_WORLD(a_client_goes_on_behind_the_last_message_that_it_got),
          IN_A_WORLD(what_was_not_delivered_yet_comes_on_the_other_side),
          IN_A_WORLD(outcomes_of_what_was_on_its_way_follow),
          IN_A_WORLD(what_is_said_after_the_move_does_not_overtake_what_was_said_before),
          IN_A_WORLD(a_send_that_misses_its_deadline_is_told_where_the_client_is_now),
          IN_A_WORLD(what_missed_its_deadline_before_the_move_is_not_overtaken_either),
          IN_A_WORLD(a_refused_message_is_told_where_the_client_is_now),
          IN_A_WORLD(the_old_owners_death_ends_a_session_that_waits_for_it_and_no_other),
          IN_A_WORLD(a_session_that_moves_to_where_it_is_being_resumed_gives_way),
          IN_A_WORLD(a_connect_that_is_held_is_held_on_the_other_side),
          IN_A_WORLD(of_a_connect_that_is_held_no_more_is_kept_than_counts),
          IN_A_WORLD(who_wants_no_echo_gets_none_on_the_other_side),
          IN_A_WORLD(an_answer_of_history_comes_on_the_other_side),
          IN_A_WORLD(a_packet_whose_attachments_are_not_all_there_is_completed_on_the_other_side),
          IN_A_WORLD(all_rooms_of_a_connection_move),
          IN_A_WORLD(a_gateway_that_is_behind_catches_up_before_the_client_goes_on),
          IN_A_WORLD(a_session_in_no_upgrade_is_not_handed_over),
          IN_A_WORLD(a_handover_that_makes_no_sense_is_not_taken),
          IN_A_WORLD(a_handover_whose_rooms_have_no_place_is_not_taken))
