/*
 * store_faults_test.c - the store-service with several replicas, and when parts of it die, freeze, or come late.
 */
#include "talk.h"

#include <pthread.h>
#include <stdatomic.h>

/* Writers: threads that append as gateways do. */

enum { WRITERS = 4, WRITER_REQUESTS = 60, WRITER_MESSAGES = 5 };
enum { MESSAGES_WRITTEN = WRITERS * WRITER_REQUESTS * WRITER_MESSAGES };

static _Atomic int requests_done;

static void *write_many(void *argument)
{
    static const char *const rooms[] = {"one", "two", "three"};
    int writer = *(int *)argument;
    for (int i = 0; i < WRITER_REQUESTS; i++) {
        struct contract_new_message messages[WRITER_MESSAGES];
        char ids[WRITER_MESSAGES][40];
        for (int m = 0; m < WRITER_MESSAGES; m++) {
            snprintf(ids[m], sizeof(ids[m]), "writer-%d-request-%d-message-%d", writer, i, m);
            messages[m] = message_of(ids[m], "hello");
        }
        struct contract_append append =
            append_of(rooms[i % COUNT_OF(rooms)], messages, WRITER_MESSAGES);
        struct contract_append_reply *reply = append_until_answered(&fixture, &append);
        for (int m = 0; m < WRITER_MESSAGES; m++) {
            ASSERT(reply->outcomes[m].id > 0);
            ASSERT(m == 0 || reply->outcomes[m].id > reply->outcomes[m - 1].id);
        }
        contract_free(reply);
        atomic_fetch_add(&requests_done, 1);
    }
    return NULL;
}

static void start_writers(pthread_t *threads, int *numbers, void *(*write)(void *))
{
    atomic_store(&requests_done, 0);
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write, &numbers[i]), 0);
    }
}

static void join_writers(const pthread_t *threads)
{
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void ids_are_contiguous_with_many_writers_and_two_replicas(void **state)
{
    (void)state;
    pid_t first = start_ready_store(NULL);
    pid_t second = store_start(&fixture, NULL, NULL);
    natsSubscription *subscription = listen_to("one");
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers, write_many);
    join_writers(threads);
    assert_rooms_are_whole(MESSAGES_WRITTEN);
    /* Each id was published once, whatever the order of the replicas. */
    enum { EXPECTED = MESSAGES_WRITTEN / 3 };
    bool seen[EXPECTED + 1] = {0};
    for (size_t published = 0; published < EXPECTED;) {
        struct contract_room_event *event = next_batch(subscription, 2000);
        assert_non_null(event);
        for (size_t i = 0; i < event->batch.message_count; i++) {
            uint64_t id = event->batch.first_id + i;
            assert_true(id <= EXPECTED && !seen[id]);
            seen[id] = true;
        }
        published += event->batch.message_count;
        contract_free(event);
    }
    natsSubscription_Destroy(subscription);
    assert_int_equal(store_stop(first, SIGTERM), 0);
    assert_int_equal(store_stop(second, SIGTERM), 0);
}

static void nothing_is_lost_or_doubled_when_a_replica_is_killed(void **state)
{
    (void)state;
    pid_t first = start_ready_store(NULL);
    pid_t second = store_start(&fixture, NULL, NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers, write_many);
    for (int kills = 1; kills <= 3; kills++) {
        while (atomic_load(&requests_done) < kills * WRITERS * WRITER_REQUESTS / 5) {
            sleep_ms(1);
        }
        assert_int_equal(store_stop(second, SIGKILL), -1);
        second = store_start(&fixture, NULL, NULL);
    }
    join_writers(threads);
    assert_rooms_are_whole(MESSAGES_WRITTEN);
    assert_int_equal(store_stop(first, SIGTERM), 0);
    assert_int_equal(store_stop(second, SIGTERM), 0);
}

