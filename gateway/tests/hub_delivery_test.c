/*
 * hub_delivery_test.c - what members get while all goes well, and while broadcasts, sockets and memory do not.
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
    return client;
}

TEST(a_message_reaches_everyone_once_and_its_sender_before_the_ack)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "joined, #1 hello, ack 1 ok 1");
    fake_client_saw(bob, "joined, #1 hello");
}

TEST(who_joins_without_an_offset_gets_the_newest_fifty)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 60);
    struct fake_client *ann = joined("ann", 0, "");
    assert_int_equal(fake_client_place(ann, "/")->count, RECENT_MESSAGES);
    assert_int_equal(fake_client_place(ann, "/")->next_id, 61);
}

TEST(an_offset_of_zero_means_everything)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 700);
    struct fake_client *ann = joined("ann", 0, "\"serverOffset\":0");
    fake_client_place(ann, "/");
    assert_int_equal(fake_client_place(ann, "/")->count, 700);
    assert_int_equal(fake_client_place(ann, "/")->next_id, 701);
    assert_true(world.gateways[0].queries < 8); /* newest, three pages, a heads check */
}

TEST(the_recovery_limit_is_told_as_a_gap_from_one_past_it_on)
{
    struct hub_settings settings = fake_settings(&world);
    settings.recovery_max = 100;
    fake_gateway_start(&world, 1, &settings);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 110);
    struct fake_client *at = fake_client_new(&world, "at"), *past = fake_client_new(&world, "past");
    at->is_quiet = past->is_quiet = true;
    fake_client_connect(at, &world.gateways[1]);
    fake_client_connect(past, &world.gateways[1]);
    fake_client_join(at, "/", "\"serverOffset\":10");
    fake_client_join(past, "/", "\"serverOffset\":9");
    fake_world_run(&world, 100);
    fake_client_saw(at, "joined");
    fake_client_saw(past, "joined, gap 10-10 limit");
    assert_int_equal(fake_joins(&world.gateways[1], HUB_JOIN_CAUGHT_UP, HUB_GAP_NONE), 1);
    assert_int_equal(fake_joins(&world.gateways[1], HUB_JOIN_CAUGHT_UP, HUB_GAP_LIMIT), 1);
    assert_int_equal(fake_gaps(&world.gateways[1]), 1);
    assert_int_equal(fake_client_place(at, "/")->count, 100);
    assert_int_equal(fake_client_place(past, "/")->count, 100);
}

TEST(what_retention_has_removed_is_told_as_a_gap)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 600);
    fake_store_remove_below(&world.store, BYTES("lobby"), 301);
    struct fake_client *ann = fake_client_new(&world, "ann");
    ann->is_quiet = true;
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_join(ann, "/", "\"serverOffset\":5");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "joined, gap 6-300 retention");
    assert_int_equal(fake_joins(&world.gateways[0], HUB_JOIN_CAUGHT_UP, HUB_GAP_RETENTION), 1);
    assert_int_equal(fake_client_place(ann, "/")->next_id, 601);
}

TEST(retention_that_overtakes_a_slow_reader_is_told_once)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 1000);
    struct fake_client *ann = fake_client_new(&world, "ann");
    ann->is_quiet = true;
    ann->window = 500;
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_join(ann, "/", "\"serverOffset\":0");
    fake_world_run(&world, 100);
    fake_store_remove_below(&world.store, BYTES("lobby"), 900);
    ann->window = SIZE_MAX;
    fake_client_drain(ann);
    fake_world_run(&world, 100);
    fake_client_saw(ann, "joined, gap 257-899 retention");
    assert_int_equal(fake_client_place(ann, "/")->next_id, 1001);
}

TEST(a_message_sent_again_is_shown_once_and_acked_with_the_first_id)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_client_send(ann, "/", "hello", "0123456789abcdef");
    fake_world_run(&world, 100);
    fake_client_send(ann, "/", "hello", "0123456789abcdef");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "joined, #1 hello, ack 1 ok 1, ack 2 duplicate 1");
}

TEST(who_wants_no_echo_gets_only_the_ack_also_when_resumed_elsewhere)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, "\"echo\":false"), *bob = joined("bob", 1, "");
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    fake_client_send(bob, "/", "two", "");
    fake_world_run(&world, 50);
    fake_client_send(ann, "/", "three", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, ack 1 ok 1, #2 two, ack 2 ok 3");
    fake_client_drop(ann);
    fake_client_send(bob, "/", "four", "");
    fake_world_run(&world, 50);
    fake_client_connect(ann, &world.gateways[1]);
    fake_client_rejoin(ann, "/");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "resumed, #4 four");
}

