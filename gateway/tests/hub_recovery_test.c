/*
 * hub_recovery_test.c - clients that come back, to this gateway or another, in this epoch or the next.
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

static void come_back(struct fake_client *client, unsigned gateway)
{
    fake_client_drop(client);
    fake_client_connect(client, &world.gateways[gateway]);
    fake_client_rejoin(client, "/");
    fake_world_run(&world, 100);
}

TEST(who_saw_nothing_yet_resumes_on_another_gateway_after_a_kill)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, "");
    fake_gateway_kill(&world.gateways[0]);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 2);
    come_back(ann, 1);
    fake_client_saw(ann, "resumed, #1 m1, #2 m2");
}

TEST(who_comes_back_gets_exactly_what_was_missed)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    fake_client_send(bob, "/", "one", "");
    fake_world_run(&world, 50);
    fake_client_drop(ann);
    fake_client_send(bob, "/", "two", "");
    fake_world_run(&world, 50);
    come_back(ann, 1);
    fake_client_saw(ann, "#1 one, resumed, #2 two");
}

TEST(a_token_of_another_name_or_room_or_with_a_changed_byte_makes_a_new_session)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 1);
    struct fake_client *ann = joined("ann", 0, "");
    fake_client_drop(ann);
    ann->places[0].next_id = 0;
    fake_client_connect(ann, &world.gateways[0]);
    char *pid = mem_copy_string(ann->places[0].pid, strlen(ann->places[0].pid));
    fake_client_say(ann, "0/other,{\"username\":\"ann\",\"pid\":\"%s\"}", pid);
    fake_world_run(&world, 50);
    fake_client_saw(ann, "/other joined");
    fake_client_say(ann, "0{\"username\":\"eve\",\"pid\":\"%s\"}", pid);
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, #1 m1");
    fake_client_drop(ann);
    ann->places[0].next_id = 0;
    fake_client_connect(ann, &world.gateways[0]);
    pid[10] = pid[10] == 'A' ? 'B' : 'A';
    fake_client_say(ann, "0{\"username\":\"ann\",\"pid\":\"%s\"}", pid);
    fake_world_run(&world, 50);
    fake_client_saw(ann, "joined, #1 m1");
    free(pid);
}

TEST(an_offset_counts_also_when_the_token_does_not)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 100);
    struct fake_client *ann =
        joined("ann", 0, "\"pid\":\"nonsense\",\"offset\":\"1-97\",\"serverOffset\":\"98\"");
    assert_int_equal(ann->places[0].count, 2);
}

TEST(the_largest_of_start_offset_and_server_offset_counts)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 10);
    struct fake_client *ann = joined("ann", 0, "\"serverOffset\":7");
    fake_client_drop(ann);
    ann->places[0].next_id = 0;
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_say(ann,
                    "0{\"username\":\"ann\",\"pid\":\"%s\",\"offset\":\"1-9\",\"serverOffset\":0}",
                    ann->places[0].pid);
    fake_world_run(&world, 50);
    fake_client_saw(ann, "resumed, #10 m10");
}

TEST(a_session_that_is_resumed_here_closes_its_old_connection_here)
{
    struct fake_client *old = joined("ann", 0, ""), *new = fake_client_new(&world, "ann");
    fake_client_connect(new, &world.gateways[0]);
    fake_client_say(new, "0{\"username\":\"ann\",\"pid\":\"%s\"}", old->places[0].pid);
    fake_world_run(&world, 50);
    fake_client_saw(old, "closed");
    fake_client_saw(new, "joined");
    fake_client_send(new, "/", "hello", "");
    fake_world_run(&world, 50);
    fake_client_saw(new, "#1 hello, ack 1 ok 1");
    assert_int_equal(hub_stats(world.gateways[0].hub)->sessions_superseded, 1);
    assert_int_equal(fake_joins(&world.gateways[0], HUB_JOIN_RESUMED, HUB_GAP_NONE), 1);
}

TEST(who_resumes_a_session_here_keeps_the_room_that_its_old_connection_leaves_last)
{
    struct fake_client *old = joined("ann", 0, "");
    struct fake_client *new = fake_client_new(&world, "ann");
    memcpy(new->places, old->places, sizeof(old->places));
    new->place_count = old->place_count;
    fake_client_connect(new, &world.gateways[0]);
    fake_client_rejoin(new, "/");
    fake_world_run(&world, 120000); /* longer than the grace time */
    fake_client_send(new, "/", "one", "");
    fake_world_run(&world, 10);
    fake_client_saw(new, "resumed, #1 one, ack 1 ok 1");
}

