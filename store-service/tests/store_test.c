/*
 * store_test.c - the store-service's promises, shown on real processes: Postgres, NATS, parley-store. The test is the
 * gateway.
 */
#include "base/clock.h"
#include "fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

static struct fixture fixture;

static int start_all(void **state)
{
    (void)state;
    fixture_start(&fixture);
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    return 0;
}

static int empty_database(void **state)
{
    (void)state;
    fixture_database_reset(&fixture);
    return 0;
}

static pid_t start_ready_store(const char *const *environment)
{
    pid_t store = store_start(&fixture, environment, NULL);
    store_wait_until_ready(&fixture);
    return store;
}

/* One message from "ann" in session "s1". */
static struct contract_new_message message_of(const char *client_id, const char *body)
{
    return (struct contract_new_message){.sender = BYTES("ann"),
                                         .session = BYTES("s1"),
                                         .client_id = bytes_of_string(client_id),
                                         .body = bytes_of_string(body)};
}

static struct contract_append append_of(const char *room, struct contract_new_message *messages,
                                        size_t count)
{
    return (struct contract_append){.room = bytes_of_string(room),
                                    .gateway = BYTES("test"),
                                    .message_count = count,
                                    .messages = messages};
}

/* Appends one message and returns its outcome. */
static struct contract_outcome say(const char *room, struct contract_new_message message)
{
    struct contract_append append = append_of(room, &message, 1);
    struct contract_append_reply *reply = append_until_answered(&fixture, &append);
    assert_int_equal(reply->outcome_count, 1);
    struct contract_outcome outcome = reply->outcomes[0];
    outcome.refusal = outcome.id == 0 ? BYTES("refused") : BYTES("");
    contract_free(reply);
    return outcome;
}

static natsSubscription *listen_to(const char *room)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(bytes_of_string(room), subject);
    natsSubscription *subscription = NULL;
    assert_int_equal(natsConnection_SubscribeSync(&subscription, fixture.connection, subject),
                     NATS_OK);
    assert_int_equal(natsConnection_Flush(fixture.connection), NATS_OK);
    return subscription;
}

/* The next batch that is published, NULL when none comes in @timeout_ms. Returns owned. */
static struct contract_room_event *next_batch(natsSubscription *subscription, int timeout_ms)
{
    natsMsg *message = NULL;
    if (natsSubscription_NextMsg(&message, subscription, timeout_ms) != NATS_OK) {
        return NULL;
    }
    struct contract_room_event *event = contract_decode_room_event(
        bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
    natsMsg_Destroy(message);
    assert_non_null(event);
    assert_int_equal(event->type, CONTRACT_BATCH);
    return event;
}

static struct contract_query_reply *read_range(const char *room, uint64_t from, uint64_t to,
                                               uint32_t limit, bool newest)
{
    struct bytes name = bytes_of_string(room);
    struct contract_query range = {
        .type = CONTRACT_RANGE,
        .range = {.room = name, .from = from, .to = to, .limit = limit, .newest = newest}};
    struct contract_query_reply *reply = query(&fixture, name, &range);
    assert_non_null(reply);
    return reply;
}

/* Every room's ids are 1 … head without a hole, and no client id is there twice. */
static void assert_rooms_are_whole(long long messages)
{
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM messages"), messages);
    assert_int_equal(
        fixture_sql(&fixture,
                    "SELECT count(*) FROM rooms r JOIN LATERAL (SELECT count(*) n, min(id) lo,"
                    " max(id) hi FROM messages m WHERE m.room_id = r.id) m ON true"
                    " WHERE r.head > 0 AND (m.n <> r.head OR m.lo <> 1 OR m.hi <> r.head)"),
        0);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) - count(DISTINCT (room_id, client_id))"
                                           " FROM messages"),
                     0);
}