TEST(a_lost_broadcast_is_found_within_a_second_and_a_bit)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    world.loses_broadcasts = true;
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 60);
    fake_client_saw(ann, "joined, #1 hello, ack 1 ok 1"); /* the answer told the head */
    fake_world_run(&world, 1100);
    fake_client_saw(bob, "joined, #1 hello");
}

TEST(how_late_a_message_is_counts_and_history_does_not)
{
    fake_gateway_start(&world, 1, NULL);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 10);
    fake_world_run(&world, 5000);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    ann->is_quiet = bob->is_quiet = true;
    const struct histogram *here = &hub_stats(world.gateways[0].hub)->by.commit_to_delivery_us;
    const struct histogram *there = &hub_stats(world.gateways[1].hub)->by.commit_to_delivery_us;
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 100);
    assert_int_equal(histogram_count(here), 1);
    assert_int_equal(here->sum, 1000); /* one hop */
    assert_int_equal(histogram_count(there), 1);
    world.loses_broadcasts = true;
    fake_client_send(ann, "/", "found later", "");
    fake_world_run(&world, 2000);
    assert_int_equal(fake_client_place(bob, "/")->next_id, 13);
    assert_int_equal(histogram_count(there), 2);
    assert_in_range(there->sum, 900000, 2000000);
}

TEST(where_a_join_finds_its_first_message_is_counted)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 700);
    const uint64_t *caught_up =
        hub_stats(world.gateways[0].hub)->by.joins[HUB_JOIN_CAUGHT_UP][HUB_GAP_NONE];
    joined("ann", 0, "\"serverOffset\":651")->is_quiet = true;
    assert_int_equal(caught_up[HUB_SOURCE_MEMORY], 1);
    joined("bob", 0, "\"serverOffset\":649")->is_quiet = true;
    assert_int_equal(caught_up[HUB_SOURCE_STORE], 1);
    joined("cid", 0, "\"serverOffset\":649")->is_quiet = true; /* bob's page */
    assert_int_equal(caught_up[HUB_SOURCE_MEMORY], 2);
    assert_int_equal(fake_joins(&world.gateways[0], HUB_JOIN_NEW, HUB_GAP_NONE), 0);
}

TEST(a_hole_is_filled_from_the_store_and_nothing_overtakes_it)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    world.loses_broadcasts = true;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 10);
    world.loses_broadcasts = false;
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 60);
    fake_client_saw(bob, "joined, #1 one, #2 two");
}

TEST(a_room_far_behind_starts_anew_at_the_head_and_members_lose_nothing)
{
    struct fake_client *ann = joined("ann", 0, "");
    ann->is_quiet = true;
    fake_store_fill(&world.store, BYTES("lobby"), "m", REPAIR_MESSAGES_MAX + 2000);
    fake_world_run(&world, 2000);
    assert_int_equal(fake_client_place(ann, "/")->next_id, REPAIR_MESSAGES_MAX + 2001);
    assert_int_equal(fake_gaps(&world.gateways[0]), 0);
}

TEST(more_broadcasts_ahead_than_are_kept_are_not_waited_for_a_second)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    ann->is_quiet = bob->is_quiet = true;
    world.query_mode = FAKE_STORE_SILENT;
    world.loses_broadcasts = true;
    fake_client_send(ann, "/", "lost", "");
    fake_world_run(&world, 3);
    world.loses_broadcasts = false;
    for (int i = 0; i < AHEAD_EVENTS_MAX + 3; i++) {
        fake_client_send(ann, "/", "kept", "");
        fake_world_run(&world, 3);
    }
    assert_int_equal(fake_client_place(bob, "/")->count, 0);
    assert_int_equal(hub_stats(world.gateways[1].hub)->ahead_dropped, 3);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, REQUEST_TIMEOUT_MS + 100); /* a query that was lost is sent again */
    assert_int_equal(fake_client_place(bob, "/")->count, AHEAD_EVENTS_MAX + 4);
}

