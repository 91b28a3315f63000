/*
 * hub_turn_test.c - what one turn of the loop does at most, and that nobody is forgotten in the next ones.
 */
#include "base/tests/testing.h"
#include "fake_world.h"
#include "hub/limits.h"

#include <stdio.h>

enum { CROWD_MAX = 200, PER_TURN = 4 };

static struct fake_world world;
static struct fake_client *crowd[CROWD_MAX];

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

/* Gateway 1, whose turns do PER_TURN of everything, and take 1 ms each. */
static struct fake_gateway *start_slow_gateway(void)
{
    struct hub_settings settings = fake_settings(&world);
    settings.joins_per_turn = PER_TURN;
    settings.catch_ups_per_turn = PER_TURN;
    settings.deliveries_per_turn = PER_TURN;
    settings.histories_per_turn = PER_TURN;
    world.has_slow_turns = true;
    return fake_gateway_start(&world, 1, &settings);
}

/* @count clients on @gateway, who ask to join with @auth at the same moment. */
static void come(struct fake_gateway *gateway, size_t count, const char *auth)
{
    for (size_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "c%zu", i);
        crowd[i] = fake_client_new(&world, name);
        crowd[i]->is_quiet = true;
        fake_client_connect(crowd[i], gateway);
        fake_client_join(crowd[i], "/", auth);
    }
}

static size_t count_joined(size_t count)
{
    size_t joined = 0;
    for (size_t i = 0; i < count; i++) {
        joined += crowd[i]->place_count > 0 && crowd[i]->places[0].is_joined;
    }
    return joined;
}

static size_t count_seen(size_t count, uint64_t messages)
{
    size_t seen = 0;
    for (size_t i = 0; i < count; i++) {
        seen += crowd[i]->places[0].count == messages;
    }
    return seen;
}

/* One turn of the slow gateway. */
static void turn(struct fake_gateway *gateway)
{
    unsigned turns = gateway->turns;
    while (gateway->turns == turns) {
        CHECK(hub_has_work(gateway->hub));
        fake_world_run(&world, 1);
    }
    assert_int_equal(gateway->turns, turns + 1);
}

TEST(a_new_room_that_many_enter_at_once_costs_one_subscription_and_one_read)
{
    struct fake_gateway *gateway = &world.gateways[0];
    fake_store_fill(&world.store, BYTES("lobby"), "m", 300);
    come(gateway, CROWD_MAX, "");
    fake_world_run(&world, 500);
    assert_int_equal(count_joined(CROWD_MAX), CROWD_MAX);
    assert_int_equal(count_seen(CROWD_MAX, RECENT_MESSAGES), CROWD_MAX);
    assert_int_equal(gateway->subscribes, 1);
    assert_int_equal(gateway->queries, 1);
}

TEST(those_who_come_while_the_room_is_read_share_that_read)
{
    struct fake_gateway *gateway = &world.gateways[0];
    fake_store_fill(&world.store, BYTES("lobby"), "m", 3);
    world.faults.delay_min_ms = world.faults.delay_max_ms = 20;
    come(gateway, 10, "");
    fake_world_run(&world, 30);
    assert_int_equal(count_joined(10), 0);
    struct fake_client *late = fake_client_new(&world, "late");
    fake_client_connect(late, gateway);
    fake_client_join(late, "/", "\"serverOffset\":1");
    fake_world_run(&world, 15);
    fake_client_saw(late, "joined, #2 m2, #3 m3");
    assert_int_equal(count_joined(10), 10);
    assert_int_equal(gateway->queries, 1);
}

TEST(pages_that_many_miss_are_read_once_for_all)
{
    struct fake_gateway *gateway = &world.gateways[0];
    enum { MISSED = 4 * CONTRACT_PAGE };
    fake_store_fill(&world.store, BYTES("lobby"), "m", MISSED);
    come(gateway, CROWD_MAX, "\"serverOffset\":0");
    fake_world_run(&world, 500);
    assert_int_equal(count_seen(CROWD_MAX, MISSED), CROWD_MAX);
    assert_int_equal(gateway->queries, 1 + MISSED / CONTRACT_PAGE);
}

