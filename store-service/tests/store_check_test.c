/*
 * store_check_test.c - parley-store --check on a real database: a whole one, and one that is damaged in each way.
 */
#include "talk.h"

#include <sys/wait.h>

/* Runs --check on @database_url; returns its exit status, with all that it said in @ret_said. */
static int check(const char *database_url, struct buf *ret_said)
{
    struct buf command = BUF_INIT;
    buf_append_format(&command, "DATABASE_URL='%s' '%s' --check 2>&1", database_url, PARLEY_STORE);
    buf_append_char(&command, '\0');
    FILE *pipe = popen(command.data, "re"); /* NOLINT(cert-env33-c): a command of our own */
    assert_non_null(pipe);
    char line[512];
    buf_clear(ret_said);
    while (fgets(line, sizeof(line), pipe) != NULL) {
        buf_append_bytes(ret_said, bytes_of_string(line));
    }
    buf_append_char(ret_said, '\0');
    int status = pclose(pipe);
    buf_release(&command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect(int exit_status, const char *said)
{
    struct buf all = BUF_INIT;
    int got = check(fixture.database_url, &all);
    assert_string_equal(all.data, said);
    assert_int_equal(got, exit_status);
    buf_release(&all);
}

static void say_many(const char *room, int count)
{
    for (int i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%s-a-client-id-%d", room, i);
        say(room, message_of(id, "x"));
    }
}

/* Room a with the messages 1 to 4 in epoch 1 and 5 to 8 in epoch 2; b with 1 to 3. No store is running. */
static void make_log(void)
{
    pid_t store = start_ready_store(NULL);
    say_many("a", 4);
    assert_int_equal(store_wait(store_start(&fixture, NULL, "--new-epoch")), 0);
    pid_t newer = start_ready_store(NULL);
    for (int i = 4; i < 8; i++) {
        char id[32];
        snprintf(id, sizeof(id), "another-client-id-%d", i);
        say("a", message_of(id, "x"));
    }
    say_many("b", 3);
    assert_int_equal(store_stop(store, SIGTERM), 0);
    assert_int_equal(store_stop(newer, SIGTERM), 0);
    /* So that sentences can name them: any two numbers in order will do. */
    fixture_sql(&fixture,
                "WITH n AS (SELECT epoch, row_number() OVER (ORDER BY epoch) AS n FROM epochs),"
                " e AS (UPDATE epochs SET epoch = n.n FROM n WHERE n.epoch = epochs.epoch),"
                " r AS (UPDATE room_rows r SET epoch = n.n FROM n WHERE n.epoch = r.epoch)"
                " UPDATE room_epochs SET epoch = n.n FROM n WHERE n.epoch = room_epochs.epoch");
}

static void a_log_is_whole_also_where_old_messages_were_deleted(void **state)
{
    (void)state;
    make_log();
    expect(0, "Looked at 11 messages in 2 rooms: nothing is wrong.\n");
    fixture_sql(&fixture,
                "DELETE FROM messages WHERE room_id = (SELECT id FROM rooms WHERE name = 'a')"
                " AND id <= 6");
    fixture_sql(&fixture,
                "DELETE FROM messages WHERE room_id = (SELECT id FROM rooms WHERE name = 'b')");
    expect(
        0,
        "Looked at 2 messages in 2 rooms (in 2 of them the oldest messages are deleted): nothing "
        "is wrong.\n");
}

#define OF_A         "room_id = (SELECT id FROM rooms WHERE name = 'a')"
#define WITHOUT_KEYS "ALTER TABLE messages DROP CONSTRAINT messages_room_id_dedup_key_key; "

/* One way of doing damage, and what is said of it. */
static const struct damage {
    const char *sql, *said;
} DAMAGES[] = {
    {"DELETE FROM messages WHERE id = 3 AND " OF_A,
     "room \"a\": the id 3 is missing\n"
     "Looked at 10 messages in 2 rooms: 1 thing is wrong.\n"},
    {"DELETE FROM messages WHERE id IN (2, 3, 6) AND " OF_A,
     "room \"a\": the ids 2 to 3 are missing\n"
     "room \"a\": the id 6 is missing\n"
     "Looked at 8 messages in 2 rooms: 2 things are wrong.\n"},
    {"UPDATE rooms SET head = 9 WHERE name = 'a'",
     "room \"a\": its head is 9, but its newest message is 8\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"DELETE FROM messages WHERE id = 8 AND " OF_A,
     "room \"a\": its head is 8, but its newest message is 7\n"
     "Looked at 10 messages in 2 rooms: 1 thing is wrong.\n"},
    {"UPDATE messages SET body = 'y' WHERE id = 2 AND " OF_A,
     "room \"a\": message 2 has a dedup_key that is not its own\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"UPDATE messages SET client_id = (SELECT client_id FROM messages WHERE id = 1 AND " OF_A ")"
     " WHERE id = 3 AND " OF_A,
     "room \"a\": message 3 has a dedup_key that is not its own\n"
     "room \"a\": 2 messages are one and the same, the first is 1 and the last 3\n"
     "Looked at 11 messages in 2 rooms: 2 things are wrong.\n"},
    {WITHOUT_KEYS "UPDATE messages m SET (client_id, dedup_key) = (SELECT client_id, dedup_key FROM"
                  " messages WHERE id = 1 AND room_id = m.room_id) WHERE id IN (3, 7) AND " OF_A,
     "room \"a\": 3 messages are one and the same, the first is 1 and the last 7\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"UPDATE room_epochs SET first_id = CASE epoch WHEN 1 THEN 6 ELSE 1 END WHERE " OF_A,
     "room \"a\": epoch 2 begins at 1, and epoch 1 before it at 6: they overlap\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"UPDATE room_epochs SET first_id = 10 WHERE epoch = 2 AND " OF_A,
     "room \"a\": epoch 2 begins at 10, but its head is 8\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"DELETE FROM room_epochs WHERE epoch = 1 AND " OF_A,
     "room \"a\": the ids up to 4 are of no epoch\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"DELETE FROM room_epochs WHERE epoch = 2 AND " OF_A,
     "room \"a\": it is in epoch 2, but the newest that began there is 1\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"DELETE FROM room_epochs WHERE " OF_A,
     "room \"a\": it is in epoch 2, but none ever began there\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"UPDATE rooms SET epoch = 1 WHERE name = 'a'; DELETE FROM room_epochs WHERE epoch = 2 "
     "AND " OF_A,
     "room \"a\": it is in epoch 1, but the database is in 2\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"DELETE FROM epochs WHERE epoch = 1",
     "epoch 1 began in one room, but is not in the table epochs\n"
     "Looked at 11 messages in 2 rooms: 1 thing is wrong.\n"},
    {"UPDATE messages SET room_id = 99 WHERE " OF_A "; DELETE FROM room_epochs WHERE " OF_A
     "; DELETE FROM rooms WHERE name = 'a'",
     "the messages 1 to 8 are of room number 99, which there is no row of\n"
     "Looked at 11 messages in 1 room: 1 thing is wrong.\n"},
    {"UPDATE room_epochs SET room_id = 99 WHERE " OF_A "; DELETE FROM messages WHERE " OF_A
     "; DELETE FROM rooms WHERE name = 'a'",
     "2 rows of the table room_epochs are of room number 99, which there is no row of\n"
     "Looked at 3 messages in 1 room: 1 thing is wrong.\n"},
};

static void each_damage_is_told_in_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(DAMAGES); i++) {
        fixture_database_reset(&fixture);
        make_log();
        fixture_sql(&fixture, DAMAGES[i].sql);
        expect(1, DAMAGES[i].said);
    }
}

