/*
 * hub_page_test.c - members that read what memory does not hold any more: within the budget, and each in its turn.
 */
#include "base/tests/testing.h"
#include "fake_world.h"
#include "hub/hub_impl.h"
#include "hub_limits.h"

#include <stdio.h>
#include <stdlib.h>

static struct fake_world world;

/* At every moment of every test here. */
static void check_limits(void *user)
{
    (void)user;
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        const struct hub *hub = world.gateways[i].hub;
        const char *wrong = hub == NULL ? NULL : hub_limits_broken(hub);
        if (wrong != NULL) {
            fake_failed("%s", wrong);
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    fake_world_init(&world);
    world.on_moment = check_limits;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_world_release(&world);
    return 0;
}

/* Gateway 0, with room for a few messages of the log and for @answers answers of @answer_bytes of pages. */
static struct hub *start_with_room_for(size_t answers, size_t answer_bytes)
{
    fake_gateway_kill(&world.gateways[0]);
    struct hub_settings settings = fake_settings(&world);
    settings.room_log_bytes_max = 4096;
    settings.log_bytes_max = 4 * answers * answer_bytes;
    settings.page_answer_bytes_max = answer_bytes;
    settings.recovery_max = 1000000;
    return fake_gateway_start(&world, 0, &settings)->hub;
}

/* A member of @namespace that has seen all up to @offset. */
static struct fake_client *reader_in(const char *namespace, size_t offset)
{
    struct fake_client *client = fake_client_new(&world, "reader");
    char auth[64];
    snprintf(auth, sizeof(auth), "\"serverOffset\":%zu", offset);
    client->is_quiet = true;
    fake_client_connect(client, &world.gateways[0]);
    fake_client_join(client, namespace, auth);
    return client;
}

static struct fake_client *reader(size_t offset)
{
    return reader_in("/", offset);
}

static uint64_t next_id(const struct fake_client *client)
{
    return client->places[0].next_id;
}

TEST(readers_of_different_pages_that_come_together_all_get_on)
{
    start_with_room_for(2, 65536);
    fake_store_fill(&world.store, BYTES("lobby"), "a longer text than is good for memory ", 3000);
    for (size_t i = 0; i < 11; i++) {
        reader(i * CONTRACT_PAGE);
    }
    fake_world_run(&world, 1000);
    for (size_t i = 0; i < world.client_count; i++) {
        assert_int_equal(next_id(world.clients[i]), 3001);
    }
    assert_true(world.gateways[0].queries <=
                80); /* 11 + 10 + … + 1 pages, the newest, heads checks */
}

TEST(answers_shorter_than_a_page_are_put_together)
{
    world.store.range_messages_max = 7;
    fake_store_fill(&world.store, BYTES("lobby"), "m", 600);
    struct fake_client *ann = reader(3);
    fake_world_run(&world, 1000);
    assert_int_equal(next_id(ann), 601);
}

TEST(an_answer_with_more_than_its_place_holds_is_cut_and_the_rest_is_asked_for)
{
    struct hub *hub = start_with_room_for(4, 4096);
    fake_store_fill(&world.store, BYTES("lobby"), "a longer text than is good for memory ", 600);
    struct fake_client *ann = reader(0);
    fake_world_run(&world, 1000);
    assert_int_equal(next_id(ann), 601);
    assert_true(hub_stats(hub)->page_parts_fetched > 10);
    assert_true(hub_stats(hub)->page_parts_evicted > 0);
}

TEST(a_message_longer_than_the_place_of_an_answer_comes_alone)
{
    fake_gateway_kill(&world.gateways[0]);
    struct hub_settings settings = fake_settings(&world);
    settings.room_log_bytes_max = 4096;
    settings.log_bytes_max = 262144;
    settings.page_answer_bytes_max = 512;
    fake_gateway_start(&world, 0, &settings);
    char text[400];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fake_store_fill(&world.store, BYTES("lobby"), text, 100);
    world.on_moment =
        NULL; /* it is past its limit by design; none that a store takes is as long as a real answer */
    struct fake_client *ann = reader(0);
    fake_world_run(&world, 1000);
    assert_int_equal(next_id(ann), 101);
}

TEST(history_goes_back_over_a_page_that_comes_in_parts)
{
    start_with_room_for(4, 4096);
    fake_store_fill(&world.store, BYTES("lobby"), "a longer text than is good for memory ", 600);
    struct fake_client *ann = reader(599);
    fake_world_run(&world, 50);
    buf_clear(&ann->seen);
    fake_client_say(ann, "2901[\"chat history\",{\"before\":200,\"limit\":10}]");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "history 190-199 more");
}