TEST(a_slow_socket_gets_every_byte_in_order_wherever_it_stops)
{
    fake_store_fill(&world.store, BYTES("lobby"), "first", 20);
    for (size_t k = 1; k < 130; k++) {
        struct fake_client *slow = fake_client_new(&world, "slow");
        slow->window = k;
        slow->drain_after_ms = 1;
        slow->is_quiet = true;
        fake_client_connect(slow, &world.gateways[0]);
        fake_client_join(slow, "/",
                         k % 2 == 0 ? "\"serverOffset\":0,\"echo\":false" : "\"serverOffset\":0");
        fake_world_run(&world, 1000);
        fake_client_send(slow, "/", "a", "");
        fake_client_send(slow, "/", "b", "");
        fake_world_run(&world, 20000 / k + 1000);
        assert_int_equal(slow->sends[0].acked_as + 1, slow->sends[1].acked_as);
        fake_client_drop(slow);
        world.client_count--;
        fake_client_free(slow);
    }
}

TEST(a_socket_that_takes_nothing_holds_nobody_up_and_gets_all_later)
{
    struct fake_client *ann = joined("ann", 0, ""), *stuck = fake_client_new(&world, "stuck");
    ann->is_quiet = stuck->is_quiet = true;
    stuck->window = 700;
    fake_client_connect(stuck, &world.gateways[0]);
    fake_client_join(stuck, "/", "");
    fake_world_run(&world, 10);
    for (int i = 0; i < 300; i++) {
        fake_client_send(ann, "/", "hello", "");
        fake_world_run(&world, 5);
    }
    assert_int_equal(fake_client_place(ann, "/")->next_id, 301);
    assert_true(fake_client_place(stuck, "/")->next_id < 20);
    stuck->window = SIZE_MAX;
    fake_client_drain(stuck);
    fake_world_run(&world, 10);
    assert_int_equal(fake_client_place(stuck, "/")->next_id, 301);
}

/* Logs and pages with room for a few messages only. */
static void start_with_little_memory(unsigned index)
{
    struct hub_settings settings = fake_settings(&world);
    settings.room_log_bytes_max = 4096;
    settings.log_bytes_max = 16384;
    fake_gateway_start(&world, index, &settings);
}

TEST(with_little_memory_everyone_still_gets_everything)
{
    start_with_little_memory(1);
    fake_store_fill(&world.store, BYTES("lobby"), "a longer text than is good for memory ", 3000);
    for (int i = 0; i < 12; i++) {
        struct fake_client *client = fake_client_new(&world, "reader");
        char auth[64];
        snprintf(auth, sizeof(auth), "\"serverOffset\":%d", i * 240);
        client->is_quiet = true;
        client->window = 2000 + (size_t)i * 1000;
        client->drain_after_ms = 1;
        fake_client_connect(client, &world.gateways[1]);
        fake_client_join(client, "/", auth);
    }
    fake_world_run(&world, 20000);
    for (size_t i = 0; i < world.client_count; i++) {
        assert_int_equal(fake_client_place(world.clients[i], "/")->next_id, 3001);
    }
    assert_true(world.gateways[1].queries < 3000);
    assert_true(hub_stats(world.gateways[1].hub)->log_bytes <= 12288 + 4096);
}

TEST(members_of_many_rooms_get_each_rooms_messages_on_one_socket)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    fake_client_join(ann, "/a", "");
    fake_client_join(ann, "/b", "");
    fake_client_join(bob, "/b", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, /a joined, /b joined");
    fake_client_send(bob, "/b", "in b", "");
    fake_world_run(&world, 50);
    fake_client_send(ann, "/a", "in a", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "/b #1 in b, /a #1 in a, /a ack 1 ok 1");
    fake_client_saw(bob, "joined, /b joined, /b #1 in b, /b ack 1 ok 1");
}

TEST(the_room_past_the_limit_is_refused_and_the_others_go_on)
{
    struct hub_settings settings = fake_settings(&world);
    settings.rooms_per_client_max = 2;
    fake_gateway_start(&world, 1, &settings);
    struct fake_client *ann = joined("ann", 1, "");
    fake_client_join(ann, "/a", "");
    fake_client_join(ann, "/b", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, /b refused Too many rooms on one connection, /a joined");
    fake_client_say(ann, "1/a,");
    fake_client_join(ann, "/b", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "/b joined");
}

TEST(a_room_goes_after_its_grace_time_and_comes_back_whole)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    fake_client_drop(ann);
    fake_world_run(&world, 29000);
    assert_int_equal(hub_stats(world.gateways[0].hub)->rooms, 1);
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_rejoin(ann, "/");
    fake_world_run(&world, 60000); /* the grace time is not for a room with members */
    assert_int_equal(world.gateways[0].subscribes, 1);
    fake_client_drop(ann);
    fake_world_run(&world, 31000);
    assert_int_equal(hub_stats(world.gateways[0].hub)->rooms, 0);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 1);
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_rejoin(ann, "/");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, #1 one, ack 1 ok 1, resumed, resumed, #2 m2");
    assert_int_equal(world.gateways[0].subscribes, 2);
}

