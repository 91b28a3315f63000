/*
 * hub_send_test.c - what becomes of messages while the store is slow, full, gone, or dies at the worst moment.
 */
#include "base/tests/testing.h"
#include "fake_world.h"
#include "hub/limits.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_world world;

static int set_up(void **state)
{
    (void)state;
    fake_world_init(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_world_release(&world);
    return 0;
}

static struct fake_client *joined(const char *username, unsigned gateway, const char *auth)
{
    struct fake_client *client = fake_client_new(&world, username);
    fake_client_connect(client, &world.gateways[gateway]);
    fake_client_join(client, "/", auth);
    fake_world_run(&world, 50);
    buf_clear(&client->seen);
    return client;
}

static struct fake_room *lobby(void)
{
    return fake_store_room(&world.store, BYTES("lobby"));
}

static struct hub *hub(void)
{
    return world.gateways[0].hub;
}

TEST(what_is_sent_meanwhile_goes_with_the_next_append)
{
    struct fake_client *ann = joined("ann", 0, "");
    ann->is_quiet = true;
    world.faults.delay_min_ms = world.faults.delay_max_ms = 10;
    for (int i = 0; i < 30; i++) {
        fake_client_send(ann, "/", "hello", "");
        fake_world_run(&world, 1);
    }
    fake_world_run(&world, 100);
    assert_int_equal(lobby()->head, 30);
    assert_true(world.gateways[0].appends <= 3);
}

TEST(a_refused_message_does_not_hurt_its_neighbours_in_the_batch)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_client_send(ann, "/", "one", "");
    fake_client_send(ann, "/", "refuse me", "");
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "ack 2 error invalid_message, #1 one, #2 two, ack 1 ok 1, ack 3 ok 2");
}

TEST(a_batch_that_the_store_does_not_understand_is_refused_and_the_next_one_goes)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_INVALID;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 1);
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 1);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 100);
    fake_client_saw(ann, "ack 1 error invalid_message, #1 two, ack 2 ok 1");
}

TEST(a_store_that_dies_between_commit_and_publish_loses_nothing_and_doubles_nothing)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    world.append_mode = FAKE_STORE_DIES;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, REQUEST_TIMEOUT_MS + 100);
    fake_client_saw(ann, "#1 one, ack 1 duplicate 1");
    fake_client_saw(bob, "#1 one");
    assert_true(world.gateways[0].last_append_was_repeat);
    assert_int_equal(lobby()->head, 1);
}

TEST(while_nobody_answers_the_same_batch_is_sent_again_ever_more_rarely)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_NOBODY;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 5000);
    assert_in_range(world.gateways[0].appends, 8, 12);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 1100);
    fake_client_saw(ann, "#1 one, ack 1 ok 1");
}

TEST(at_the_deadline_what_was_sent_stays_and_what_only_waits_is_dropped)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "sent", "0123456789abcdef");
    fake_world_run(&world, 10);
    fake_client_send(ann, "/", "waits", "fedcba9876543210");
    fake_world_run(&world, 7989);
    fake_client_saw(ann, "");
    fake_world_run(&world, 1);
    fake_client_saw(ann, "error unavailable 0123456789abcdef");
    fake_world_run(&world, 10);
    fake_client_saw(ann, "error unavailable fedcba9876543210");
    fake_client_send(ann, "/", "sent", "0123456789abcdef"); /* the client tries again */
    fake_client_send(ann, "/", "later", "");
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 2100);
    fake_client_saw(ann, "#1 sent, ack 3 duplicate 1, #2 later, ack 4 ok 2");
    assert_int_equal(lobby()->head, 2);
}

TEST(an_own_id_is_not_told_in_an_error)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "sent", "");
    fake_world_run(&world, 8000);
    fake_client_saw(ann, "error unavailable unavailable");
}

TEST(nothing_overtakes_a_batch_that_was_sent)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "first", "");
    fake_world_run(&world, 20000);
    for (int i = 0; i < 5; i++) {
        fake_client_send(ann, "/", "more", "");
    }
    world.append_mode = FAKE_STORE_OVERLOADED;
    fake_world_run(&world, 3000);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    fake_client_saw(
        ann,
        "error unavailable unavailable, #1 first, #2 more, #3 more, #4 more, #5 more, #6 more, "
        "ack 2 ok 2, ack 3 ok 3, ack 4 ok 4, ack 5 ok 5, ack 6 ok 6");
}

