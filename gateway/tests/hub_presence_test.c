/*
 * hub_presence_test.c - who is here and who types, over several gateways.
 */
#include "base/tests/testing.h"
#include "fake_world.h"
#include "hub/limits.h"
#include "hub/presence.h"
#include "hub_limits.h"

#include <stdio.h>

#define WANTS "\"presence\":true"

enum { REFRESH_MS = 10000, GONE_MS = PRESENCE_REFRESHES * REFRESH_MS, LONG_MS = 2 * GONE_MS };

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
    for (unsigned i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        assert_true(world.gateways[i].hub == NULL ||
                    hub_limits_broken(world.gateways[i].hub) == NULL);
    }
    fake_world_release(&world);
    return 0;
}

static struct fake_gateway *gateway(unsigned index)
{
    return &world.gateways[index];
}

static const struct hub_stats *stats(unsigned index)
{
    return hub_stats(gateway(index)->hub);
}

static struct fake_client *someone(const char *username, unsigned index, const char *auth)
{
    struct fake_client *client = fake_client_new(&world, username);
    fake_client_connect(client, gateway(index));
    fake_client_join(client, "/", auth);
    return client;
}

/* One who has joined, and is told who is here; what it saw of that is forgotten. */
static struct fake_client *someone_here(const char *username, unsigned index, const char *auth)
{
    struct fake_client *client = someone(username, index, auth);
    fake_world_run(&world, 2500);
    buf_clear(&client->seen);
    return client;
}

static void forget_all_seen(void)
{
    for (size_t i = 0; i < world.client_count; i++) {
        buf_clear(&world.clients[i]->seen);
    }
}

static void type(struct fake_client *client, bool is_typing)
{
    fake_client_say(client, "2[\"chat typing\",{\"typing\":%s}]", is_typing ? "true" : "false");
}

/* @count members on gateway @index who do not ask. */
static void crowd(unsigned index, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "c%u-%03zu", index, i);
        someone(name, index, "")->is_quiet = true;
    }
}

TEST(who_joins_is_told_who_is_here)
{
    struct fake_client *ann = someone("ann", 0, WANTS);
    fake_world_run(&world, 500);
    fake_client_saw(ann, "joined, presence 1 ann, typing");
}

TEST(everyone_hears_who_comes_and_goes_on_either_gateway)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    struct fake_client *bob = someone("bob", 1, WANTS);
    fake_world_run(&world, 500);
    fake_client_saw(bob, "joined, presence 2 ann bob, typing");
    fake_client_saw(ann, "presence 2 ann bob");
    fake_world_run(&world, 5000);
    fake_client_drop(bob);
    fake_world_run(&world, 500);
    fake_client_saw(ann, "presence 1 ann");
}

TEST(who_comes_right_behind_another_one_is_told_of_both_at_once)
{
    struct fake_client *ann = someone("ann", 0, WANTS);
    fake_world_run(&world, 300);
    struct fake_client *bob = someone("bob", 1, WANTS);
    fake_world_run(&world, 2500);
    fake_client_saw(bob, "joined, presence 2 ann bob, typing");
    fake_client_saw(ann, "joined, presence 1 ann, typing, presence 2 ann bob");
}

TEST(names_are_sorted_and_each_is_told_once)
{
    struct fake_client *zoe = someone_here("zoe", 0, WANTS);
    someone("bob", 1, WANTS);
    someone("ann", 1, "");
    someone("bob", 0, "");
    fake_world_run(&world, 3000);
    buf_clear(&zoe->seen);
    someone("Ann", 0, "");
    fake_world_run(&world, 3000);
    fake_client_saw(zoe, "presence 5 Ann ann bob zoe");
}

TEST(who_did_not_ask_is_told_nothing_and_counts)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    struct fake_client *bob = someone("bob", 1, ""), *cem = someone("cem", 0, "");
    fake_world_run(&world, 3000);
    type(ann, true);
    fake_world_run(&world, 20000);
    fake_client_saw(bob, "joined");
    fake_client_saw(cem, "joined");
    assert_int_equal(fake_client_place(ann, "/")->present, 3);
}