static void any_number_of_findings_is_told(void **state)
{
    (void)state;
    make_log();
    fixture_sql(
        &fixture,
        "INSERT INTO messages (room_id, id, created_at, dedup_key, sender, session, client_id,"
        " body) SELECT r.id, n * 2, now(), parley_dedup_key('s', 's', 'c' || n, 'x'), 's', 's',"
        " 'c' || n, 'x' FROM rooms r, generate_series(3, 2502) n WHERE r.name = 'b'");
    struct buf all = BUF_INIT;
    assert_int_equal(check(fixture.database_url, &all), 1);
    size_t lines = 0;
    for (const char *at = all.data; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    assert_int_equal(lines, 2500 + 1);
    assert_non_null(strstr(all.data, "room \"b\": the ids 4 to 5 are missing\n"));
    assert_non_null(strstr(all.data, "room \"b\": the id 5003 is missing\n"));
    assert_non_null(
        strstr(all.data, "Looked at 2511 messages in 2 rooms: 2500 things are wrong.\n"));
    buf_release(&all);
}

static void what_cannot_be_looked_at_is_told_apart(void **state)
{
    (void)state;
    struct buf all = BUF_INIT;
    expect(2, "parley-store: The log could not be checked: relation \"messages\" does not exist\n");
    assert_int_equal(check("postgresql://127.0.0.1:1/nowhere", &all), 2);
    assert_non_null(strstr(all.data, "The log could not be checked: "));
    assert_int_equal(check("no such thing", &all), 2);
    assert_non_null(strstr(all.data, "DATABASE_URL"));
    buf_release(&all);
}

#define ON_EMPTY_DATABASE(test) cmocka_unit_test_setup(test, empty_database)

/* An argument is a pattern, as in "a_*": only such tests are run. */
int main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    const struct CMUnitTest tests[] = {
        ON_EMPTY_DATABASE(a_log_is_whole_also_where_old_messages_were_deleted),
        ON_EMPTY_DATABASE(each_damage_is_told_in_a_line),
        ON_EMPTY_DATABASE(any_number_of_findings_is_told),
        ON_EMPTY_DATABASE(what_cannot_be_looked_at_is_told_apart),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