TEST(as_many_join_in_a_turn_as_may_and_one_more_in_the_next)
{
    for (size_t count = PER_TURN; count <= PER_TURN + 1; count++) {
        tear_down(NULL);
        set_up(NULL);
        struct fake_gateway *gateway = start_slow_gateway();
        come(gateway, count, "");
        while (count_joined(count) == 0) {
            fake_world_run(&world, 1);
        }
        assert_int_equal(count_joined(count), PER_TURN);
        if (count > PER_TURN) {
            turn(gateway);
        }
        assert_int_equal(count_joined(count), count);
        CHECK(!hub_has_work(gateway->hub));
    }
}

TEST(who_waits_for_the_store_holds_up_nobody_who_joins)
{
    struct fake_gateway *gateway = start_slow_gateway();
    fake_store_fill(&world.store, BYTES("lobby"), "m", 1);
    struct fake_client *ahead[PER_TURN + 1];
    come(gateway, 1, "");
    fake_world_run(&world, 50);
    world.query_mode = FAKE_STORE_SILENT;
    for (size_t i = 0; i <= PER_TURN; i++) {
        ahead[i] = fake_client_new(&world, "ahead");
        fake_client_connect(ahead[i], gateway);
        fake_client_join(ahead[i], "/", "\"serverOffset\":7");
    }
    fake_world_run(&world, 50);
    struct fake_client *late = fake_client_new(&world, "late");
    fake_client_connect(late, gateway);
    fake_client_join(late, "/", "");
    fake_world_run(&world, 50);
    fake_client_saw(late, "joined, #1 m1");
    CHECK(!hub_has_work(gateway->hub)); /* and the loop rests meanwhile */
    for (size_t i = 0; i <= PER_TURN; i++) {
        fake_client_saw(ahead[i], "");
    }
}

/* A message is on its way to the crowd, and has reached a part of it. */
static struct fake_gateway *begin_round(size_t count)
{
    struct fake_gateway *gateway = start_slow_gateway();
    come(gateway, count, "");
    struct fake_client *bob = fake_client_new(&world, "bob");
    fake_client_connect(bob, &world.gateways[0]);
    fake_client_join(bob, "/", "");
    fake_world_run(&world, 100);
    assert_int_equal(count_joined(count), count);
    fake_client_send(bob, "/", "hello", "");
    while (count_seen(count, 1) == 0) {
        fake_world_run(&world, 1);
    }
    return gateway;
}

TEST(as_many_get_a_message_in_a_turn_as_may_and_one_more_in_the_next)
{
    for (size_t count = PER_TURN; count <= PER_TURN + 1; count++) {
        tear_down(NULL);
        set_up(NULL);
        struct fake_gateway *gateway = begin_round(count);
        assert_int_equal(count_seen(count, 1), PER_TURN);
        if (count > PER_TURN) {
            turn(gateway);
        }
        assert_int_equal(count_seen(count, 1), count);
        CHECK(!hub_has_work(gateway->hub));
    }
}

TEST(nobody_is_left_out_when_a_member_leaves_while_a_message_goes_round)
{
    enum { COUNT = 3 * PER_TURN };
    /* Each of those who have it, in turn: the last member, who has not, gets its place. */
    for (size_t leaver = 0; leaver < PER_TURN; leaver++) {
        tear_down(NULL);
        set_up(NULL);
        struct fake_gateway *gateway = begin_round(COUNT);
        fake_client_drop(crowd[leaver]);
        fake_world_run(&world, 50);
        assert_int_equal(count_seen(COUNT, 1), COUNT);
        CHECK(!hub_has_work(gateway->hub));
    }
}

TEST(nobody_is_left_out_when_a_member_comes_while_a_message_goes_round)
{
    enum { COUNT = 10 * PER_TURN };
    struct fake_gateway *gateway = begin_round(COUNT);
    /* The second message begins its round amid the first one's, so that it goes around the end. */
    fake_client_send(crowd[0], "/", "again", "");
    while (count_seen(COUNT, 2) == 0) {
        fake_world_run(&world, 1);
    }
    struct fake_client *late = fake_client_new(&world, "late");
    fake_client_connect(late, gateway);
    fake_client_join(late, "/", "\"serverOffset\":0");
    fake_world_run(&world, 50);
    assert_int_equal(count_seen(COUNT, 2), COUNT);
    fake_client_saw(late, "joined, #1 hello, #2 again");
    CHECK(!hub_has_work(gateway->hub));
}