TEST(who_does_not_listen_is_not_heard_typing)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 0, "");
    forget_all_seen();
    type(bob, true);
    fake_client_say(bob, "2[\"chat typing\",7]"); /* as any event that nobody knows */
    fake_world_run(&world, 2000);
    fake_client_saw(bob, "");
    fake_client_saw(ann, "");
}

TEST(typing_without_sense_is_refused)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    fake_client_say(ann, "2[\"chat typing\",{\"typing\":1}]");
    fake_world_run(&world, 2000);
    fake_client_saw(ann, "error invalid_message invalid_message");
}

TEST(where_nobody_asks_one_hello_for_each_first_member_is_all)
{
    someone("ann", 0, "");
    someone("bob", 0, "");
    fake_world_run(&world, 60000);
    assert_int_equal(gateway(0)->announcements, 1);
    assert_int_equal(gateway(0)->questions, 0);
    assert_int_equal(stats(0)->presence_rooms, 0);
}

TEST(changes_are_told_once_a_second_at_most)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    uint64_t told = stats(0)->presence_told;
    for (int i = 0; i < 20; i++) { /* 4 s of coming and going, on both gateways */
        struct fake_client *bob = someone("bob", 1, ""), *cem = someone("cem", 0, "");
        fake_world_run(&world, 100);
        fake_client_drop(bob);
        fake_client_drop(cem);
        fake_world_run(&world, 100);
    }
    assert_in_range(stats(0)->presence_told - told, 1, 5);
    fake_world_run(&world, 3000);
    assert_int_equal(fake_client_place(ann, "/")->present, 1);
    assert_in_range(gateway(1)->announcements, 2, 20 + 6); /* hellos, and once a second */
}

TEST(up_to_200_members_have_names_and_201_are_a_count)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    crowd(0, ROSTER_NAMES_MAX / 2 - 1);
    crowd(1, ROSTER_NAMES_MAX / 2 - 1);
    fake_world_run(&world, 5000);
    assert_int_equal(fake_client_place(ann, "/")->present, ROSTER_NAMES_MAX);
    assert_true(fake_client_place(ann, "/")->has_names && fake_client_place(bob, "/")->has_names);
    forget_all_seen();
    struct fake_client *one_more = someone("zoe", 1, "");
    fake_world_run(&world, 5000);
    fake_client_saw(ann, "presence 201");
    fake_client_saw(bob, "presence 201");
    assert_int_equal(stats(0)->presence_bytes, 0);
    fake_client_drop(one_more);
    fake_world_run(&world, 5000);
    assert_int_equal(fake_client_place(ann, "/")->present, ROSTER_NAMES_MAX);
    assert_true(fake_client_place(ann, "/")->has_names && fake_client_place(bob, "/")->has_names);
}

TEST(a_large_room_tells_other_gateways_no_names)
{
    someone("ann", 0, WANTS);
    someone("bob", 1, WANTS);
    crowd(0, 150);
    crowd(1, 150);
    fake_world_run(&world, 10000);
    assert_int_equal(gateway(0)->hub->presence.names.bytes, 0);
    const struct room *room = map_get(&gateway(0)->hub->rooms, BYTES("lobby"));
    assert_false(room->presence->had_names);
}

TEST(the_members_of_a_gateway_that_dies_are_gone_after_three_refreshes)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    someone_here("bob", 1, WANTS);
    forget_all_seen();
    fake_gateway_kill(gateway(1));
    fake_world_run(&world, GONE_MS - REFRESH_MS - PRESENCE_INTERVAL_MS);
    fake_client_saw(ann, "");
    fake_world_run(&world, REFRESH_MS + 3 * PRESENCE_INTERVAL_MS);
    fake_client_saw(ann, "presence 1 ann");
}

TEST(a_gateway_that_ends_says_so)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    someone_here("bob", 1, WANTS);
    forget_all_seen();
    fake_gateway_stop(gateway(1));
    fake_world_run(&world, 1500);
    fake_client_saw(ann, "presence 1 ann");
}