/* Names of @count rooms of one shard, and of another one. */
static void find_rooms(char names[][16], size_t count, char *ret_other)
{
    size_t found = 0;
    ret_other[0] = '\0';
    for (int i = 0; found < count || ret_other[0] == '\0'; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        bool is_same = found == 0 || contract_shard(bytes_of_string(name)) ==
                                         contract_shard(bytes_of_string(names[0]));
        if (!is_same) {
            strcpy(ret_other, name);
        } else if (found < count) {
            strcpy(names[found++], name);
        }
    }
}

TEST(queries_of_one_shard_past_the_bound_wait_for_their_turn_and_no_other_shards)
{
    struct hub *hub = world.gateways[0].hub;
    char names[6][16], other[16], namespace[32];
    find_rooms(names, 6, other);
    static_assert(QUERIES_OF_SHARD_MAX == 4, "rooms");
    world.query_mode = FAKE_STORE_SILENT;
    for (size_t i = 0; i < 6; i++) {
        struct fake_client *client = fake_client_new(&world, "ann");
        fake_client_connect(client, &world.gateways[0]);
        snprintf(namespace, sizeof(namespace), "/%s", names[i]);
        fake_client_join(client, namespace, "");
        fake_world_run(&world, 10);
        assert_int_equal(world.gateways[0].queries, i < 4 ? i + 1 : 4);
        assert_int_equal(hub_stats(hub)->queries_waiting, i < 4 ? 0 : i - 3);
    }
    fake_client_drop(world.clients[5]); /* its room stays, and what it asks */
    struct fake_client *bob = fake_client_new(&world, "bob");
    fake_client_connect(bob, &world.gateways[0]);
    snprintf(namespace, sizeof(namespace), "/%s", other);
    fake_client_join(bob, namespace, "");
    fake_world_run(&world, 10);
    assert_int_equal(world.gateways[0].queries, 5);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, REQUEST_TIMEOUT_MS + 100);
    assert_int_equal(hub_stats(hub)->queries_waiting, 0);
    assert_int_equal(hub_stats(hub)->members, 6);
}

/* Somebody at the address @source who opens the @count rooms @names. */
static struct fake_client *opener(uint32_t source, char names[][16], size_t count)
{
    world.source = source;
    struct fake_client *client = fake_client_new(&world, "ann");
    fake_client_connect(client, &world.gateways[0]);
    for (size_t i = 0; i < count; i++) {
        char namespace[32];
        snprintf(namespace, sizeof(namespace), "/%s", names[i]);
        fake_client_join(client, namespace, "");
    }
    return client;
}

TEST(who_opens_many_rooms_lets_those_of_other_addresses_wait_for_one_of_them)
{
    enum { OPENERS = 3, MANY = OPENERS * FAKE_PLACES_MAX };
    char names[MANY + 1][16], other[16];
    find_rooms(names, MANY + 1, other);
    world.query_mode = FAKE_STORE_SILENT;
    for (size_t i = 0; i < OPENERS; i++) {
        opener(1, &names[i * FAKE_PLACES_MAX], FAKE_PLACES_MAX);
    }
    struct fake_client *bob = opener(2, &names[MANY], 1);
    fake_world_run(&world, 10);
    struct hub *hub = world.gateways[0].hub;
    assert_int_equal(hub_stats(hub)->queries_waiting, MANY + 1 - QUERIES_OF_SHARD_MAX);
    world.query_mode = FAKE_STORE_UP;
    for (uint64_t end_ms = world.now_ms + 10000; !bob->places[0].is_joined;) {
        assert_true(world.now_ms < end_ms);
        fake_world_run(&world, 1);
    }
    assert_true(hub_stats(hub)->members <= (size_t)2 * QUERIES_OF_SHARD_MAX + 1);
    fake_world_run(&world, 10000);
    assert_int_equal(hub_stats(hub)->members, MANY + 1);
}