TEST(the_message_past_a_clients_limit_is_overloaded_and_the_limits_one_is_not)
{
    struct fake_client *ann = joined("ann", 0, "");
    ann->is_quiet = true;
    world.append_mode = FAKE_STORE_SILENT;
    for (int i = 0; i < CLIENT_SENDS_MAX; i++) {
        fake_client_send(ann, "/", "hello", "");
    }
    fake_world_run(&world, 10);
    fake_client_saw(ann, "");
    fake_client_send(ann, "/", "hello", "one-too-many");
    fake_world_run(&world, 10);
    fake_client_saw(ann, "error overloaded one-too-many");
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 5000);
    assert_int_equal(lobby()->head, CLIENT_SENDS_MAX);
    buf_clear(&ann->seen);
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "ack 1026 ok 1025");
}

/* A gateway with these rules instead. */
static void limit(struct pace_rule client_rule, struct pace_rule user_rule,
                  struct pace_rule room_rule)
{
    struct hub_settings settings = fake_settings(&world);
    settings.client_rule = client_rule;
    settings.user_rule = user_rule;
    settings.room_rule = room_rule;
    fake_gateway_stop(&world.gateways[0]);
    fake_gateway_start(&world, 0, &settings);
}

TEST(who_sends_too_fast_is_told_when_to_go_on_and_nobody_else_waits)
{
    limit((struct pace_rule){.per_second = 2, .burst = 3}, (struct pace_rule){0},
          (struct pace_rule){0});
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    ann->is_quiet = bob->is_quiet = true;
    for (int i = 0; i < 3; i++) {
        fake_client_send(ann, "/", "hello", "");
    }
    fake_client_send(ann, "/", "hello", "one-too-many");
    fake_client_send(bob, "/", "hello", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "error rate_limited one-too-many, ack 1 ok 1, ack 2 ok 2, ack 3 ok 3");
    fake_client_saw(bob, "ack 1 ok 4");
    fake_world_run(&world, 400);
    fake_client_send(ann, "/", "hello", "");
    fake_client_send(ann, "/", "hello", "again");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "error rate_limited again, ack 5 ok 5");
}

TEST(a_user_has_one_limit_however_many_connections)
{
    limit((struct pace_rule){0}, (struct pace_rule){.per_second = 1, .burst = 2},
          (struct pace_rule){0});
    struct fake_client *ann = joined("ann", 0, ""), *tab = joined("ann", 0, ""),
                       *bob = joined("bob", 0, "");
    ann->is_quiet = tab->is_quiet = bob->is_quiet = true;
    fake_client_send(ann, "/", "hello", "");
    fake_client_send(tab, "/", "hello", "");
    fake_client_send(tab, "/", "hello", "one-too-many");
    fake_client_send(bob, "/", "hello", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "ack 1 ok 1");
    fake_client_saw(tab, "error rate_limited one-too-many, ack 1 ok 2");
    fake_client_saw(bob, "ack 1 ok 3");
}

TEST(a_room_that_gets_too_much_does_not_hurt_the_others)
{
    limit((struct pace_rule){0}, (struct pace_rule){0},
          (struct pace_rule){.per_second = 1, .burst = 2});
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    fake_client_join(ann, "/garden", "");
    fake_world_run(&world, 50);
    ann->is_quiet = bob->is_quiet = true;
    buf_clear(&ann->seen);
    fake_client_send(ann, "/", "hello", "");
    fake_client_send(bob, "/", "hello", "");
    fake_client_send(bob, "/", "hello", "one-too-many");
    fake_client_send(ann, "/garden", "hello", "");
    fake_world_run(&world, 100);
    fake_client_saw(bob, "error rate_limited one-too-many, ack 1 ok 2");
    fake_client_saw(ann, "/garden ack 2 ok 1, ack 1 ok 1");
}