static void the_first_message_makes_the_room_and_is_published(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    natsSubscription *subscription = listen_to("a.b~c");
    uint64_t before_ms = clock_wall_ms();
    struct contract_new_message messages[] = {message_of("c1", "hello"),
                                              message_of("c2", "\xf0\x9f\x98\x80")};
    struct contract_append append = append_of("a.b~c", messages, 2);
    struct contract_append_reply *reply = append_until_answered(&fixture, &append);
    assert_int_equal(reply->head, 2);
    assert_true(reply->epoch > 1700000000);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(reply->outcomes[i].id, i + 1);
        assert_false(reply->outcomes[i].duplicate);
        assert_true(reply->outcomes[i].at_ms >= before_ms - 1);
        assert_true(reply->outcomes[i].at_ms <= clock_wall_ms());
    }
    struct contract_room_event *event = next_batch(subscription, 2000);
    assert_non_null(event);
    assert_true(bytes_equal(event->room, BYTES("a.b~c")));
    assert_int_equal(event->batch.epoch, reply->epoch);
    assert_int_equal(event->batch.first_id, 1);
    assert_int_equal(event->batch.message_count, 2);
    assert_true(bytes_equal(event->batch.messages[1].body, messages[1].body));
    assert_true(bytes_equal(event->batch.messages[0].session, BYTES("s1")));
    assert_int_equal(event->batch.messages[0].at_ms, reply->outcomes[0].at_ms);
    contract_free(event);
    assert_null(next_batch(subscription, 100)); /* once */
    contract_free(reply);
    natsSubscription_Destroy(subscription);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void the_same_message_again_is_stored_once(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    const char *long_id = "0123456789abcdef";
    struct contract_new_message message = message_of(long_id, "x");
    struct contract_outcome first = say("a", message);
    assert_int_equal(first.id, 1);
    struct contract_outcome again = say("a", message);
    assert_int_equal(again.id, 1);
    assert_true(again.duplicate);
    assert_int_equal(again.at_ms, first.at_ms);
    message.session = BYTES("another session");
    assert_true(say("a", message).duplicate);
    /* Another room, sender or body is another message. */
    assert_false(say("b", message).duplicate);
    message.sender = BYTES("bob");
    assert_int_equal(say("a", message).id, 2);
    message.body = BYTES("y");
    assert_int_equal(say("a", message).id, 3);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void short_and_undefined_client_ids_count_within_their_session_only(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    const char *ids[] = {"0123456789abcde", "undefined-0123456789abcdef"};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct contract_new_message message = message_of(ids[i], "x");
        assert_false(say("a", message).duplicate);
        assert_true(say("a", message).duplicate);
        message.session = BYTES("s2");
        assert_false(say("a", message).duplicate);
    }
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void repeats_inside_one_request_are_one_message(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    natsSubscription *subscription = listen_to("a");
    struct contract_new_message messages[] = {message_of("c1", "x"), message_of("c2", "x"),
                                              message_of("c1", "x"), message_of("c3", "x"),
                                              message_of("c1", "x")};
    struct contract_append append = append_of("a", messages, 5);
    struct contract_append_reply *reply = append_until_answered(&fixture, &append);
    static const uint64_t ids[] = {1, 2, 1, 3, 1};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(reply->outcomes[i].id, ids[i]);
        assert_int_equal(reply->outcomes[i].duplicate, i == 2 || i == 4);
    }
    assert_int_equal(reply->head, 3);
    contract_free(reply);
    struct contract_room_event *event = next_batch(subscription, 2000);
    assert_int_equal(event->batch.message_count, 3);
    contract_free(event);
    assert_null(next_batch(subscription, 100));
    natsSubscription_Destroy(subscription);
    assert_rooms_are_whole(3);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_repeat_is_published_again_and_only_a_repeat(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    struct contract_new_message messages[4];
    char ids[4][24];
    for (size_t i = 0; i < 4; i++) {
        snprintf(ids[i], sizeof(ids[i]), "a-long-client-id-%zu", i);
        messages[i] = message_of(ids[i], "x");
        say("a", messages[i]);
    }
    natsSubscription *subscription = listen_to("a");
    /* 1, 2 and 4 again, and a new one: 5. The session is the stored one, whoever asks. */
    struct contract_new_message again[] = {messages[3], messages[1], messages[0],
                                           message_of("a-long-client-id-5", "x")};
    again[0].session = BYTES("another session");
    struct contract_append append = append_of("a", again, 3);
    contract_free(append_until_answered(&fixture, &append));
    assert_null(next_batch(subscription, 100));
    append.repeat = true;
    append.message_count = 4;
    contract_free(append_until_answered(&fixture, &append));
    struct contract_room_event *event = next_batch(subscription, 2000);
    assert_int_equal(event->batch.first_id, 1);
    assert_int_equal(event->batch.message_count, 2);
    contract_free(event);
    event = next_batch(subscription, 2000);
    assert_int_equal(event->batch.first_id, 4);
    assert_int_equal(event->batch.message_count, 2);
    assert_true(bytes_equal(event->batch.messages[0].session, BYTES("s1")));
    contract_free(event);
    natsSubscription_Destroy(subscription);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_message_that_postgres_refuses_is_refused_alone(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    fixture_sql(&fixture, "ALTER TABLE messages ADD CHECK (body <> 'forbidden')");
    struct contract_new_message messages[21];
    char ids[21][8];
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        snprintf(ids[i], sizeof(ids[i]), "c%zu", i);
        messages[i] = message_of(ids[i], i == 3 || i == 20 ? "forbidden" : "fine");
    }
    messages[7].body = BYTES("a\0b");
    messages[8].body = BYTES("\xed\xa0\x80"); /* a lone surrogate */
    messages[9].sender = BYTES("");
    messages[10].client_id = BYTES("");
    messages[11].body = BYTES("'; DROP TABLE messages; --");
    struct contract_append append = append_of("a", messages, COUNT_OF(messages));
    struct contract_append_reply *reply = append_until_answered(&fixture, &append);
    uint64_t next_id = 1;
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        bool is_guilty = i == 3 || (i >= 7 && i <= 10) || i == 20;
        assert_int_equal(reply->outcomes[i].id, is_guilty ? 0 : next_id++);
        assert_int_equal(reply->outcomes[i].refusal.len > 0, is_guilty);
    }
    assert_int_equal(reply->head, COUNT_OF(messages) - 6);
    contract_free(reply);
    assert_rooms_are_whole(COUNT_OF(messages) - 6);
    /* Alone, it is answered as well, with head and epoch. */
    append = append_of("a", &messages[7], 1);
    reply = append_until_answered(&fixture, &append);
    assert_int_equal(reply->outcomes[0].id, 0);
    assert_int_equal(reply->head, COUNT_OF(messages) - 6);
    assert_true(reply->epoch > 0);
    contract_free(reply);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void requests_that_make_no_sense_are_invalid(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    struct contract_append empty = append_of("a", NULL, 0);
    struct contract_append_reply *reply = append_once(&fixture, &empty, 5000);
    assert_int_equal(reply->status, CONTRACT_INVALID);
    contract_free(reply);
    static struct contract_new_message many[CONTRACT_APPEND_MESSAGES_MAX + 1];
    for (size_t extra = 0; extra <= 1; extra++) {
        /* All are refused for having no client id; the reply fits into a payload all the same. */
        struct contract_append append = append_of("a", many, CONTRACT_APPEND_MESSAGES_MAX + extra);
        reply = append_once(&fixture, &append, 10000);
        assert_non_null(reply);
        assert_int_equal(reply->status, extra == 0 ? CONTRACT_OK : CONTRACT_INVALID);
        contract_free(reply);
    }
    for (uint32_t limit = 0; limit <= CONTRACT_PAGE + 1; limit += CONTRACT_PAGE + 1) {
        struct contract_query_reply *range = read_range("a", 1, 0, limit, false);
        assert_int_equal(range->status, CONTRACT_INVALID);
        contract_free(range);
    }
    natsMsg *message = NULL;
    assert_int_equal(natsConnection_RequestString(&message, fixture.connection,
                                                  "parley.v1.append.0", "garbage", 5000),
                     NATS_OK);
    natsMsg_Destroy(message);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

/* Writers: threads that append as gateways do. */

enum { WRITERS = 4, WRITER_REQUESTS = 60, WRITER_MESSAGES = 5 };

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

static void start_writers(pthread_t *threads, int *numbers)
{
    atomic_store(&requests_done, 0);
    for (int i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
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
    start_writers(threads, numbers);
    join_writers(threads);
    assert_rooms_are_whole(WRITERS * WRITER_REQUESTS * WRITER_MESSAGES);
    /* Each id was published once, whatever the order of the replicas. */
    enum { EXPECTED = WRITERS * WRITER_REQUESTS * WRITER_MESSAGES / 3 };
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
    start_writers(threads, numbers);
    for (int kills = 1; kills <= 3; kills++) {
        while (atomic_load(&requests_done) < kills * WRITERS * WRITER_REQUESTS / 5) {
            sleep_ms(1);
        }
        assert_int_equal(store_stop(second, SIGKILL), -1);
        second = store_start(&fixture, NULL, NULL);
    }
    join_writers(threads);
    assert_rooms_are_whole(WRITERS * WRITER_REQUESTS * WRITER_MESSAGES);
    assert_int_equal(store_stop(first, SIGTERM), 0);
    assert_int_equal(store_stop(second, SIGTERM), 0);
}

static void nothing_is_lost_or_doubled_when_postgres_crashes(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers);
    while (atomic_load(&requests_done) < WRITERS * WRITER_REQUESTS / 3) {
        sleep_ms(1);
    }
    fixture_postgres_stop(&fixture);
    fixture_postgres_start(&fixture);
    join_writers(threads);
    assert_rooms_are_whole(WRITERS * WRITER_REQUESTS * WRITER_MESSAGES);
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
    fixture_backends_signal(&fixture, SIGSTOP);
    struct contract_new_message message = message_of("c1", "x");
    struct contract_append append = append_of("a", &message, 1);
    for (int i = 0; i < 3; i++) { /* one in the lane's hands, two in its queue */
        assert_null(append_once(&fixture, &append, 100));
    }
    struct contract_append_reply *reply = append_once(&fixture, &append, 2000);
    fixture_backends_signal(&fixture, SIGCONT);
    assert_non_null(reply);
    assert_int_equal(reply->status, CONTRACT_OVERLOADED);
    contract_free(reply);
    assert_int_equal(say("a", message).id, 1);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void ranges_are_read_both_ways(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    enum { COUNT = 600 };
    static struct contract_new_message messages[COUNT];
    static char ids[COUNT][16];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof(ids[i]), "c%zu", i + 1);
        messages[i] = message_of(ids[i], "x");
    }
    struct contract_append append = append_of("a", messages, COUNT);
    contract_free(append_until_answered(&fixture, &append));
    static const struct {
        uint64_t from, to;
        uint32_t limit;
        bool newest;
        uint64_t first_id, count;
    } cases[] = {
        {0, 0, 256, false, 1, 256},
        {257, 512, 256, false, 257, 256},
        {513, 768, 256, false, 513, 88},
        {0, 0, 50, true, 551, 50},
        {0, 100, 10, true, 91, 10},
        {601, 0, 10, false, 0, 0},
        {600, 600, 1, false, 600, 1},
        {5, 4, 10, false, 0, 0},
        {UINT64_MAX, UINT64_MAX, 1, true, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct contract_query_reply *reply =
            read_range("a", cases[i].from, cases[i].to, cases[i].limit, cases[i].newest);
        assert_int_equal(reply->status, CONTRACT_OK);
        assert_int_equal(reply->range.head, COUNT);
        assert_int_equal(reply->range.oldest, 1);
        assert_int_equal(reply->range.message_count, cases[i].count);
        assert_int_equal(reply->range.first_id, cases[i].first_id);
        for (size_t m = 0; m < reply->range.message_count; m++) {
            char expected[16];
            snprintf(expected, sizeof(expected), "c%zu", (size_t)cases[i].first_id + m);
            assert_true(bytes_equal(reply->range.messages[m].client_id, bytes_of_string(expected)));
        }
        contract_free(reply);
    }
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_range_is_cut_where_it_would_not_fit_into_a_payload(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    static char text[65536];
    memset(text, 'x', sizeof(text));
    char ids[12][8];
    for (size_t i = 0; i < 12; i++) {
        snprintf(ids[i], sizeof(ids[i]), "c%zu", i);
        struct contract_new_message message = message_of(ids[i], "");
        message.body = bytes_of(text, sizeof(text));
        assert_int_equal(say("a", message).id, i + 1);
    }
    struct contract_query_reply *reply = read_range("a", 1, 0, 256, false);
    assert_int_equal(reply->range.first_id, 1);
    assert_int_equal(reply->range.message_count, 7);
    contract_free(reply);
    reply = read_range("a", 1, 0, 256, true);
    assert_int_equal(reply->range.first_id, 6);
    assert_int_equal(reply->range.message_count, 7);
    contract_free(reply);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void heads_come_in_the_order_of_the_request(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    /* Rooms of one shard. */
    char names[3][16];
    size_t found = 0;
    for (int i = 0; found < 3; i++) {
        snprintf(names[found], sizeof(names[found]), "room-%d", i);
        found += contract_shard(bytes_of_string(names[found])) == 5;
    }
    say(names[1], message_of("c1", "x"));
    say(names[1], message_of("c2", "x"));
    say(names[0], message_of("c1", "x"));
    struct bytes rooms[] = {bytes_of_string(names[2]), bytes_of_string(names[1]),
                            bytes_of_string(names[0])};
    struct contract_query heads = {.type = CONTRACT_HEADS, .heads = {3, rooms}};
    struct contract_query_reply *reply = query(&fixture, rooms[0], &heads);
    assert_int_equal(reply->status, CONTRACT_OK);
    assert_int_equal(reply->heads.head_count, 3);
    assert_int_equal(reply->heads.heads[0].head, 0);
    assert_int_equal(reply->heads.heads[1].head, 2);
    assert_int_equal(reply->heads.heads[2].head, 1);
    assert_true(reply->heads.heads[0].epoch > 0);
    assert_int_equal(reply->heads.heads[0].epoch, reply->heads.heads[1].epoch);
    contract_free(reply);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_new_epoch_is_known_to_running_replicas_and_tells_where_it_begins(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    say("a", message_of("c1", "x"));
    say("a", message_of("c2", "x"));
    struct contract_query_reply *reply = read_range("a", 1, 0, 10, false);
    uint64_t old_epoch = reply->range.epoch;
    contract_free(reply);
    assert_int_equal(store_wait(store_start(&fixture, NULL, "--new-epoch")), 0);
    struct contract_new_message message = message_of("c3", "x");
    struct contract_append append = append_of("a", &message, 1);
    struct contract_append_reply *appended = append_until_answered(&fixture, &append);
    assert_true(appended->epoch > old_epoch);
    assert_int_equal(appended->outcomes[0].id, 3);
    reply = read_range("a", 1, 0, 10, false);
    assert_int_equal(reply->range.epoch, appended->epoch);
    assert_int_equal(reply->range.message_count, 3);
    assert_int_equal(reply->range.epoch_count, 2);
    assert_int_equal(reply->range.epochs[0].epoch, old_epoch);
    assert_int_equal(reply->range.epochs[0].first_id, 1);
    assert_int_equal(reply->range.epochs[1].epoch, appended->epoch);
    assert_int_equal(reply->range.epochs[1].first_id, 3);
    contract_free(reply);
    reply = read_range("never-seen", 1, 0, 10, false);
    assert_int_equal(reply->range.head, 0);
    assert_int_equal(reply->range.oldest, 1);
    assert_int_equal(reply->range.epoch, appended->epoch);
    assert_int_equal(reply->range.epoch_count, 1);
    assert_int_equal(reply->range.epochs[0].first_id, 1);
    contract_free(reply);
    contract_free(appended);
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
    char command[200];
    snprintf(command, sizeof(command), "grep -q secret %s/store.log", fixture.folder);
    assert_int_not_equal(system(command), 0); /* no password in the log */
}

static void a_replica_serves_its_shards_only(void **state)
{
    (void)state;
    static const char *const low[] = {"SHARDS=0-31", NULL};
    pid_t store = store_start(&fixture, low, NULL);
    const char *inside = contract_shard(BYTES("a")) < 32 ? "a" : "b";
    const char *outside = contract_shard(BYTES("a")) < 32 ? "b" : "a";
    struct contract_new_message message = message_of("c1", "x");
    assert_int_equal(say(inside, message).id, 1);
    struct contract_append append = append_of(outside, &message, 1);
    assert_null(append_once(&fixture, &append, 500));
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void what_waits_is_answered_before_a_store_ends(void **state)
{
    (void)state;
    pid_t first = start_ready_store(NULL);
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    start_writers(threads, numbers);
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
    assert_rooms_are_whole(WRITERS * WRITER_REQUESTS * WRITER_MESSAGES);
    assert_int_equal(store_stop(first, SIGTERM), 0);
}

#define ON_EMPTY_DATABASE(test) cmocka_unit_test_setup(test, empty_database)

/* An argument is a pattern, as in "a_*": only such tests are run. */
int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        ON_EMPTY_DATABASE(the_first_message_makes_the_room_and_is_published),
        ON_EMPTY_DATABASE(the_same_message_again_is_stored_once),
        ON_EMPTY_DATABASE(short_and_undefined_client_ids_count_within_their_session_only),
        ON_EMPTY_DATABASE(repeats_inside_one_request_are_one_message),
        ON_EMPTY_DATABASE(a_repeat_is_published_again_and_only_a_repeat),
        ON_EMPTY_DATABASE(a_message_that_postgres_refuses_is_refused_alone),
        ON_EMPTY_DATABASE(requests_that_make_no_sense_are_invalid),
        ON_EMPTY_DATABASE(ids_are_contiguous_with_many_writers_and_two_replicas),
        ON_EMPTY_DATABASE(nothing_is_lost_or_doubled_when_a_replica_is_killed),
        ON_EMPTY_DATABASE(nothing_is_lost_or_doubled_when_postgres_crashes),
        ON_EMPTY_DATABASE(without_postgres_requests_end_in_unavailable_and_then_it_heals),
        ON_EMPTY_DATABASE(a_store_waits_for_a_postgres_that_is_not_there_yet),
        ON_EMPTY_DATABASE(a_room_that_is_locked_elsewhere_holds_up_no_other_room),
        ON_EMPTY_DATABASE(past_the_bound_of_a_lane_requests_are_overloaded),
        ON_EMPTY_DATABASE(ranges_are_read_both_ways),
        ON_EMPTY_DATABASE(a_range_is_cut_where_it_would_not_fit_into_a_payload),
        ON_EMPTY_DATABASE(heads_come_in_the_order_of_the_request),
        ON_EMPTY_DATABASE(a_new_epoch_is_known_to_running_replicas_and_tells_where_it_begins),
        ON_EMPTY_DATABASE(another_postgres_than_recorded_begins_a_new_epoch_at_the_next_connection),
        ON_EMPTY_DATABASE(replicas_that_start_together_migrate_once),
        ON_EMPTY_DATABASE(a_wrong_setting_ends_the_start),
        ON_EMPTY_DATABASE(a_replica_serves_its_shards_only),
        ON_EMPTY_DATABASE(what_waits_is_answered_before_a_store_ends),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