/* As long as somebody reads on, whose next question comes with each answer. */
TEST(who_opens_a_room_waits_for_no_reader_of_another_address)
{
    enum { PAGES = 400, READERS = 40 };
    struct hub *hub = start_with_room_for(64, 65536);
    fake_store_fill(&world.store, BYTES("lobby"), "m", (size_t)PAGES * CONTRACT_PAGE);
    char names[][16] = {"lobby", ""};
    for (int i = 0; i == 0 || contract_shard(bytes_of_string(names[1])) !=
                                  contract_shard(bytes_of_string(names[0]));
         i++) {
        snprintf(names[1], sizeof(names[1]), "r%d", i);
    }
    world.source = 1;
    for (size_t i = 0; i < READERS; i++) {
        reader(i * (PAGES / READERS) * CONTRACT_PAGE);
    }
    fake_world_run(&world, 20);
    assert_true(hub_stats(hub)->queries_waiting > 0);
    struct fake_client *bob = opener(2, &names[1], 1);
    uint64_t asked = hub_stats(hub)->queries;
    while (!bob->places[0].is_joined) {
        fake_world_run(&world, 1);
    }
    assert_true(hub_stats(hub)->queries - asked <= (size_t)3 * QUERIES_OF_SHARD_MAX);
    fake_world_run(&world, 20000);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(next_id(world.clients[i]), PAGES * CONTRACT_PAGE + 1);
    }
}

/* The room is asked for in the row of whoever has nothing else to wait for. */
TEST(a_room_that_two_addresses_wait_for_is_opened_in_the_shorter_row)
{
    char names[FAKE_PLACES_MAX * 2][16], other[16];
    find_rooms(names, COUNT_OF(names), other);
    world.query_mode = FAKE_STORE_SILENT;
    opener(1, names, FAKE_PLACES_MAX);
    opener(1, &names[FAKE_PLACES_MAX], FAKE_PLACES_MAX);
    struct fake_client *bob = opener(2, &names[COUNT_OF(names) - 1], 1);
    fake_world_run(&world, 10);
    world.query_mode = FAKE_STORE_UP;
    while (!bob->places[0].is_joined) {
        fake_world_run(&world, 1);
    }
    assert_true(hub_stats(world.gateways[0].hub)->members <= (size_t)2 * QUERIES_OF_SHARD_MAX + 1);
}

TEST(who_reads_many_pages_lets_those_of_other_addresses_wait_for_one_of_them)
{
    enum { PAGES = 20 };
    struct hub *hub = start_with_room_for(4, 65536); /* two are fetched at a time */
    fake_store_fill(&world.store, BYTES("lobby"), "m", (size_t)PAGES * CONTRACT_PAGE);
    reader((size_t)PAGES * CONTRACT_PAGE - 1);
    fake_world_run(&world, 50);
    world.query_mode = FAKE_STORE_SILENT;
    for (size_t i = 0; i < PAGES - 2; i++) {
        world.source = 1;
        reader(i * CONTRACT_PAGE);
        fake_world_run(&world, 10);
    }
    world.source = 2;
    struct fake_client *bob = reader((size_t)(PAGES - 2) * CONTRACT_PAGE);
    fake_world_run(&world, 10);
    assert_int_equal(hub->pages.queued, PAGES - 3);
    world.query_mode = FAKE_STORE_UP;
    for (uint64_t end_ms = world.now_ms + 10000; bob->places[0].count == 0;) {
        assert_true(world.now_ms < end_ms);
        fake_world_run(&world, 1);
    }
    assert_true(hub->pages.queued >= PAGES - 3 - 4);
    fake_world_run(&world, 10000);
    for (size_t i = 0; i < world.client_count; i++) {
        assert_int_equal(next_id(world.clients[i]), PAGES * CONTRACT_PAGE + 1);
    }
}

TEST(pages_past_the_budget_wait_until_one_is_answered)
{
    struct hub *hub = start_with_room_for(4, 65536); /* half of it for what is on its way */
    fake_store_fill(&world.store, BYTES("lobby"), "m", 3000);
    struct fake_client *first = reader(2999);
    fake_world_run(&world, 50);
    world.query_mode = FAKE_STORE_SILENT;
    for (size_t i = 0; i < 3; i++) {
        reader(i * CONTRACT_PAGE);
        fake_world_run(&world, 10);
        assert_int_equal(hub->pages.fetching, i < 2 ? i + 1 : 2);
        assert_int_equal(hub->pages.queued, i < 2 ? 0 : 1);
        assert_int_equal(hub_stats(hub)->pages_waiting, i + 1);
    }
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, REQUEST_TIMEOUT_MS + 1000);
    for (size_t i = 0; i < world.client_count; i++) {
        assert_int_equal(next_id(world.clients[i]), 3001);
    }
    assert_true(first->client != NULL);
}