TEST(who_does_not_ask_is_heard_of_as_soon_as_it_comes)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    struct fake_client *bob = someone("bob", 1, "");
    fake_world_run(&world, 1200);
    fake_client_saw(ann, "presence 2 ann bob");
    someone("cem", 1, ""); /* whose gateway knows by now that somebody asks */
    fake_world_run(&world, 1200);
    fake_client_saw(ann, "presence 3 ann bob cem");
    fake_client_drop(bob);
    fake_world_run(&world, 1200);
    fake_client_saw(ann, "presence 2 ann cem");
    fake_world_run(&world, LONG_MS); /* it is asked, and tells, again and again */
    fake_client_saw(ann, "");
}

TEST(what_was_lost_on_the_way_is_told_with_the_next_refresh)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    world.loses_presence = true;
    someone("cem", 1, "");
    fake_world_run(&world, 3000);
    fake_client_saw(ann, "");
    fake_client_saw(bob, "presence 3 ann bob cem");
    world.loses_presence = false;
    fake_world_run(&world, REFRESH_MS + 1000);
    fake_client_saw(ann, "presence 3 ann bob cem");
}

TEST(after_a_time_without_nats_all_is_told_at_once)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    gateway(1)->is_cut_off = true;
    fake_world_run(&world, GONE_MS + 2000);
    fake_client_saw(ann, "presence 2 ann bob, presence 1 ann");
    fake_client_saw(bob, "presence 1 bob");
    gateway(1)->is_cut_off = false;
    hub_on_bus_restored(gateway(1)->hub, world.now_ms);
    fake_world_run(&world, 2500);
    fake_client_saw(ann, "presence 2 ann bob");
    fake_client_saw(bob, "presence 2 ann bob");
}

TEST(typing_is_shown_to_all_others_until_it_ends)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    struct fake_client *cem = someone_here("cem", 0, WANTS);
    forget_all_seen();
    type(ann, true);
    fake_world_run(&world, 500);
    fake_client_saw(ann, "");
    fake_client_saw(bob, "typing ann");
    fake_client_saw(cem, "typing ann");
    fake_world_run(&world, 1000);
    type(ann, false);
    fake_world_run(&world, 1500);
    fake_client_saw(ann, "");
    fake_client_saw(bob, "typing");
    fake_client_saw(cem, "typing");
}

TEST(who_types_sees_the_others_who_do)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    type(ann, true);
    type(bob, true);
    fake_world_run(&world, 2500);
    fake_client_saw(ann, "typing bob");
    fake_client_saw(bob, "typing ann");
}

TEST(typing_ends_after_six_seconds_unless_it_is_said_again)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    type(ann, true);
    fake_world_run(&world, TYPING_MS - 500);
    type(ann, true);
    fake_world_run(&world, TYPING_MS - 500);
    fake_client_saw(bob, "typing ann");
    fake_world_run(&world, 2000);
    fake_client_saw(bob, "typing");
    fake_client_saw(ann, "");
}

TEST(who_types_on_is_shown_on_while_others_come_and_go)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    type(ann, true);
    fake_world_run(&world, 1500);
    for (int i = 0; i < 15; i++) {
        struct fake_client *cem = i % 2 == 0 ? someone("cem", 0, "") : NULL;
        fake_world_run(&world, 1000);
        type(ann, true);
        if (cem != NULL) {
            fake_client_drop(cem);
        }
        assert_int_equal(fake_client_place(bob, "/")->typers, 1);
    }
}

TEST(who_stopped_typing_may_type_again_at_any_time)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    for (uint64_t pause_ms = 0; pause_ms < 1500; pause_ms += 70) {
        type(ann, true);
        fake_world_run(&world, 1200);
        assert_int_equal(fake_client_place(bob, "/")->typers, 1);
        uint64_t end_ms = world.now_ms + TYPING_MS + 2000;
        while (fake_client_place(bob, "/")->typers > 0 && world.now_ms < end_ms) {
            fake_world_run(&world, 1);
        }
        assert_int_equal(fake_client_place(bob, "/")->typers, 0);
        fake_world_run(&world, pause_ms);
    }
}

TEST(typing_ends_with_the_message_and_with_leaving)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    type(ann, true);
    fake_world_run(&world, 1500);
    fake_client_send(ann, "/", "hello", "");
    fake_world_run(&world, 1500);
    fake_client_saw(bob, "typing ann, typing, #1 hello");
    type(ann, true);
    fake_world_run(&world, 1500);
    fake_client_drop(ann);
    fake_world_run(&world, 2500);
    fake_client_saw(bob, "typing ann, presence 1 bob, typing");
}