TEST(a_session_that_is_resumed_elsewhere_closes_its_old_connection)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *old = joined("ann", 0, ""), *new = fake_client_new(&world, "ann");
    fake_client_connect(new, &world.gateways[1]);
    fake_client_say(new, "0{\"username\":\"ann\",\"pid\":\"%s\"}", old->places[0].pid);
    fake_world_run(&world, 50);
    fake_client_saw(old, "closed");
    fake_client_saw(new, "joined");
    fake_world_run(&world, 1000);
    assert_true(new->client != NULL);
}

TEST(two_connections_that_resume_one_session_in_one_turn_leave_one)
{
    struct fake_client *old = joined("ann", 0, ""), *a, *b;
    fake_client_drop(old);
    a = fake_client_new(&world, "ann");
    b = fake_client_new(&world, "ann");
    fake_client_connect(a, &world.gateways[0]);
    fake_client_connect(b, &world.gateways[0]);
    fake_client_join(a, "/x", "");
    fake_client_join(b, "/x", "");
    fake_client_say(a, "0{\"username\":\"ann\",\"pid\":\"%s\"}", old->places[0].pid);
    fake_client_say(b, "0{\"username\":\"ann\",\"pid\":\"%s\"}", old->places[0].pid);
    fake_world_run(&world, 50);
    assert_true(a->client == NULL && b->client != NULL);
    fake_client_send(b, "/", "hello", "");
    fake_world_run(&world, 50);
    fake_client_saw(b, "joined, /x joined, #1 hello, ack 1 ok 1");
}

TEST(an_offset_past_this_gateways_head_waits_for_the_store)
{
    struct fake_client *ann = joined("ann", 0, ""), *bob;
    fake_store_fill(&world.store, BYTES("lobby"), "m", 5); /* the broadcasts were lost */
    bob = fake_client_new(&world, "bob");
    fake_client_connect(bob, &world.gateways[0]);
    fake_client_join(bob, "/", "\"serverOffset\":4");
    fake_world_run(&world, 60);
    fake_client_saw(bob, "joined, #5 m5");
    fake_client_saw(ann, "#1 m1, #2 m2, #3 m3, #4 m4, #5 m5");
}

TEST(an_offset_past_the_stores_head_is_as_if_absent)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", 3);
    struct fake_client *ann = fake_client_new(&world, "ann");
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_join(ann, "/", "\"serverOffset\":9007199254740991");
    fake_world_run(&world, 60);
    fake_client_saw(ann, "joined, #1 m1, #2 m2, #3 m3");
}

TEST(a_client_that_leaves_while_its_join_is_held_leaves_nothing_behind)
{
    world.query_mode = FAKE_STORE_SILENT;
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 0, "");
    fake_client_drop(ann);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 2100);
    fake_client_saw(bob, "joined");
    fake_client_drop(bob);
    fake_world_run(&world, 31000);
    assert_int_equal(hub_stats(world.gateways[0].hub)->rooms, 0);
}

/* Comes back over a socket that takes @window bytes and goes then; and once more. */
static void come_back_twice(struct fake_client *client, unsigned gateway, size_t window)
{
    client->window = window;
    come_back(client, gateway);
    client->window = SIZE_MAX;
    come_back(client, gateway);
}