TEST(a_rooms_queue_is_bounded_and_says_so)
{
    world.append_mode = FAKE_STORE_SILENT;
    struct fake_client *clients[10];
    for (int c = 0; c < 10; c++) {
        clients[c] = joined("x", 0, "");
        clients[c]->is_quiet = true;
    }
    fake_client_send(clients[9], "/", "in flight", "");
    fake_world_run(&world, 10);
    for (int c = 0; c < ROOM_SENDS_MAX / CLIENT_SENDS_MAX; c++) {
        for (int i = 0; i < CLIENT_SENDS_MAX; i++) {
            fake_client_send(clients[c], "/", "hello", "");
        }
        fake_client_saw(clients[c], "");
    }
    fake_world_run(&world, 10);
    fake_client_saw(clients[0], "");
    fake_client_send(clients[9], "/", "hello", "one-too-many");
    fake_world_run(&world, 10);
    fake_client_saw(clients[9], "error overloaded one-too-many");
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 5000);
    assert_int_equal(lobby()->head, ROOM_SENDS_MAX + 1);
    assert_int_equal(world.gateways[0].appends, 2 + ROOM_SENDS_MAX / APPEND_MESSAGES_MAX);
}

TEST(an_ack_waits_for_the_own_copy_but_not_longer_than_a_second)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.loses_broadcasts = true;
    world.query_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 1000);
    fake_client_saw(ann, "");
    fake_world_run(&world, 5);
    fake_client_saw(ann, "ack 1 ok 1");
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, REQUEST_TIMEOUT_MS + 100);
    fake_client_saw(ann, "#1 one");
}

TEST(a_sender_that_left_has_its_message_stored)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    fake_client_send(ann, "/", "bye", "");
    fake_client_drop(ann);
    fake_world_run(&world, 100);
    fake_client_saw(bob, "#1 bye");
}

TEST(a_waiting_message_of_a_sender_that_left_ends_at_its_deadline_too)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    world.append_mode = FAKE_STORE_SILENT;
    fake_client_send(bob, "/", "in flight", "");
    fake_world_run(&world, 10);
    fake_client_send(ann, "/", "an hour old", "");
    fake_world_run(&world, 10);
    fake_client_drop(ann);
    fake_world_run(&world, 3600000);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 5000);
    fake_client_saw(bob, "error unavailable unavailable, #1 in flight");
}

TEST(messages_on_their_way_are_counted_when_their_senders_have_left)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "in flight", "");
    fake_world_run(&world, 10);
    fake_client_send(ann, "/", "waits", "");
    fake_world_run(&world, 10);
    assert_int_equal(hub_sends_in_flight(hub()), 2);
    fake_client_drop(ann);
    assert_int_equal(hub_sends_in_flight(hub()), 2);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    assert_int_equal(hub_sends_in_flight(hub()), 0);
    assert_int_equal(lobby()->head, 2);
}

TEST(a_client_waits_for_an_answer_from_its_question_to_the_answer)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    CHECK(!client_waits_for_answer(ann->client));
    world.append_mode = world.query_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "in flight", "");
    fake_world_run(&world, 10);
    CHECK(client_waits_for_answer(ann->client));
    CHECK(!client_waits_for_answer(bob->client));
    world.append_mode = world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    CHECK(!client_waits_for_answer(ann->client));
}

TEST(a_room_with_a_message_on_its_way_stays_until_it_is_settled)
{
    struct fake_client *ann = joined("ann", 0, "");
    world.append_mode = FAKE_STORE_SILENT;
    fake_client_send(ann, "/", "bye", "");
    fake_world_run(&world, 10);
    fake_client_drop(ann);
    fake_world_run(&world, 100000);
    assert_int_equal(hub_stats(hub())->rooms, 1);
    world.append_mode = FAKE_STORE_UP;
    fake_world_run(&world, 33000);
    assert_int_equal(lobby()->head, 1);
    assert_int_equal(hub_stats(hub())->rooms, 0);
}

