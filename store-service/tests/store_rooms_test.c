/*
 * store_rooms_test.c - the life of a room in the database: who makes its row, what its head is, and what remains when its
 * messages are deleted.
 */
#include "talk.h"

#define ROOM_A "(SELECT id FROM rooms WHERE name = 'a')"

static uint64_t say_next(const char *room)
{
    static unsigned said;
    char id[40];
    snprintf(id, sizeof(id), "a-client-id-of-its-own-%u", said++);
    return say(room, message_of(id, "x")).id;
}

static void say_times(const char *room, int times)
{
    for (int i = 0; i < times; i++) {
        say_next(room);
    }
}

/* Whether @sql fails, in the database. */
static bool is_refused(const char *sql)
{
    PGconn *conn = fixture_database_connect(&fixture);
    PGresult *result = PQexec(conn, sql);
    bool is_error = PQresultStatus(result) == PGRES_FATAL_ERROR;
    PQclear(result);
    PQfinish(conn);
    return is_error;
}

static void assert_log_is_whole(void)
{
    assert_int_equal(store_wait(store_start(&fixture, NULL, "--check")), 0);
}

static void the_first_message_makes_a_room_and_reading_does_not(void **state)
{
    (void)state;
    pid_t store =
        start_ready_store(NULL); /* which asks for the head of a room until it is answered */
    contract_free(read_range("a", 1, 0, 50, false));
    struct contract_new_message unstorable = message_of("c1", "no NUL in text: \xff");
    struct contract_append append = append_of("a", &unstorable, 1);
    contract_free(append_until_answered(&fixture, &append)); /* refused */
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM rooms"), 0);
    say_times("a", 3);
    say_times("b", 1);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM rooms"), 2);
    assert_int_equal(fixture_sql(&fixture, "SELECT head FROM rooms WHERE name = 'a'"), 3);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM room_epochs WHERE first_id = 1"),
                     2);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

/* Each deletes the newest of five messages, and maybe others. */
static void an_id_whose_message_was_deleted_is_not_given_again(void **state)
{
    (void)state;
    static const char *const deletions[] = {
        "DELETE FROM messages WHERE id = 5",
        "DELETE FROM messages WHERE id > 2",
        "DELETE FROM messages",
        "TRUNCATE messages",
        "BEGIN; DELETE FROM messages WHERE id = 5; DELETE FROM messages WHERE id = 4; COMMIT",
    };
    for (size_t i = 0; i < COUNT_OF(deletions); i++) {
        fixture_database_reset(&fixture);
        pid_t store = start_ready_store(NULL);
        say_times("a", 5);
        fixture_sql(&fixture, deletions[i]);
        assert_int_equal(fixture_sql(&fixture, "SELECT head FROM rooms WHERE name = 'a'"), 5);
        struct contract_query_reply *reply = read_range("a", 1, 0, 50, false);
        assert_int_equal(reply->range.head, 5);
        contract_free(reply);
        assert_int_equal(say_next("a"), 6);
        assert_int_equal(store_stop(store, SIGTERM), 0);
    }
}