static void nothing_is_lost_or_doubled_when_postgres_crashes(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers, write_many);
    while (atomic_load(&requests_done) < WRITERS * WRITER_REQUESTS / 3) {
        sleep_ms(1);
    }
    fixture_postgres_stop(&fixture);
    fixture_postgres_start(&fixture);
    join_writers(threads);
    assert_rooms_are_whole(MESSAGES_WRITTEN);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void without_postgres_requests_end_in_unavailable_and_then_it_heals(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    fixture_postgres_stop(&fixture);
    struct contract_new_message message = message_of("c1", "x");
    struct contract_append append = append_of("a", &message, 1);
    struct contract_append_reply *reply = append_once(&fixture, &append, 8000);
    assert_non_null(reply);
    assert_int_equal(reply->status, CONTRACT_UNAVAILABLE);
    contract_free(reply);
    fixture_postgres_start(&fixture);
    assert_int_equal(say("a", message).id, 1);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void nothing_is_lost_or_doubled_when_nats_crashes(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers, write_many);
    while (atomic_load(&requests_done) < WRITERS * WRITER_REQUESTS / 3) {
        sleep_ms(1);
    }
    fixture_nats_restart(&fixture);
    join_writers(threads);
    assert_rooms_are_whole(MESSAGES_WRITTEN);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_frozen_postgres_keeps_no_lane_for_long(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    store_wait_until_connected(&fixture, 4);
    fixture_backends_signal(&fixture, SIGSTOP);
    struct contract_new_message message = message_of("c1", "x");
    struct contract_append append = append_of("a", &message, 1);
    struct contract_append_reply *reply = append_once(&fixture, &append, 15000);
    assert_non_null(reply);
    assert_int_equal(reply->status, CONTRACT_UNAVAILABLE);
    contract_free(reply);
    assert_int_equal(say("a", message).id, 1); /* on a new connection, which is not frozen */
    fixture_backends_signal(&fixture, SIGCONT);
    /* The abandoned one finishes what it was asked, and ends. */
    uint64_t until_ms = clock_monotonic_ms() + 10000;
    while (fixture_sql(&fixture, "SELECT count(*) FROM pg_stat_activity"
                                 " WHERE application_name = 'parley-store'") > 4) {
        assert_true(clock_monotonic_ms() < until_ms);
        sleep_ms(20);
    }
    assert_rooms_are_whole(1);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_store_that_freezes_while_it_prepares_keeps_no_lock(void **state)
{
    (void)state;
    static const char *const two_lanes[] = {"WRITE_LANES=1", "READ_LANES=1", NULL};
    PGconn *other = fixture_database_connect(&fixture);
    PQclear(PQexec(other, "SELECT pg_advisory_lock(7885086013902701924)")); /* the migrations' */
    pid_t store = store_start(&fixture, two_lanes, NULL);
    uint64_t until_ms = clock_monotonic_ms() + 10000;
    while (fixture_sql(&fixture, "SELECT count(*) FROM pg_locks"
                                 " WHERE locktype = 'advisory' AND NOT granted") < 2) {
        assert_true(clock_monotonic_ms() < until_ms);
        sleep_ms(20);
    }
    kill(store, SIGSTOP);
    PQclear(PQexec(other, "SELECT pg_advisory_unlock_all(); SET statement_timeout = '30s'"));
    /* Its lanes get the lock now, one after the other, and nobody is there to go on. */
    PGresult *result = PQexec(other, "SELECT pg_advisory_lock(7885086013902701924)");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    PQfinish(other);
    kill(store, SIGCONT);
    store_wait_until_ready(&fixture);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_store_waits_for_a_postgres_that_is_not_there_yet(void **state)
{
    (void)state;
    fixture_postgres_stop(&fixture);
    pid_t store = store_start(&fixture, NULL, NULL);
    sleep_ms(300);
    fixture_postgres_start(&fixture);
    store_wait_until_ready(&fixture);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_room_that_is_locked_elsewhere_holds_up_no_other_room(void **state)
{
    (void)state;
    static const char *const one_lane[] = {"WRITE_LANES=1", NULL};
    pid_t store = start_ready_store(one_lane);
    say("locked", message_of("c0", "x"));
    PGconn *holder = fixture_database_connect(&fixture);
    PQclear(PQexec(holder, "BEGIN; SELECT FROM rooms WHERE name = 'locked' FOR UPDATE"));
    struct contract_new_message message = message_of("c1", "x");
    struct contract_append locked = append_of("locked", &message, 1);
    assert_null(append_once(&fixture, &locked, 200)); /* it waits for the lock */
    struct contract_append open = append_of("open", &message, 1);
    struct contract_append_reply *reply = append_once(&fixture, &open, 1000);
    assert_non_null(reply); /* and the lane does not */
    assert_int_equal(reply->status, CONTRACT_OK);
    contract_free(reply);
    reply = append_once(&fixture, &locked, 8000);
    assert_non_null(reply);
    assert_int_equal(reply->status, CONTRACT_UNAVAILABLE);
    contract_free(reply);
    PQclear(PQexec(holder, "ROLLBACK"));
    PQfinish(holder);
    assert_int_equal(say("locked", message).id, 2);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void past_the_bound_of_a_lane_requests_are_overloaded(void **state)
{
    (void)state;
    static const char *const tiny[] = {"WRITE_LANES=1", "LANE_REQUESTS_MAX=2", NULL};
    pid_t store = start_ready_store(tiny);
    store_wait_until_connected(&fixture, 3);
    fixture_backends_signal(&fixture, SIGSTOP);
    struct contract_new_message message = message_of("c1", "x");
    static const char *const rooms[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) { /* one in the lane's hands, two in its queue */
        struct contract_append append = append_of(rooms[i], &message, 1);
        assert_null(append_once(&fixture, &append, 100));
    }
    struct contract_append append = append_of("d", &message, 1);
    struct contract_append_reply *reply = append_once(&fixture, &append, 2000);
    fixture_backends_signal(&fixture, SIGCONT);
    assert_non_null(reply);
    assert_int_equal(reply->status, CONTRACT_OVERLOADED);
    contract_free(reply);
    assert_int_equal(say("a", message).id, 1);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_room_that_floods_fills_its_share_of_the_lane_and_no_more(void **state)
{
    (void)state;
    static const char *const small[] = {"WRITE_LANES=1", "LANE_REQUESTS_MAX=8", NULL};
    pid_t store = start_ready_store(small);
    store_wait_until_connected(&fixture, 3);
    fixture_backends_signal(&fixture, SIGSTOP);
    struct contract_new_message message = message_of("c1", "x");
    struct contract_append flood = append_of("flood", &message, 1);
    for (int i = 0; i < 3; i++) { /* one in the lane's hands, two of eight in its queue */
        assert_null(append_once(&fixture, &flood, 100));
    }
    struct contract_append_reply *reply = append_once(&fixture, &flood, 2000);
    assert_non_null(reply);
    assert_int_equal(reply->status, CONTRACT_OVERLOADED);
    contract_free(reply);
    struct contract_append other = append_of("other", &message, 1);
    assert_null(append_once(&fixture, &other, 100)); /* it waits for Postgres */
    fixture_backends_signal(&fixture, SIGCONT);
    assert_int_equal(say("other", message).id, 1);
    assert_int_equal(say("flood", message).id, 1);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void another_postgres_than_recorded_begins_a_new_epoch_at_the_next_connection(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    say("a", message_of("c1", "x"));
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM epochs"), 1);
    fixture_postgres_stop(&fixture);
    fixture_postgres_start(&fixture);
    say("a", message_of("c2", "x"));
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM epochs"), 1);
    fixture_sql(&fixture, "UPDATE epochs SET identity = '4711/1'");
    fixture_sql(&fixture, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                          " WHERE application_name = 'parley-store'");
    uint64_t until_ms = clock_monotonic_ms() + 10000;
    while (fixture_sql(&fixture, "SELECT count(*) FROM epochs") == 1) {
        assert_true(clock_monotonic_ms() < until_ms);
        sleep_ms(20);
    }
    assert_int_equal(say("a", message_of("c3", "x")).id, 3);
    assert_int_equal(fixture_sql(&fixture, "SELECT first_id FROM room_epochs ORDER BY epoch DESC"),
                     3);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM epochs"), 2);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void replicas_that_start_together_migrate_once(void **state)
{
    (void)state;
    pid_t stores[3];
    for (size_t i = 0; i < COUNT_OF(stores); i++) {
        stores[i] = store_start(&fixture, NULL, NULL);
    }
    store_wait_until_ready(&fixture);
    for (size_t i = 0; i < COUNT_OF(stores); i++) {
        assert_int_equal(store_stop(stores[i], SIGTERM), 0);
    }
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) - max(number) FROM schema_migrations"),
                     0);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM epochs"), 1);
    /* Newer than this program: fine, unless it says that it is not. */
    fixture_sql(&fixture, "INSERT INTO schema_migrations VALUES (9998, 'newer', 1)");
    assert_int_equal(store_stop(start_ready_store(NULL), SIGTERM), 0);
    fixture_sql(&fixture, "INSERT INTO schema_migrations VALUES (9999, 'incompatible', 9999)");
    assert_int_equal(store_wait(store_start(&fixture, NULL, NULL)), 1);
}

static void a_wrong_setting_ends_the_start(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"SHARDS=3-99", NULL},
        {"SHARDS=many", NULL},
        {"DATABASE_URL=postgresql://user:secret@host:port/name", NULL},
        {"DATABASE_URL=nonsense", NULL},
        {"NATS_URL=nats://127.0.0.1:notaport", NULL},
        {"WRITE_LANES=0", NULL},
        {"ADMIN_HOST=256.0.0.1", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int status = store_wait(store_start(&fixture, wrong[i], NULL));
        if (status <= 0) {
            fail_msg("%s: exit status %d", wrong[i][0], status);
        }
    }
    assert_false(fixture_log_says(&fixture, "secret")); /* the password */
}

static void what_waits_is_answered_before_a_store_ends(void **state)
{
    (void)state;
    pid_t first = start_ready_store(NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers, write_many);
    /* Replicas come and go; each is drained. */
    for (int turn = 1; turn <= 3; turn++) {
        while (atomic_load(&requests_done) < turn * WRITERS * WRITER_REQUESTS / 5) {
            sleep_ms(1);
        }
        pid_t second = store_start(&fixture, NULL, NULL);
        sleep_ms(200);
        assert_int_equal(store_stop(first, SIGTERM), 0);
        first = second;
    }
    join_writers(threads);
    assert_rooms_are_whole(MESSAGES_WRITTEN);
    assert_int_equal(store_stop(first, SIGTERM), 0);
}

/* Writes to rooms that nobody has seen yet. */
static void *make_rooms(void *argument)
{
    int writer = *(int *)argument;
    for (int i = 0; i < WRITER_REQUESTS; i++) {
        char room[32];
        snprintf(room, sizeof(room), "room-%d-%d", writer, i);
        struct contract_new_message message = message_of("c1", "x");
        struct contract_append append = append_of(room, &message, 1);
        contract_free(append_until_answered(&fixture, &append));
        atomic_fetch_add(&requests_done, 1);
    }
    return NULL;
}

static void rooms_that_are_made_while_an_epoch_begins_belong_to_it(void **state)
{
    (void)state;
    pid_t first = start_ready_store(NULL);
    pid_t second = store_start(&fixture, NULL, NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers, make_rooms);
    int epochs = 1;
    do {
        assert_int_equal(store_wait(store_start(&fixture, NULL, "--new-epoch")), 0);
        epochs++;
    } while (atomic_load(&requests_done) < WRITERS * WRITER_REQUESTS);
    join_writers(threads);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM epochs"), epochs);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM rooms"),
                     WRITERS * WRITER_REQUESTS);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM rooms"
                                           " WHERE epoch <> (SELECT max(epoch) FROM epochs)"),
                     0);
    /* Every room knows all epochs since it was made, without a hole. */
    assert_int_equal(
        fixture_sql(&fixture,
                    "SELECT count(*) FROM (SELECT room_id, count(*) n, min(epoch) first"
                    " FROM room_epochs GROUP BY room_id) r"
                    " WHERE n <> (SELECT count(*) FROM epochs e WHERE e.epoch >= r.first)"),
        0);
    assert_int_equal(store_stop(first, SIGTERM), 0);
    assert_int_equal(store_stop(second, SIGTERM), 0);
}

#define ON_EMPTY_DATABASE(test) cmocka_unit_test_setup(test, empty_database)

/* An argument is a pattern, as in "a_*": only such tests are run. */
int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        ON_EMPTY_DATABASE(ids_are_contiguous_with_many_writers_and_two_replicas),
        ON_EMPTY_DATABASE(nothing_is_lost_or_doubled_when_a_replica_is_killed),
        ON_EMPTY_DATABASE(nothing_is_lost_or_doubled_when_postgres_crashes),
        ON_EMPTY_DATABASE(without_postgres_requests_end_in_unavailable_and_then_it_heals),
        ON_EMPTY_DATABASE(nothing_is_lost_or_doubled_when_nats_crashes),
        ON_EMPTY_DATABASE(a_frozen_postgres_keeps_no_lane_for_long),
        ON_EMPTY_DATABASE(a_store_that_freezes_while_it_prepares_keeps_no_lock),
        ON_EMPTY_DATABASE(a_store_waits_for_a_postgres_that_is_not_there_yet),
        ON_EMPTY_DATABASE(a_room_that_is_locked_elsewhere_holds_up_no_other_room),
        ON_EMPTY_DATABASE(past_the_bound_of_a_lane_requests_are_overloaded),
        ON_EMPTY_DATABASE(a_room_that_floods_fills_its_share_of_the_lane_and_no_more),
        ON_EMPTY_DATABASE(another_postgres_than_recorded_begins_a_new_epoch_at_the_next_connection),
        ON_EMPTY_DATABASE(replicas_that_start_together_migrate_once),
        ON_EMPTY_DATABASE(a_wrong_setting_ends_the_start),
        ON_EMPTY_DATABASE(what_waits_is_answered_before_a_store_ends),
        ON_EMPTY_DATABASE(rooms_that_are_made_while_an_epoch_begins_belong_to_it),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