TEST(when_the_bus_is_back_everything_is_asked_again_at_once)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob;
    world.gateways[0].is_cut_off = true;
    fake_client_send(ann, "/", "one", "");
    bob = fake_client_new(&world, "bob");
    fake_client_connect(bob, &world.gateways[0]);
    fake_client_join(bob, "/other", "");
    fake_store_fill(&world.store, BYTES("lobby"), "m", 3);
    fake_world_run(&world, 300);
    fake_client_saw(bob, "");
    world.gateways[0].is_cut_off = false;
    hub_on_bus_restored(hub(), world.now_ms);
    fake_world_run(&world, 60);
    fake_client_saw(bob, "/other joined");
    fake_client_saw(ann, "#1 m1, #2 m2, #3 m3, #4 one, ack 1 ok 4");
}

TEST(without_the_store_members_stay_joiners_of_known_rooms_are_served_and_all_heals)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob, *cem;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 100);
    world.append_mode = world.query_mode = FAKE_STORE_UNAVAILABLE;
    bob = joined("bob", 0, "\"serverOffset\":0");
    assert_int_equal(fake_client_place(bob, "/")->count, 1);
    cem = fake_client_new(&world, "cem");
    fake_client_connect(cem, &world.gateways[0]);
    fake_client_join(cem, "/unknown", "");
    fake_client_send(bob, "/", "two", "");
    fake_world_run(&world, 100000);
    fake_client_saw(cem, "");
    fake_client_saw(bob, "error unavailable unavailable");
    world.append_mode = world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 2000);
    fake_client_saw(cem, "/unknown joined");
    fake_client_saw(ann, "#1 one, ack 1 ok 1, #2 two");
    fake_client_saw(bob, "#2 two");
}

TEST(an_invalid_message_is_refused_and_its_neighbours_are_not)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_client_say(ann, "2901[\"chat message\",5]");
    fake_client_say(ann, "2[\"chat message\",\"\",\"my-id\"]");
    fake_client_send(ann, "/", "good", "");
    fake_world_run(&world, 100);
    fake_client_saw(
        ann, "ack 901 error invalid_message, error invalid_message my-id, #1 good, ack 1 ok 1");
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(
    IN_A_WORLD(what_is_sent_meanwhile_goes_with_the_next_append),
    IN_A_WORLD(a_refused_message_does_not_hurt_its_neighbours_in_the_batch),
    IN_A_WORLD(a_batch_that_the_store_does_not_understand_is_refused_and_the_next_one_goes),
    IN_A_WORLD(a_store_that_dies_between_commit_and_publish_loses_nothing_and_doubles_nothing),
    IN_A_WORLD(while_nobody_answers_the_same_batch_is_sent_again_ever_more_rarely),
    IN_A_WORLD(at_the_deadline_what_was_sent_stays_and_what_only_waits_is_dropped),
    IN_A_WORLD(an_own_id_is_not_told_in_an_error),
    IN_A_WORLD(nothing_overtakes_a_batch_that_was_sent),
    IN_A_WORLD(the_message_past_a_clients_limit_is_overloaded_and_the_limits_one_is_not),
    IN_A_WORLD(who_sends_too_fast_is_told_when_to_go_on_and_nobody_else_waits),
    IN_A_WORLD(a_user_has_one_limit_however_many_connections),
    IN_A_WORLD(a_room_that_gets_too_much_does_not_hurt_the_others),
    IN_A_WORLD(a_rooms_queue_is_bounded_and_says_so),
    IN_A_WORLD(an_ack_waits_for_the_own_copy_but_not_longer_than_a_second),
    IN_A_WORLD(a_sender_that_left_has_its_message_stored),
    IN_A_WORLD(a_waiting_message_of_a_sender_that_left_ends_at_its_deadline_too),
    IN_A_WORLD(messages_on_their_way_are_counted_when_their_senders_have_left),
    IN_A_WORLD(a_client_waits_for_an_answer_from_its_question_to_the_answer),
    IN_A_WORLD(a_room_with_a_message_on_its_way_stays_until_it_is_settled),
    IN_A_WORLD(when_the_bus_is_back_everything_is_asked_again_at_once),
    IN_A_WORLD(without_the_store_members_stay_joiners_of_known_rooms_are_served_and_all_heals),
    IN_A_WORLD(an_invalid_message_is_refused_and_its_neighbours_are_not))