static void deleting_old_messages_leaves_the_row_of_the_room_alone(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    say_times("a", 5);
    PGconn *holder = fixture_database_connect(&fixture);
    PQclear(PQexec(holder, "BEGIN; DELETE FROM messages WHERE id <= 3"));
    assert_int_equal(say_next("a"), 6); /* while the deletion is not committed */
    PQclear(PQexec(holder, "COMMIT"));
    PQfinish(holder);
    struct contract_query_reply *reply = read_range("a", 1, 0, 50, false);
    assert_int_equal(reply->range.oldest, 4);
    assert_int_equal(reply->range.head, 6);
    contract_free(reply);
    assert_log_is_whole();
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void by_hand_a_head_can_be_raised_and_not_lowered(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    say_times("a", 3);
    assert_true(is_refused("UPDATE rooms SET head = 2 WHERE name = 'a'"));
    fixture_sql(&fixture, "UPDATE rooms SET head = 10 WHERE name = 'a'");
    assert_int_equal(fixture_sql(&fixture, "SELECT head FROM rooms WHERE name = 'a'"), 10);
    assert_int_equal(say_next("a"), 11);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void a_deleted_room_goes_on_behind_its_old_ids_in_an_epoch_of_its_own(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    say_times("a", 5);
    say_times("b", 2);
    struct contract_query_reply *before = read_range("a", 1, 0, 50, false);
    assert_int_equal(store_run(&fixture, "--delete-room", "a"), 0);
    assert_true(fixture_log_says(
        &fixture, "The messages of a up to 5 are deleted; the next one there will be 6."));
    struct contract_query_reply *after = read_range("a", 1, 0, 50, false);
    assert_int_equal(after->range.message_count, 0);
    assert_int_equal(after->range.head, 5);
    assert_int_equal(after->range.oldest, 6);
    assert_true(after->range.epoch > before->range.epoch);
    assert_int_equal(after->range.epoch_count, 2);
    assert_int_equal(after->range.epochs[1].first_id, 6); /* nobody's offset is cut */
    contract_free(before);
    contract_free(after);
    assert_int_equal(say_next("a"), 6);
    assert_int_equal(say_next("b"), 3);
    assert_log_is_whole();
    /* Again, and then an epoch of the whole database: it is newer than the room's. */
    assert_int_equal(store_run(&fixture, "--delete-room", "a"), 0);
    assert_int_equal(store_wait(store_start(&fixture, NULL, "--new-epoch")), 0);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(DISTINCT epoch) FROM rooms"), 1);
    assert_int_equal(
        fixture_sql(&fixture, "SELECT count(*) FROM room_epochs WHERE room_id = " ROOM_A), 4);
    assert_int_equal(say_next("a"), 7);
    assert_log_is_whole();
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void deleting_a_room_that_is_not_there_says_so(void **state)
{
    (void)state;
    assert_int_equal(store_stop(start_ready_store(NULL), SIGTERM), 0);
    assert_int_equal(store_run(&fixture, "--delete-room", "nowhere"), 1);
    assert_true(fixture_log_says(
        &fixture, "Nothing was deleted: nobody has ever said anything in a room of that name."));
}

/* Three messages of "ann" and two of "bob", in turns. */
static void talk_of_two(const char *room)
{
    for (int i = 0; i < 5; i++) {
        char id[40];
        snprintf(id, sizeof(id), "a-client-id-of-%s-%d", room, i);
        struct contract_new_message message = message_of(id, "what was said");
        message.sender = i % 2 == 0 ? BYTES("ann") : BYTES("bob");
        say(room, message);
    }
}

static void what_a_user_said_is_erased_and_ids_stay(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    talk_of_two("a");
    talk_of_two("b");
    say_times("c", 1);
    fixture_sql(&fixture, "UPDATE messages SET sender = 'bob', dedup_key ="
                          " parley_dedup_key('bob', session, client_id, body) FROM rooms r"
                          " WHERE r.id = room_id AND r.name = 'c'");
    natsSubscription *news = listen_to("a");
    struct contract_query_reply *before = read_range("a", 1, 0, 50, false);
    struct contract_query_reply *other = read_range("c", 1, 0, 50, false);
    assert_int_equal(store_run(&fixture, "--erase-user", "ann"), 0);
    assert_true(fixture_log_says(
        &fixture, "Looked at 11 messages: 6 of ann are erased, and 2 rooms were told."));

    struct contract_query_reply *after = read_range("a", 1, 0, 50, false);
    assert_int_equal(after->range.first_id, 1);
    assert_int_equal(after->range.message_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct contract_stored_message *message = &after->range.messages[i];
        const struct contract_stored_message *old = &before->range.messages[i];
        bool is_erased = i % 2 == 0;
        assert_true(bytes_equal(message->body, is_erased ? BYTES("[erased]") : old->body));
        assert_true(bytes_equal(message->sender, is_erased ? BYTES("[erased]") : BYTES("bob")));
        assert_int_equal(bytes_equal(message->client_id, old->client_id), !is_erased);
        assert_int_equal(message->at_ms, old->at_ms);
    }
    /* The room is told at once, of an epoch that cuts nobody's offset. */
    struct contract_room_event *event = next_batch(news, 5000);
    assert_non_null(event);
    assert_int_equal(event->batch.epoch, after->range.epoch);
    assert_int_equal(event->batch.first_id, 5);
    assert_true(bytes_equal(event->batch.messages[0].body, BYTES("[erased]")));
    assert_true(after->range.epoch > before->range.epoch);
    assert_int_equal(after->range.epochs[1].first_id, 6);
    /* One in which nothing was erased is not. */
    struct contract_query_reply *other_after = read_range("c", 1, 0, 50, false);
    assert_int_equal(other_after->range.epoch, other->range.epoch);

    assert_log_is_whole();
    talk_of_two("a"); /* again: only what is kept is known */
    assert_int_equal(fixture_sql(&fixture, "SELECT head FROM rooms WHERE name = 'a'"), 8);
    contract_free(event);
    contract_free(before);
    contract_free(after);
    contract_free(other);
    contract_free(other_after);
    natsSubscription_Destroy(news);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void of_many_erasures_a_room_remembers_the_newest(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    for (int i = 0; i < 3; i++) {
        say_next("a");
        assert_int_equal(store_run(&fixture, "--erase-user", "ann"), 0);
    }
    assert_int_equal(store_wait(store_start(&fixture, NULL, "--new-epoch")), 0);
    struct contract_query_reply *reply = read_range("a", 1, 0, 50, false);
    assert_int_equal(reply->range.epoch_count, 3);
    assert_int_equal(reply->range.epochs[0].first_id, 1);
    assert_int_equal(reply->range.epochs[1].first_id, 4);
    assert_int_equal(reply->range.epochs[2].first_id, 4);
    contract_free(reply);
    assert_log_is_whole();
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void an_erasure_that_was_stopped_is_finished_by_the_next_one(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    talk_of_two("a");
    struct contract_query_reply *before = read_range("a", 1, 0, 50, false);
    /* A step looks at no more than it was told; then the process dies. */
    assert_int_equal(fixture_sql(&fixture, "SELECT r_id FROM parley_erase_step('ann', 0, 0, 3)"),
                     3);
    assert_int_equal(
        fixture_sql(&fixture, "SELECT count(*) FROM messages WHERE sender = '[erased]'"), 2);
    assert_int_equal(store_run(&fixture, "--erase-user", "nobody"), 0);
    assert_true(fixture_log_says(
        &fixture, "Looked at 5 messages: 0 of nobody are erased, and 1 room was told."));
    assert_int_equal(store_run(&fixture, "--erase-user", "ann"), 0);
    assert_true(fixture_log_says(&fixture,
                                 "Looked at 5 messages: 1 of ann is erased, and 1 room was told."));
    struct contract_query_reply *after = read_range("a", 1, 0, 50, false);
    assert_true(after->range.epoch >= before->range.epoch + 2);
    assert_int_equal(fixture_sql(&fixture, "SELECT count(*) FROM erased_rooms"), 0);
    contract_free(before);
    contract_free(after);
    assert_log_is_whole();
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

/* While a step of another erasure is not committed, nobody is told of that room. */
static void a_room_is_told_when_all_erasing_in_it_is_over(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    talk_of_two("a");
    fixture_sql(&fixture, "SELECT r_id FROM parley_erase_step('ann', 0, 0, 1)");
    PGconn *other = fixture_database_connect(&fixture);
    PQclear(PQexec(other, "BEGIN; SELECT parley_erase_step('bob', 0, 0, 1000)"));
    PGconn *teller = fixture_database_connect(&fixture);
    PQclear(PQexec(teller, "SET lock_timeout = '100ms'"));
    PGresult *result = PQexec(teller, "SELECT parley_tell_of_erasure(9223372036854775807)");
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    PQclear(result);
    PQclear(PQexec(other, "COMMIT"));
    result = PQexec(teller, "SELECT parley_tell_of_erasure(9223372036854775807)");
    assert_string_equal(PQgetvalue(result, 0, 0), "t");
    PQclear(result);
    PQfinish(other);
    PQfinish(teller);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

static void append_with_sql(PGconn *conn, int number)
{
    char sql[256];
    snprintf(sql, sizeof(sql),
             "SELECT FROM parley_append('{a}', '{1}', '{ann}', '{s1}', '{client-id-number-%d}',"
             " '{x}', true)",
             number);
    PGresult *result = PQexec(conn, sql);
    assert_string_equal(PQresultErrorMessage(result), "");
    PQclear(result);
}

static void an_epoch_begins_behind_what_is_stored_meanwhile(void **state)
{
    (void)state;
    pid_t store = start_ready_store(NULL);
    say_times("a", 3);
    PGconn *slow = fixture_database_connect(&fixture);
    PQclear(PQexec(slow, "BEGIN"));
    append_with_sql(slow, 4);
    pid_t begins = store_start(&fixture, NULL, "--new-epoch");
    uint64_t until_ms = clock_monotonic_ms() + 10000;
    while (fixture_sql(&fixture, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0) {
        assert_true(clock_monotonic_ms() < until_ms);
        sleep_ms(5);
    }
    PQclear(PQexec(slow, "COMMIT"));
    PQfinish(slow);
    assert_int_equal(store_wait(begins), 0);
    assert_int_equal(fixture_sql(&fixture, "SELECT first_id FROM room_epochs ORDER BY epoch DESC"),
                     5);
    assert_int_equal(store_stop(store, SIGTERM), 0);
}

/* The schema as it was before heads were read from the messages. */
static void run_migrations_of_before(void)
{
    static const char *const names[] = {"0001_tables", "0002_epochs", "0003_append"};
    fixture_sql(&fixture,
                "CREATE TABLE schema_migrations (number int PRIMARY KEY, name text NOT NULL,"
                " oldest_program int NOT NULL, applied_at timestamptz DEFAULT now())");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        static char sql[65536];
        char path[512];
        snprintf(path, sizeof(path), PARLEY_MIGRATIONS "/%s.sql", names[i]);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        size_t len = fread(sql, 1, sizeof(sql) - 1, file);
        fclose(file);
        sql[len] = '\0';
        fixture_sql(&fixture, sql);
        snprintf(sql, sizeof(sql), "INSERT INTO schema_migrations VALUES (%zu, '%s', 1)", i + 1,
                 names[i]);
        fixture_sql(&fixture, sql);
    }
    fixture_sql(&fixture, "SELECT parley_ensure_epoch(false)::text");
}

static void a_migration_waits_for_a_long_reader_and_nobody_waits_for_the_migration(void **state)
{
    (void)state;
    run_migrations_of_before();
    PGconn *appends = fixture_database_connect(&fixture);
    append_with_sql(appends, 1);
    fixture_sql(&fixture, "CREATE ROLE reader; GRANT SELECT ON rooms, messages TO reader");
    PGconn *dump = fixture_database_connect(&fixture);
    PQclear(PQexec(dump, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM rooms"));
    pid_t store = store_start(&fixture, NULL, NULL);
    uint64_t until_ms = clock_monotonic_ms() + 10000;
    int appended = 1;
    while (!fixture_log_says(&fixture, "migration 0004_heads failed")) {
        append_with_sql(appends, ++appended);
        assert_true(clock_monotonic_ms() < until_ms);
    }
    append_with_sql(appends, ++appended);
    PQclear(PQexec(dump, "COMMIT"));
    store_wait_until_ready(&fixture);
    append_with_sql(appends, ++appended); /* a session from before */
    assert_int_equal(fixture_sql(&fixture, "SELECT head FROM rooms"), appended);
    assert_int_equal(say_next("a"), appended + 1);
    assert_log_is_whole();
    assert_int_equal(fixture_sql(&fixture, "SET ROLE reader; SELECT head FROM rooms"),
                     appended + 1);
    PQfinish(dump);
    PQfinish(appends);
    assert_int_equal(store_stop(store, SIGTERM), 0);
    fixture_database_reset(&fixture);
    fixture_sql(&fixture, "DROP ROLE reader");
}

#define ON_EMPTY_DATABASE(test) cmocka_unit_test_setup(test, empty_database)

/* An argument is a pattern, as in "a_*": only such tests are run. */
int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        ON_EMPTY_DATABASE(the_first_message_makes_a_room_and_reading_does_not),
        ON_EMPTY_DATABASE(an_id_whose_message_was_deleted_is_not_given_again),
        ON_EMPTY_DATABASE(deleting_old_messages_leaves_the_row_of_the_room_alone),
        ON_EMPTY_DATABASE(by_hand_a_head_can_be_raised_and_not_lowered),
        ON_EMPTY_DATABASE(a_deleted_room_goes_on_behind_its_old_ids_in_an_epoch_of_its_own),
        ON_EMPTY_DATABASE(deleting_a_room_that_is_not_there_says_so),
        ON_EMPTY_DATABASE(what_a_user_said_is_erased_and_ids_stay),
        ON_EMPTY_DATABASE(of_many_erasures_a_room_remembers_the_newest),
        ON_EMPTY_DATABASE(an_erasure_that_was_stopped_is_finished_by_the_next_one),
        ON_EMPTY_DATABASE(a_room_is_told_when_all_erasing_in_it_is_over),
        ON_EMPTY_DATABASE(an_epoch_begins_behind_what_is_stored_meanwhile),
        ON_EMPTY_DATABASE(a_migration_waits_for_a_long_reader_and_nobody_waits_for_the_migration),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