TEST(a_message_that_comes_while_one_goes_round_reaches_all_too)
{
    enum { COUNT = 3 * PER_TURN };
    struct fake_gateway *gateway = begin_round(COUNT);
    fake_client_send(crowd[0], "/", "again", "");
    fake_world_run(&world, 100);
    assert_int_equal(count_seen(COUNT, 2), COUNT);
    CHECK(!hub_has_work(gateway->hub));
}

TEST(a_room_where_messages_never_end_holds_up_no_other_one)
{
    enum { COUNT = 10 * PER_TURN };
    struct fake_gateway *gateway = start_slow_gateway();
    struct fake_client *pair[2];
    for (size_t i = 0; i < COUNT_OF(pair); i++) {
        pair[i] = fake_client_new(&world, i == 0 ? "ann" : "bob");
        fake_client_connect(pair[i], gateway);
        fake_client_join(pair[i], "/quiet", "");
    }
    come(gateway, COUNT, "");
    fake_world_run(&world, 200);
    for (size_t i = 0; i < 300; i++) { /* each takes ten turns, and comes with the next */
        fake_client_send(crowd[0], "/", "loud", "");
        if (i == 100) {
            fake_client_send(pair[0], "/quiet", "hello", "");
        }
        fake_world_run(&world, 1);
    }
    CHECK(count_seen(COUNT, 300) < COUNT);
    assert_int_equal(pair[1]->places[0].count, 1);
    fake_world_run(&world, 5000);
    assert_int_equal(count_seen(COUNT, 300), COUNT);
}

TEST(so_many_bytes_are_written_in_a_turn_and_the_rest_in_the_next)
{
    struct hub_settings settings = fake_settings(&world);
    settings.bytes_per_turn = 1000;
    world.has_slow_turns = true;
    struct fake_gateway *gateway = fake_gateway_start(&world, 1, &settings);
    enum { COUNT = 20 };
    come(gateway, COUNT, "");
    fake_world_run(&world, 200);
    char text[601];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    fake_client_send(crowd[0], "/", text, "");
    while (count_seen(COUNT, 1) == 0) {
        fake_world_run(&world, 1);
    }
    assert_int_equal(count_seen(COUNT, 1), 2);
    turn(gateway);
    assert_int_equal(count_seen(COUNT, 1), 4);
    fake_world_run(&world, 100);
    assert_int_equal(count_seen(COUNT, 1), COUNT);
}

/* Asks for older messages, @count times. */
static void ask_for_history(struct fake_client *client, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fake_client_say(client, "2700[\"chat history\",{}]");
    }
}

TEST(a_page_that_many_asked_for_is_told_to_some_in_a_turn_and_stays_until_all_have_read_it)
{
    enum { COUNT = 5 * PER_TURN };
    struct hub_settings settings = fake_settings(&world);
    settings.histories_per_turn = PER_TURN;
    settings.log_bytes_max = (size_t)4 * 65536; /* one page at a time, more or less */
    settings.page_answer_bytes_max = 32768;
    world.has_slow_turns = true;
    fake_store_fill(&world.store, BYTES("lobby"), "m", (size_t)10 * CONTRACT_PAGE);
    struct fake_gateway *gateway = fake_gateway_start(&world, 1, &settings);
    come(gateway, COUNT, "");
    fake_world_run(&world, 100);
    const uint64_t *answered = hub_stats(gateway->hub)->by.histories;
    for (size_t i = 0; i < COUNT; i++) {
        fake_client_say(crowd[i], "2700[\"chat history\",{\"before\":100}]");
    }
    uint64_t before = 0;
    while (answered[HUB_HISTORY_OK] < COUNT) {
        fake_world_run(&world, 1);
        assert_true(answered[HUB_HISTORY_OK] - before <=
                    (uint64_t)2 * PER_TURN); /* as it comes, and in the flush */
        before = answered[HUB_HISTORY_OK];
    }
    assert_int_equal(hub_stats(gateway->hub)->page_parts_fetched, 1);
    fake_world_run(&world, 10);
    CHECK(!hub_has_work(gateway->hub));
}