TEST(a_gap_that_did_not_get_through_is_told_again)
{
    struct hub_settings settings = fake_settings(&world);
    settings.recovery_max = 100;
    fake_gateway_start(&world, 1, &settings);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 9);
    for (size_t window = 100; window < 500; window += 7) {
        struct fake_client *ann = joined("ann", 0, "\"serverOffset\":0");
        ann->is_quiet = true;
        fake_client_drop(ann);
        fake_store_fill(&world.store, BYTES("lobby"), "m", 200);
        hub_on_bus_restored(world.gateways[0].hub, world.now_ms);
        hub_on_bus_restored(world.gateways[1].hub, world.now_ms);
        fake_world_run(&world, 100);
        come_back_twice(ann, 1, window);
        assert_int_equal(ann->places[0].next_id,
                         fake_store_room(&world.store, BYTES("lobby"))->head + 1);
        fake_client_drop(ann);
        world.client_count--;
        fake_client_free(ann);
    }
}

/* --- epochs --- */

TEST(a_cut_that_did_not_get_through_is_told_again)
{
    for (size_t window = 100; window < 500; window += 7) {
        struct fake_client *ann = fake_client_new(&world, "ann");
        fake_store_fill(&world.store, BYTES("lobby"), "old", 20);
        fake_client_connect(ann, &world.gateways[0]);
        fake_client_join(ann, "/", "\"serverOffset\":0");
        fake_world_run(&world, 100);
        fake_gateway_kill(&world.gateways[0]);
        fake_store_restore_backup(&world.store, 10);
        world.store.rooms[0].epochs[1] =
            world.store.rooms[0].epochs[world.store.rooms[0].epoch_count - 1];
        world.store.rooms[0].epoch_count = 2;
        fake_gateway_start(&world, 0, NULL);
        come_back_twice(ann, 0, window);
        assert_int_equal(ann->places[0].next_id, 11);
        fake_client_drop(ann);
        world.client_count--;
        fake_client_free(ann);
    }
}

TEST(a_restored_backup_cuts_members_back_and_tells_them)
{
    struct fake_client *ann = joined("ann", 0, "");
    ann->is_quiet = true;
    for (int i = 0; i < 10; i++) {
        fake_client_send(ann, "/", "old", "");
    }
    fake_world_run(&world, 50);
    buf_clear(&ann->seen);
    fake_store_restore_backup(&world.store, 6);
    ann->is_quiet = false;
    fake_client_send(ann, "/", "new", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "ack 11 ok 7, gap 7-10 epoch, #7 new");
}

TEST(two_backups_restored_in_a_row_cut_back_to_where_the_first_began)
{
    struct fake_client *ann = joined("ann", 0, "");
    ann->is_quiet = true;
    for (int i = 0; i < 10; i++) {
        fake_client_send(ann, "/", "old", "");
    }
    fake_world_run(&world, 50);
    buf_clear(&ann->seen);
    fake_store_restore_backup(&world.store, 4);
    fake_store_fill(&world.store, BYTES("lobby"), "new", 3);
    fake_store_restore_backup(&world.store, 6);
    ann->is_quiet = false;
    fake_client_send(ann, "/", "newer", "");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "ack 11 ok 7, gap 5-10 epoch, #5 new5, #6 new6, #7 newer");
}

TEST(who_was_away_when_a_backup_was_restored_is_told_and_misses_nothing_of_the_new_life)
{
    fake_gateway_start(&world, 1, NULL);
    struct fake_client *ann = joined("ann", 0, ""), *bob = joined("bob", 1, "");
    for (int i = 0; i < 10; i++) {
        fake_client_send(bob, "/", "old", "");
    }
    fake_world_run(&world, 50);
    buf_clear(&ann->seen);
    fake_client_drop(ann);
    fake_store_restore_backup(&world.store, 6);
    for (int i = 0; i < 8; i++) {
        fake_client_send(bob, "/", "new", "");
    }
    fake_world_run(&world, 50);
    come_back(ann, 0);
    fake_client_saw(
        ann, "joined, gap 7-10 epoch, #7 new, #8 new, #9 new, #10 new, #11 new, #12 new, #13 new, "
             "#14 new");
}