TEST(what_a_dead_gateway_said_of_typers_ends_after_six_seconds)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    type(ann, true);
    fake_world_run(&world, 500);
    fake_client_saw(bob, "typing ann");
    fake_gateway_kill(gateway(0));
    fake_world_run(&world, TYPING_MS + 1500);
    fake_client_saw(bob, "typing");
}

TEST(five_typers_are_named_and_the_others_are_a_number)
{
    struct fake_client *all[8];
    struct fake_client *zoe = someone_here("zoe", 0, WANTS);
    for (unsigned i = 0; i < COUNT_OF(all); i++) {
        char name[8];
        snprintf(name, sizeof(name), "p%u", i);
        all[i] = someone(name, i % 2, WANTS);
    }
    fake_world_run(&world, 4000);
    forget_all_seen();
    for (unsigned i = 0; i < COUNT_OF(all); i++) {
        type(all[i], true);
    }
    fake_world_run(&world, 3000);
    fake_client_saw(zoe, "typing p0 p2 p4 p6, typing p0 p2 p4 p6 p1 +3");
    fake_client_saw(all[0], "typing p2 p4 p6, typing p2 p4 p6 p1 p3 +2");
}

TEST(so_many_typers_of_a_room_are_kept_and_no_more)
{
    struct fake_client *zoe = someone_here("zoe", 1, WANTS);
    for (unsigned i = 0; i < TYPERS_OF_ROOM_MAX + 1; i++) {
        char name[8];
        snprintf(name, sizeof(name), "p%02u", i);
        someone(name, 0, WANTS)->is_quiet = true;
    }
    fake_world_run(&world, 4000);
    buf_clear(&zoe->seen);
    for (size_t i = 1; i < world.client_count; i++) {
        type(world.clients[i], true);
    }
    fake_world_run(&world, 3000);
    char expected[64];
    snprintf(expected, sizeof(expected), "typing p00 p01 p02 p03 p04 +%d", TYPERS_OF_ROOM_MAX - 5);
    fake_client_saw(zoe, expected);
}

TEST(who_toggles_is_told_of_once_a_second_at_most)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 0, WANTS);
    forget_all_seen();
    uint64_t told = stats(0)->presence_told;
    for (int i = 0; i < 50; i++) {
        type(ann, i % 2 == 0);
        fake_world_run(&world, 50);
    }
    fake_world_run(&world, 2000);
    assert_in_range(stats(0)->presence_told - told, 1, 4);
    fake_client_place(bob, "/");
    assert_int_equal(fake_client_place(bob, "/")->typers, 0);
}

TEST(who_begins_to_type_all_the_time_is_not_looked_at_and_may_begin_again_later)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 0, WANTS);
    for (int i = 0; i < 10 * TYPING_BURST; i++) {
        type(ann, true);
        type(ann, false);
    }
    type(ann, true);
    fake_world_run(&world, 2000);
    assert_int_equal(fake_client_place(bob, "/")->typers, 0);
    type(ann, true);
    fake_world_run(&world, 2000);
    assert_int_equal(fake_client_place(bob, "/")->typers, 1);
}

TEST(names_that_are_no_text_are_not_passed_on)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    struct bytes name = bytes_of("\xff"
                                 "A",
                                 2);
    struct contract_presence news = {
        .room = BYTES("lobby"),
        .gateway = BYTES("forged00"),
        .has_census = true,
        .census =
            {.count = 1, .has_names = true, .valid_ms = 60000, .name_count = 1, .names = &name},
    };
    hub_on_presence(world.gateways[0].hub, &news, world.now_ms);
    fake_world_run(&world, 3000);
    assert_int_equal(fake_client_place(ann, "/")->present, 1);
    assert_true(stats(0)->presence_ignored > 0);
}