TEST(so_many_questions_for_history_are_answered_in_a_turn_and_more_wait_by_where_they_come_from)
{
    struct fake_gateway *gateway = start_slow_gateway();
    for (size_t i = 0; i < 3; i++) {
        world.source = i < 2 ? 1 : 2;
        crowd[i] = fake_client_new(&world, "c");
        crowd[i]->is_quiet = true;
        fake_client_connect(crowd[i], gateway);
        fake_client_join(crowd[i], "/", "");
    }
    fake_world_run(&world, 100);
    const struct hub_stats *stats = hub_stats(gateway->hub);
    const uint64_t *answered = stats->by.histories;
    ask_for_history(crowd[0], PER_TURN); /* at once */
    assert_int_equal(answered[HUB_HISTORY_OK], PER_TURN);
    ask_for_history(crowd[0], HISTORY_WAITING_MAX);
    ask_for_history(crowd[1], HISTORY_WAITING_MAX);
    ask_for_history(crowd[2], 1);
    assert_int_equal(answered[HUB_HISTORY_OK], PER_TURN);
    ask_for_history(crowd[0], 1); /* one more than may wait */
    assert_int_equal(answered[HUB_HISTORY_OVERLOADED], 1);
    turn(gateway);
    assert_int_equal(answered[HUB_HISTORY_OK], 2 * PER_TURN);
    CHECK(!client_waits_for_answer(crowd[2]->client));
    CHECK(client_waits_for_answer(crowd[1]->client));
    fake_client_drop(crowd[0]); /* some of its own wait */
    fake_world_run(&world, 100);
    CHECK(!client_waits_for_answer(crowd[1]->client));
    CHECK(!hub_has_work(gateway->hub));
}

TEST(those_whose_page_has_come_read_it_some_in_a_turn_and_it_stays_until_all_have)
{
    enum { COUNT = 2 * PER_TURN + 1, MESSAGES = 3 * CONTRACT_PAGE };
    struct hub_settings settings = fake_settings(&world);
    settings.joins_per_turn = COUNT;
    settings.catch_ups_per_turn = PER_TURN;
    settings.log_bytes_max = 160000; /* pages have a quarter, which one fills */
    world.has_slow_turns = true;
    struct fake_gateway *gateway = fake_gateway_start(&world, 1, &settings);
    fake_store_fill(&world.store, BYTES("lobby"), "m", MESSAGES);
    come(gateway, COUNT, "\"serverOffset\":0");
    while (count_seen(COUNT, CONTRACT_PAGE) == 0) {
        fake_world_run(&world, 1);
    }
    assert_int_equal(count_seen(COUNT, CONTRACT_PAGE), PER_TURN);
    turn(gateway);
    assert_int_equal(count_seen(COUNT, CONTRACT_PAGE), 2 * PER_TURN);
    fake_world_run(&world, 200);
    assert_int_equal(count_seen(COUNT, MESSAGES), COUNT);
    /* Though there is room for one, each was read once: for all. */
    assert_int_equal(gateway->queries, 1 + MESSAGES / CONTRACT_PAGE);
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(
    IN_A_WORLD(a_new_room_that_many_enter_at_once_costs_one_subscription_and_one_read),
    IN_A_WORLD(those_who_come_while_the_room_is_read_share_that_read),
    IN_A_WORLD(pages_that_many_miss_are_read_once_for_all),
    IN_A_WORLD(as_many_join_in_a_turn_as_may_and_one_more_in_the_next),
    IN_A_WORLD(who_waits_for_the_store_holds_up_nobody_who_joins),
    IN_A_WORLD(as_many_get_a_message_in_a_turn_as_may_and_one_more_in_the_next),
    IN_A_WORLD(nobody_is_left_out_when_a_member_leaves_while_a_message_goes_round),
    IN_A_WORLD(nobody_is_left_out_when_a_member_comes_while_a_message_goes_round),
    IN_A_WORLD(a_message_that_comes_while_one_goes_round_reaches_all_too),
    IN_A_WORLD(those_whose_page_has_come_read_it_some_in_a_turn_and_it_stays_until_all_have),
    IN_A_WORLD(a_room_where_messages_never_end_holds_up_no_other_one),
    IN_A_WORLD(so_many_bytes_are_written_in_a_turn_and_the_rest_in_the_next),
    IN_A_WORLD(
        a_page_that_many_asked_for_is_told_to_some_in_a_turn_and_stays_until_all_have_read_it),
    IN_A_WORLD(
        so_many_questions_for_history_are_answered_in_a_turn_and_more_wait_by_where_they_come_from))