TEST(who_leaves_while_it_waits_for_room_leaves_no_page_behind)
{
    struct hub *hub = start_with_room_for(2, 65536);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 6000);
    reader(5999);
    fake_world_run(&world, 50);
    world.query_mode = FAKE_STORE_SILENT;
    for (size_t i = 0; i < 20; i++) {
        struct fake_client *client = reader(i * CONTRACT_PAGE);
        fake_world_run(&world, 10);
        fake_client_drop(client);
        fake_world_run(&world, 10);
        assert_int_equal(hub->pages.queued, 0);
        assert_int_equal(hub->pages.pages.count, 1); /* the one that was asked for first */
    }
}

enum {
    CROWD = 1000,
    CROWD_ROOMS = 8,
    CROWD_STEP = 3,
    CROWD_HEAD = CROWD / CROWD_ROOMS * CROWD_STEP
};

static size_t place_of(size_t i)
{
    return i / CROWD_ROOMS * CROWD_STEP;
}

static bool stands_still(size_t i)
{
    return i % 10 == 0;
}

/* The crowd is in its places, and waits for a store that says nothing yet. */
static void gather(struct fake_client *crowd[CROWD])
{
    for (size_t i = 0; i < CROWD; i++) {
        if (i == CROWD_ROOMS) { /* the rooms are open */
            fake_world_run(&world, 50);
            world.query_mode = FAKE_STORE_SILENT;
        }
        char namespace[16], text[64];
        snprintf(namespace, sizeof(namespace), "/%zu", i % CROWD_ROOMS);
        if (i < CROWD_ROOMS) {
            snprintf(text, sizeof(text), "a longer text than is good for memory ");
            fake_store_fill(&world.store, bytes_of_string(namespace + 1), text, CROWD_HEAD);
            reader_in(namespace, CROWD_HEAD);
        }
        crowd[i] = reader_in(namespace, place_of(i));
        crowd[i]->write_max = crowd[i]->window = stands_still(i) ? 700 : 2500;
        crowd[i]->drain_after_ms = stands_still(i) ? 0 : 1;
    }
    fake_world_run(&world, 10);
    world.query_mode = FAKE_STORE_UP;
}

static bool all_have_got_on(struct fake_client *const crowd[CROWD])
{
    size_t count = 0;
    while (count < CROWD && next_id(crowd[count]) > place_of(count) + 1) {
        count++;
    }
    return count == CROWD;
}

/*
 * Each is at its own place and wants what only the store has; there is room for 8 answers, of which half may be on their
 * way, and an answer brings some 20 messages. Every tenth takes two messages and stands still then.
 */
TEST(a_thousand_members_at_a_thousand_places_with_room_for_eight_answers_all_get_on_in_turn)
{
    struct hub *hub = start_with_room_for(8, 4096);
    static struct fake_client *crowd[CROWD];
    gather(crowd);
    uint64_t before = hub_stats(hub)->page_parts_fetched;
    for (int ms = 0; ms < 10000 && !all_have_got_on(crowd); ms++) {
        fake_world_run(&world, 1);
    }
    assert_true(all_have_got_on(crowd));
    assert_true(hub_stats(hub)->page_parts_fetched - before <=
                CROWD); /* nobody waits for others' second turn */
    fake_world_run(&world, 60000);
    for (size_t i = 0; i < CROWD; i++) {
        assert_true(stands_still(i) || next_id(crowd[i]) == CROWD_HEAD + 1);
    }
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(
    IN_A_WORLD(readers_of_different_pages_that_come_together_all_get_on),
    IN_A_WORLD(answers_shorter_than_a_page_are_put_together),
    IN_A_WORLD(an_answer_with_more_than_its_place_holds_is_cut_and_the_rest_is_asked_for),
    IN_A_WORLD(a_message_longer_than_the_place_of_an_answer_comes_alone),
    IN_A_WORLD(history_goes_back_over_a_page_that_comes_in_parts),
    IN_A_WORLD(queries_of_one_shard_past_the_bound_wait_for_their_turn_and_no_other_shards),
    IN_A_WORLD(who_opens_many_rooms_lets_those_of_other_addresses_wait_for_one_of_them),
    IN_A_WORLD(who_opens_a_room_waits_for_no_reader_of_another_address),
    IN_A_WORLD(a_room_that_two_addresses_wait_for_is_opened_in_the_shorter_row),
    IN_A_WORLD(who_reads_many_pages_lets_those_of_other_addresses_wait_for_one_of_them),
    IN_A_WORLD(pages_past_the_budget_wait_until_one_is_answered),
    IN_A_WORLD(who_leaves_while_it_waits_for_room_leaves_no_page_behind),
    IN_A_WORLD(
        a_thousand_members_at_a_thousand_places_with_room_for_eight_answers_all_get_on_in_turn))