TEST(who_reads_nothing_is_told_the_newest_when_it_reads_again)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    ann->window_left = 0;
    for (int i = 0; i < 10; i++) {
        struct fake_client *bob = someone("bob", 0, "");
        fake_world_run(&world, 1500);
        fake_client_drop(bob);
        fake_world_run(&world, 1500);
    }
    someone("cem", 1, "");
    fake_world_run(&world, 3000);
    assert_true(stats(0)->presence_deferred > 0);
    assert_int_equal(client_session(ann->client)->outbox.len, 0); /* nothing waits for it */
    fake_client_drain(ann);
    fake_world_run(&world, 1500);
    fake_client_saw(ann, "presence 2 ann cem");
}

TEST(a_packet_that_the_socket_took_in_part_is_finished)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    ann->window = 10;
    ann->window_left = 10;
    ann->drain_after_ms = 10;
    someone("bob", 1, "");
    fake_world_run(&world, 3000);
    fake_client_saw(ann, "presence 2 ann bob");
}

TEST(who_polls_is_told_too_and_at_most_one_packet_waits)
{
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect_polling(ann, gateway(0));
    fake_client_join(ann, "/", WANTS);
    fake_world_run(&world, 1500);
    fake_client_saw(ann, "joined, presence 1 ann, typing");
    ann->window_left = 0; /* no GET waits */
    someone("bob", 0, "");
    fake_world_run(&world, 1500);
    size_t len = client_session(ann->client)->outbox.len;
    assert_true(len > 0);
    someone("cem", 0, "");
    fake_world_run(&world, 5000);
    assert_int_equal(client_session(ann->client)->outbox.len, len);
    fake_client_drain(ann);
    fake_world_run(&world, 1500);
    fake_client_saw(ann, "presence 2 ann bob, presence 3 ann bob cem");
}

TEST(a_session_that_moves_to_another_gateway_is_told_on)
{
    struct fake_client *bob = someone_here("bob", 0, WANTS);
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect_polling(ann, gateway(0));
    fake_client_join(ann, "/", WANTS);
    fake_world_run(&world, 2500);
    forget_all_seen();
    fake_client_upgrade(ann, gateway(1));
    fake_world_run(&world, 2500);
    assert_int_equal(fake_client_place(ann, "/")->present, 2);
    assert_int_equal(fake_client_place(bob, "/")->present, 2);
    forget_all_seen();
    type(ann, true);
    fake_world_run(&world, 1500);
    fake_client_saw(bob, "typing ann");
}

TEST(who_types_while_it_moves_is_not_a_member_yet)
{
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect_polling(ann, gateway(0));
    fake_client_join(ann, "/", WANTS);
    fake_world_run(&world, 2500);
    world.query_mode = FAKE_STORE_SILENT; /* the other gateway cannot let it in */
    fake_client_upgrade(ann, gateway(1));
    type(ann, true);
    fake_world_run(&world, 500);
    assert_int_equal(stats(1)->members, 0);
    assert_int_equal(stats(1)->presence_rooms, 0);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
    assert_int_equal(fake_client_place(ann, "/")->present, 1);
}

TEST(a_session_that_resumes_elsewhere_is_told_on)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS), *bob = someone_here("bob", 1, WANTS);
    forget_all_seen();
    fake_client_drop(ann);
    fake_world_run(&world, 3000);
    fake_client_connect(ann, gateway(1));
    fake_client_rejoin(ann, "/");
    fake_world_run(&world, 3000);
    fake_client_saw(ann, "resumed, presence 2 ann bob, typing");
    fake_client_saw(bob, "presence 1 bob, presence 2 ann bob");
}

TEST(when_nobody_asks_any_more_nothing_is_left)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    someone_here("bob", 1, "");
    assert_int_equal(stats(1)->presence_rooms, 1);
    fake_client_drop(ann);
    fake_world_run(&world, LONG_MS);
    assert_int_equal(stats(0)->presence_rooms, 0);
    assert_int_equal(stats(1)->presence_rooms, 0);
    unsigned before = gateway(1)->announcements;
    fake_world_run(&world, LONG_MS);
    assert_int_equal(gateway(1)->announcements, before);
}