TEST(a_bare_server_offset_is_of_the_epoch_that_the_client_last_saw)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_store_fill(&world.store, BYTES("lobby"), "old", 10);
    fake_world_run(&world, 1100);
    buf_clear(&ann->seen);
    fake_client_drop(ann);
    fake_store_restore_backup(&world.store, 6);
    fake_store_fill(&world.store, BYTES("lobby"), "new", 6);
    fake_world_run(&world, 4000);
    fake_client_connect(ann, &world.gateways[0]);
    /* As the official tutorial's page does it, with recovery: the same message under both names. */
    fake_client_say(
        ann, "0{\"username\":\"ann\",\"pid\":\"%s\",\"offset\":\"1-10\",\"serverOffset\":10}",
        ann->places[0].pid);
    fake_world_run(&world, 50);
    fake_client_saw(
        ann, "joined, gap 7-10 epoch, #7 new7, #8 new8, #9 new9, #10 new10, #11 new11, #12 new12");
}

TEST(a_cut_that_was_told_is_not_told_again_to_who_has_seen_the_new_life)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_store_fill(&world.store, BYTES("lobby"), "old", 10);
    fake_world_run(&world, 1100);
    come_back(ann, 0);
    fake_client_drop(ann);
    fake_client_connect(ann, &world.gateways[0]);
    ann->places[0].pid[0] = '\0'; /* a session that starts at 10 */
    fake_client_rejoin(ann, "/");
    fake_world_run(&world, 50);
    fake_store_restore_backup(&world.store, 6);
    fake_store_fill(&world.store, BYTES("lobby"), "new", 3);
    fake_world_run(&world, 61000);
    fake_store_fill(&world.store, BYTES("lobby"), "new", 1);
    buf_clear(&ann->seen);
    assert_int_equal(ann->places[0].next_id, 10);
    come_back(ann, 0);
    fake_world_run(&world, 61000);
    fake_client_saw(ann, "joined, #10 new10");
}

TEST(an_epoch_that_begins_without_loss_cuts_nobody)
{
    struct fake_client *ann = joined("ann", 0, "");
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 50);
    fake_store_restore_backup(&world.store, 1000);
    fake_client_send(ann, "/", "two", "");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "#1 one, ack 1 ok 1, #2 two, ack 2 ok 2");
    come_back(ann, 0);
    fake_client_saw(ann, "resumed");
}

TEST(a_member_that_reads_pages_goes_on_in_the_new_epoch)
{
    fake_store_fill(&world.store, BYTES("lobby"), "old", 2000);
    struct fake_client *ann = fake_client_new(&world, "ann");
    ann->is_quiet = true;
    ann->window = 20000;
    ann->drain_after_ms = 5;
    fake_client_connect(ann, &world.gateways[0]);
    fake_client_join(ann, "/", "\"serverOffset\":0");
    for (int i = 0; i < 6; i++) {
        fake_world_run(&world, 7);
        fake_store_restore_backup(&world.store, 1900 - (size_t)i);
        hub_on_bus_restored(world.gateways[0].hub, world.now_ms);
    }
    fake_world_run(&world, 1000);
    assert_int_equal(ann->places[0].next_id, 1896);
    assert_int_equal(fake_gaps(&world.gateways[0]), 0);
    assert_true(world.gateways[0].queries < 100);
}

/* One replica is still connected to the Postgres of the epoch before. */
static void let_the_store_be_behind(bool is_behind)
{
    world.store.epoch += is_behind ? (uint64_t)-1 : 1;
}

static void begin_second_epoch(void)
{
    fake_store_room(&world.store, BYTES("lobby"));
    fake_store_restore_backup(&world.store, 1000);
}

TEST(a_hole_is_filled_also_when_the_first_answer_was_of_an_older_epoch)
{
    begin_second_epoch();
    struct fake_client *ann = joined("ann", 0, "");
    world.loses_broadcasts = true;
    fake_client_send(ann, "/", "one", "");
    fake_world_run(&world, 10);
    let_the_store_be_behind(true);
    fake_world_run(&world, 100);
    let_the_store_be_behind(false);
    fake_world_run(&world, 1100);
    fake_client_saw(ann, "ack 1 ok 1, #1 one");
}

