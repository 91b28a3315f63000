/*
 * store_test.c - what the store-service answers and publishes, on real processes: Postgres, NATS, parley-store. The test
 * is the gateway.
 */
#include "talk.h"

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

static void what_is_found_stored_is_published_again_marked_as_a_repeat_or_not(void **state)
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
    struct contract_append append = append_of("a", again, 4);
    for (int is_repeat = 0; is_repeat <= 1; is_repeat++) {
        append.repeat = is_repeat == 1;
        contract_free(append_until_answered(&fixture, &append));
        struct contract_room_event *event = next_batch(subscription, 2000);
        assert_non_null(event);
        assert_int_equal(event->batch.first_id, 1);
        assert_int_equal(event->batch.message_count, 2);
        contract_free(event);
        event = next_batch(subscription, 2000);
        assert_non_null(event);
        assert_int_equal(event->batch.first_id, 4);
        assert_int_equal(event->batch.message_count, 2);
        assert_true(bytes_equal(event->batch.messages[0].session, BYTES("s1")));
        contract_free(event);
        assert_null(next_batch(subscription, 100));
    }
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
        ON_EMPTY_DATABASE(what_is_found_stored_is_published_again_marked_as_a_repeat_or_not),
        ON_EMPTY_DATABASE(a_message_that_postgres_refuses_is_refused_alone),
        ON_EMPTY_DATABASE(requests_that_make_no_sense_are_invalid),
        ON_EMPTY_DATABASE(ranges_are_read_both_ways),
        ON_EMPTY_DATABASE(a_range_is_cut_where_it_would_not_fit_into_a_payload),
        ON_EMPTY_DATABASE(heads_come_in_the_order_of_the_request),
        ON_EMPTY_DATABASE(a_new_epoch_is_known_to_running_replicas_and_tells_where_it_begins),
        ON_EMPTY_DATABASE(a_replica_serves_its_shards_only),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