/* @count rooms, each with a member on either gateway that asks. */
static void fill_rooms(unsigned count)
{
    struct fake_client *clients[2] = {NULL, NULL};
    for (unsigned i = 0; i < count; i++) {
        char namespace[16];
        snprintf(namespace, sizeof(namespace), "/r%u", i);
        for (unsigned g = 0; g < COUNT_OF(clients); g++) {
            if (i % FAKE_PLACES_MAX == 0) {
                clients[g] = fake_client_new(&world, "p");
                clients[g]->is_quiet = true;
                fake_client_connect(clients[g], gateway(g));
            }
            fake_client_join(clients[g], namespace, WANTS);
        }
    }
}

/* Both gateways anew, with so much less in a turn. */
static void restart_gateways(uint32_t rooms_per_turn, uint32_t visits_per_turn)
{
    struct hub_settings settings = fake_settings(&world);
    settings.presence_rooms_per_turn = rooms_per_turn;
    settings.presence_visits_per_turn = visits_per_turn;
    settings.presence_refresh_ms = 100;
    for (unsigned i = 0; i < 2; i++) {
        fake_gateway_kill(gateway(i));
        fake_gateway_start(&world, i, &settings);
    }
}

TEST(more_rooms_make_news_older_and_not_more)
{
    enum { PER_TURN = 2, RUN_MS = 10000 };
    restart_gateways(PER_TURN, PRESENCE_VISITS_PER_TURN);
    fill_rooms(FAKE_ROOMS_MAX);
    fake_world_run(&world, 5000);
    assert_int_equal(stats(0)->presence_rooms, FAKE_ROOMS_MAX);
    unsigned before = gateway(0)->announcements + gateway(0)->questions;
    fake_world_run(&world, RUN_MS);
    /* A room's turn is an announcement and a question at most. */
    unsigned announced = gateway(0)->announcements + gateway(0)->questions - before;
    assert_in_range(announced, FAKE_ROOMS_MAX, 2 * PER_TURN * (RUN_MS / PRESENCE_TURN_MS + 1));
    for (size_t i = 0; i < world.client_count; i++) {
        for (size_t j = 0; j < world.clients[i]->place_count; j++) {
            assert_int_equal(world.clients[i]->places[j].present, 2);
        }
    }
}

TEST(as_many_members_are_told_in_a_turn_as_may_and_the_others_in_the_next)
{
    enum { MEMBERS = 50, PER_TURN = 10 };
    restart_gateways(PRESENCE_ROOMS_PER_TURN, PER_TURN);
    for (unsigned i = 0; i < MEMBERS; i++) {
        someone("p", 0, WANTS)->is_quiet = true;
    }
    fake_world_run(&world, 4000);
    uint64_t told = stats(0)->presence_told;
    someone("zoe", 1, "");
    fake_world_run(&world, PRESENCE_TURN_MS);
    assert_in_range(stats(0)->presence_told - told, PER_TURN, 2 * PER_TURN);
    fake_world_run(&world, PRESENCE_TURN_MS * MEMBERS / PER_TURN);
    assert_int_equal(stats(0)->presence_told - told, MEMBERS);
}

TEST(nobody_is_left_out_when_members_leave_while_the_others_are_told)
{
    enum { MEMBERS = 50, PER_TURN = 5 };
    restart_gateways(PRESENCE_ROOMS_PER_TURN, PER_TURN);
    for (unsigned i = 0; i < MEMBERS; i++) {
        someone("p", 0, WANTS)->is_quiet = true;
    }
    fake_world_run(&world, 4000);
    someone("zoe", 1, "")->is_quiet = true;
    for (unsigned i = 0; i < MEMBERS; i += 2) {
        fake_world_run(&world, 20);
        fake_client_drop(world.clients[i]);
    }
    fake_world_run(&world, 5000);
    for (unsigned i = 1; i < MEMBERS; i += 2) {
        assert_int_equal(fake_client_place(world.clients[i], "/")->present, MEMBERS / 2 + 1);
    }
}