TEST(answers_of_an_older_epoch_are_not_asked_for_as_fast_as_they_come)
{
    begin_second_epoch();
    fake_store_fill(&world.store, BYTES("lobby"), "m", 1000);
    struct fake_client *ann = joined("ann", 0, ""), *bob = fake_client_new(&world, "bob");
    (void)ann;
    let_the_store_be_behind(true);
    bob->is_quiet = true;
    fake_client_connect(bob, &world.gateways[0]);
    fake_client_join(bob, "/", "\"serverOffset\":0");
    hub_on_bus_restored(world.gateways[0].hub, world.now_ms);
    unsigned before = world.gateways[0].queries;
    fake_world_run(&world, 5000);
    assert_true(world.gateways[0].queries - before < 20);
    let_the_store_be_behind(false);
    fake_world_run(&world, 2000);
    assert_int_equal(bob->places[0].next_id, 1001);
}

/* --- history --- */

static struct fake_client *reader(size_t messages)
{
    fake_store_fill(&world.store, BYTES("lobby"), "m", messages);
    struct fake_client *ann = joined("ann", 0, "");
    buf_clear(&ann->seen);
    return ann;
}

TEST(history_is_read_both_ways_to_the_ends)
{
    struct fake_client *ann = reader(600);
    fake_client_say(ann, "2901[\"chat history\",{}]");
    fake_client_say(ann, "2902[\"chat history\",{\"before\":551,\"limit\":100}]");
    fake_world_run(&world, 50);
    fake_client_say(ann, "2903[\"chat history\",{\"before\":101,\"limit\":1000}]");
    fake_world_run(&world, 50);
    fake_client_say(ann, "2904[\"chat history\",{\"before\":1}]");
    fake_client_say(ann, "2905[\"chat history\",{\"after\":0,\"limit\":3}]");
    fake_world_run(&world, 50);
    fake_client_say(ann, "2906[\"chat history\",{\"after\":598}]");
    fake_client_say(ann, "2907[\"chat history\",{\"after\":600}]");
    fake_client_say(ann, "2908[\"chat history\",{\"after\":9007199254740991}]");
    fake_client_say(ann, "2909[\"chat history\",{\"before\":9007199254740991,\"limit\":1}]");
    fake_world_run(&world, 50);
    fake_client_saw(
        ann, "history 551-600 more, history 451-550 more, history 1-100, history none, "
             "history 1-3 more, history 599-600, history none, history none, history 600-600 more");
}

TEST(history_of_an_empty_room_is_empty)
{
    struct fake_client *ann = reader(0);
    fake_client_say(ann, "2901[\"chat history\",{}]");
    fake_client_say(ann, "2902[\"chat history\",{\"before\":1}]");
    fake_client_say(ann, "2903[\"chat history\",{\"after\":0}]");
    fake_world_run(&world, 50);
    fake_client_saw(ann, "history none, history none, history none");
}

TEST(history_that_cannot_be_read_ends_at_the_deadline)
{
    struct fake_client *ann = reader(600);
    world.query_mode = FAKE_STORE_UNAVAILABLE;
    fake_client_say(ann, "2901[\"chat history\",{\"before\":100}]");
    fake_world_run(&world, 7990);
    fake_client_saw(ann, "");
    CHECK(client_waits_for_answer(ann->client));
    fake_world_run(&world, 20);
    fake_client_saw(ann, "ack 901 error unavailable");
    CHECK(!client_waits_for_answer(ann->client));
}

TEST(one_history_past_the_limit_is_overloaded)
{
    struct fake_client *ann = reader(600);
    world.query_mode = FAKE_STORE_SILENT;
    for (int i = 0; i < HISTORY_WAITING_MAX; i++) {
        fake_client_say(ann, "290%d[\"chat history\",{\"before\":100}]", i);
    }
    fake_client_saw(ann, "");
    fake_client_say(ann, "2909[\"chat history\",{\"before\":100}]");
    fake_world_run(&world, 10);
    fake_client_saw(ann, "ack 909 error overloaded");
    fake_client_drop(ann);
    world.query_mode = FAKE_STORE_UP;
    fake_world_run(&world, 3000);
}