TEST(heads_are_asked_for_at_doubling_intervals)
{
    struct fake_client *ann = joined("ann", 0, "");
    (void)ann;
    world.gateways[0].queries = 0;
    fake_world_run(&world, 1000);
    assert_int_equal(world.gateways[0].queries, 1);
    fake_world_run(&world, 62000);
    assert_int_equal(world.gateways[0].queries, 6); /* after 1, 3, 7, 15, 31, 63 s */
    fake_world_run(&world, 600000);
    assert_int_equal(world.gateways[0].queries, 16); /* every minute */
}

TEST(heads_that_are_to_be_asked_for_meanwhile_are_asked_together)
{
    joined("ann", 0, "");
    fake_world_run(&world, 100);
    world.gateways[0].queries = 0;
    world.query_mode = FAKE_STORE_SILENT;
    for (int i = 0; i < 20; i++) {
        struct fake_client *client = fake_client_new(&world, "x");
        fake_client_connect(client, &world.gateways[0]);
        fake_client_join(client, "/", "\"serverOffset\":999"); /* past all that the gateway knows */
        fake_world_run(&world, 10);
    }
    assert_int_equal(world.gateways[0].queries, 1);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, REQUEST_TIMEOUT_MS + 100);
    assert_int_equal(hub_stats(world.gateways[0].hub)->members, 21);
    assert_int_equal(world.gateways[0].queries, 3); /* again, and what became due meanwhile */
}

TEST(many_rooms_are_asked_for_in_few_queries)
{
    for (int i = 0; i < 8; i++) {
        struct fake_client *client = fake_client_new(&world, "x");
        char namespace[16];
        snprintf(namespace, sizeof(namespace), "/r%d", i);
        fake_client_connect(client, &world.gateways[0]);
        fake_client_join(client, namespace, "");
    }
    fake_world_run(&world, 100);
    world.loses_broadcasts = true;
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        fake_store_fill(&world.store, bytes_of_string(name), "m", 1);
    }
    hub_on_bus_restored(world.gateways[0].hub, world.now_ms);
    fake_world_run(&world, 100);
    for (size_t i = 0; i < world.client_count; i++) {
        assert_int_equal(world.clients[i]->places[0].count, 1);
    }
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(IN_A_WORLD(how_late_a_message_is_counts_and_history_does_not),
          IN_A_WORLD(where_a_join_finds_its_first_message_is_counted),
          IN_A_WORLD(a_message_reaches_everyone_once_and_its_sender_before_the_ack),
          IN_A_WORLD(who_joins_without_an_offset_gets_the_newest_fifty),
          IN_A_WORLD(an_offset_of_zero_means_everything),
          IN_A_WORLD(the_recovery_limit_is_told_as_a_gap_from_one_past_it_on),
          IN_A_WORLD(what_retention_has_removed_is_told_as_a_gap),
          IN_A_WORLD(retention_that_overtakes_a_slow_reader_is_told_once),
          IN_A_WORLD(a_message_sent_again_is_shown_once_and_acked_with_the_first_id),
          IN_A_WORLD(who_wants_no_echo_gets_only_the_ack_also_when_resumed_elsewhere),
          IN_A_WORLD(a_lost_broadcast_is_found_within_a_second_and_a_bit),
          IN_A_WORLD(a_hole_is_filled_from_the_store_and_nothing_overtakes_it),
          IN_A_WORLD(a_room_far_behind_starts_anew_at_the_head_and_members_lose_nothing),
          IN_A_WORLD(more_broadcasts_ahead_than_are_kept_are_not_waited_for_a_second),
          IN_A_WORLD(a_slow_socket_gets_every_byte_in_order_wherever_it_stops),
          IN_A_WORLD(a_socket_that_takes_nothing_holds_nobody_up_and_gets_all_later),
          IN_A_WORLD(with_little_memory_everyone_still_gets_everything),
          IN_A_WORLD(members_of_many_rooms_get_each_rooms_messages_on_one_socket),
          IN_A_WORLD(the_room_past_the_limit_is_refused_and_the_others_go_on),
          IN_A_WORLD(a_room_goes_after_its_grace_time_and_comes_back_whole),
          IN_A_WORLD(heads_are_asked_for_at_doubling_intervals),
          IN_A_WORLD(heads_that_are_to_be_asked_for_meanwhile_are_asked_together),
          IN_A_WORLD(many_rooms_are_asked_for_in_few_queries))