TEST(so_many_gateways_of_a_room_are_kept_apart_and_no_more)
{
    struct fake_client *ann = someone_here("ann", 0, WANTS);
    for (unsigned i = 0; i < ROSTER_GATEWAYS_MAX + 1; i++) {
        char id[16];
        snprintf(id, sizeof(id), "x%07u", i);
        hub_on_presence(gateway(0)->hub,
                        &(struct contract_presence){.room = BYTES("lobby"),
                                                    .gateway = bytes_of_string(id),
                                                    .has_census = true,
                                                    .census = {.count = 1, .valid_ms = 60000}},
                        world.now_ms);
    }
    fake_world_run(&world, 3000);
    assert_int_equal(stats(0)->presence_ignored, 1);
    assert_int_equal(fake_client_place(ann, "/")->present, ROSTER_GATEWAYS_MAX + 1);
    fake_world_run(&world, 60000);
    assert_int_equal(fake_client_place(ann, "/")->present, 1);
}

static_assert(sizeof(struct member) <= 160, "an idle connection stays as small as it is");

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

TEST_MAIN(IN_A_WORLD(who_joins_is_told_who_is_here),
          IN_A_WORLD(everyone_hears_who_comes_and_goes_on_either_gateway),
          IN_A_WORLD(who_comes_right_behind_another_one_is_told_of_both_at_once),
          IN_A_WORLD(names_are_sorted_and_each_is_told_once),
          IN_A_WORLD(who_did_not_ask_is_told_nothing_and_counts),
          IN_A_WORLD(who_does_not_listen_is_not_heard_typing),
          IN_A_WORLD(typing_without_sense_is_refused),
          IN_A_WORLD(where_nobody_asks_one_hello_for_each_first_member_is_all),
          IN_A_WORLD(changes_are_told_once_a_second_at_most),
          IN_A_WORLD(up_to_200_members_have_names_and_201_are_a_count),
          IN_A_WORLD(a_large_room_tells_other_gateways_no_names),
          IN_A_WORLD(the_members_of_a_gateway_that_dies_are_gone_after_three_refreshes),
          IN_A_WORLD(a_gateway_that_ends_says_so),
          IN_A_WORLD(who_does_not_ask_is_heard_of_as_soon_as_it_comes),
          IN_A_WORLD(what_was_lost_on_the_way_is_told_with_the_next_refresh),
          IN_A_WORLD(after_a_time_without_nats_all_is_told_at_once),
          IN_A_WORLD(typing_is_shown_to_all_others_until_it_ends),
          IN_A_WORLD(who_types_sees_the_others_who_do),
          IN_A_WORLD(typing_ends_after_six_seconds_unless_it_is_said_again),
          IN_A_WORLD(who_types_on_is_shown_on_while_others_come_and_go),
          IN_A_WORLD(who_stopped_typing_may_type_again_at_any_time),
          IN_A_WORLD(typing_ends_with_the_message_and_with_leaving),
          IN_A_WORLD(what_a_dead_gateway_said_of_typers_ends_after_six_seconds),
          IN_A_WORLD(five_typers_are_named_and_the_others_are_a_number),
          IN_A_WORLD(so_many_typers_of_a_room_are_kept_and_no_more),
          IN_A_WORLD(who_toggles_is_told_of_once_a_second_at_most),
          IN_A_WORLD(who_begins_to_type_all_the_time_is_not_looked_at_and_may_begin_again_later),
          IN_A_WORLD(names_that_are_no_text_are_not_passed_on),
          IN_A_WORLD(who_reads_nothing_is_told_the_newest_when_it_reads_again),
          IN_A_WORLD(a_packet_that_the_socket_took_in_part_is_finished),
          IN_A_WORLD(who_polls_is_told_too_and_at_most_one_packet_waits),
          IN_A_WORLD(a_session_that_moves_to_another_gateway_is_told_on),
          IN_A_WORLD(who_types_while_it_moves_is_not_a_member_yet),
          IN_A_WORLD(a_session_that_resumes_elsewhere_is_told_on),
          IN_A_WORLD(when_nobody_asks_any_more_nothing_is_left),
          IN_A_WORLD(more_rooms_make_news_older_and_not_more),
          IN_A_WORLD(as_many_members_are_told_in_a_turn_as_may_and_the_others_in_the_next),
          IN_A_WORLD(nobody_is_left_out_when_members_leave_while_the_others_are_told),
          IN_A_WORLD(so_many_gateways_of_a_room_are_kept_apart_and_no_more))