TEST(answers_that_come_all_at_once_do_not_close_who_asked)
{
    char *text = mem_alloc(8001);
    memset(text, 'x', 8000);
    text[8000] = '\0';
    fake_store_fill(&world.store, BYTES("lobby"), text, 100);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 600);
    fake_store_fill(&world.store, BYTES("lobby"), text, 50);
    free(text);
    struct fake_client *ann = joined("ann", 0, "");
    ann->window = 0;
    fake_client_drain(ann);
    fake_client_say(ann, "2900[\"chat history\",{}]"); /* answered at once */
    for (int i = 0; i < HISTORY_WAITING_MAX; i++) {
        fake_client_say(ann, "290%d[\"chat history\",{\"before\":100,\"limit\":100}]", i);
    }
    fake_world_run(&world, 100);
    ann->window = SIZE_MAX;
    fake_client_drain(ann);
    fake_world_run(&world, 100);
    assert_true(ann->client != NULL);
}

TEST(history_across_two_pages_is_shorter_when_memory_holds_only_one)
{
    struct hub_settings settings = fake_settings(&world);
    settings.room_log_bytes_max = 4096;
    settings.log_bytes_max = 160000; /* pages have a quarter; one is some 33,000 */
    fake_gateway_start(&world, 1, &settings);
    fake_store_fill(&world.store, BYTES("lobby"), "m", 1000);
    struct fake_client *ann = joined("ann", 1, "");
    fake_client_say(ann, "2901[\"chat history\",{\"before\":300,\"limit\":100}]");
    fake_world_run(&world, 100);
    fake_client_saw(ann, "history 257-299 more");
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

TEST_MAIN(
    IN_A_WORLD(who_saw_nothing_yet_resumes_on_another_gateway_after_a_kill),
    IN_A_WORLD(who_comes_back_gets_exactly_what_was_missed),
    IN_A_WORLD(a_token_of_another_name_or_room_or_with_a_changed_byte_makes_a_new_session),
    IN_A_WORLD(an_offset_counts_also_when_the_token_does_not),
    IN_A_WORLD(the_largest_of_start_offset_and_server_offset_counts),
    IN_A_WORLD(a_session_that_is_resumed_here_closes_its_old_connection_here),
    IN_A_WORLD(who_resumes_a_session_here_keeps_the_room_that_its_old_connection_leaves_last),
    IN_A_WORLD(a_session_that_is_resumed_elsewhere_closes_its_old_connection),
    IN_A_WORLD(two_connections_that_resume_one_session_in_one_turn_leave_one),
    IN_A_WORLD(an_offset_past_this_gateways_head_waits_for_the_store),
    IN_A_WORLD(an_offset_past_the_stores_head_is_as_if_absent),
    IN_A_WORLD(a_client_that_leaves_while_its_join_is_held_leaves_nothing_behind),
    IN_A_WORLD(a_gap_that_did_not_get_through_is_told_again),
    IN_A_WORLD(a_cut_that_did_not_get_through_is_told_again),
    IN_A_WORLD(a_restored_backup_cuts_members_back_and_tells_them),
    IN_A_WORLD(two_backups_restored_in_a_row_cut_back_to_where_the_first_began),
    IN_A_WORLD(who_was_away_when_a_backup_was_restored_is_told_and_misses_nothing_of_the_new_life),
    IN_A_WORLD(a_bare_server_offset_is_of_the_epoch_that_the_client_last_saw),
    IN_A_WORLD(a_cut_that_was_told_is_not_told_again_to_who_has_seen_the_new_life),
    IN_A_WORLD(an_epoch_that_begins_without_loss_cuts_nobody),
    IN_A_WORLD(a_member_that_reads_pages_goes_on_in_the_new_epoch),
    IN_A_WORLD(a_hole_is_filled_also_when_the_first_answer_was_of_an_older_epoch),
    IN_A_WORLD(answers_of_an_older_epoch_are_not_asked_for_as_fast_as_they_come),
    IN_A_WORLD(history_is_read_both_ways_to_the_ends),
    IN_A_WORLD(history_of_an_empty_room_is_empty),
    IN_A_WORLD(history_that_cannot_be_read_ends_at_the_deadline),
    IN_A_WORLD(one_history_past_the_limit_is_overloaded),
    IN_A_WORLD(answers_that_come_all_at_once_do_not_close_who_asked),
    IN_A_WORLD(history_across_two_pages_is_shorter_when_memory_holds_only_one))
