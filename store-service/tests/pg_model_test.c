/*
 * pg_model_test.c - holds the model of Postgres (store-service/sim) against Postgres: parley_append() and
 * parley_ensure_epoch() do in both what the dice say, and all that can be seen of it has to be the same: who waits, what is
 * answered, what is in the tables, and what the service's own statements read there.
 *
 * The model's clock stands still, so that its epochs are 1, 2, 3, …: which one of Postgres's each is, is noted.
 *
 * Sessions keep transactions open while others append, so that rows are skipped, waited for, and come or do not come.
 * At most one session waits at a time: which of two goes on first is Postgres's secret.
 */
#include "migrations.h"
#include "pg_both.h"
#include "talk.h"

#include <poll.h>

enum { TEXTS = 12, MESSAGES_MAX = 6, WAIT_MS_MAX = 20000 };

/* What may be said: few enough that much is said twice. */
static const struct {
    const char *sender, *session, *client_id, *body;
} SAYINGS[TEXTS] = {
    {"ann", "s1", "1", "short ids count in their session"},
    {"ann", "s2", "1", "short ids count in their session"},
    {"ann", "s1", "undefined-17-abcdefghijk", "so do these"},
    {"ann", "s2", "undefined-17-abcdefghijk", "so do these"},
    {"ann", "s1", "0123456789abcdef", "long enough"},
    {"ann", "s2", "0123456789abcdef", "long enough"},
    {"bob", "s2", "0123456789abcdef", "long enough"},
    {"ann", "s1", "0123456789abcdef", "other words"},
    {"ann", "s1", "0123456789abcde", "long enough"},
    {"ann", "", "\xc3\xa4\xc3\xb6\xc3\xbc", ""},
    {"ann", "s1", "forbidden", "forbidden"},
    {"ann", "s1", "new", "never said before"}, /* with a number */
};

static PGresult *ask(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    return result;
}

static void tell(PGconn *conn, const char *sql)
{
    PQclear(ask(conn, sql));
}

/* --- the model --- */

/* All that can go on does, until it waits or is done. */
static void run_model(struct both *both)
{
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        for (size_t i = 0; i < SESSIONS; i++) {
            struct pg_backend *backend = &both->sessions[i].backend;
            while (pg_backend_can_step(backend, 0)) {
                pg_backend_step(backend, 0);
                has_moved = true;
            }
        }
    }
    assert_int_equal(both->db.violations, 0);
}

/* --- Postgres --- */

static bool waits_for_a_lock(struct both *both, const struct session *session)
{
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT cardinality(pg_blocking_pids(%d))", session->pid);
    PGresult *result = ask(both->watcher, sql);
    bool is_waiting = strtol(PQgetvalue(result, 0, 0), NULL, 10) > 0;
    PQclear(result);
    return is_waiting;
}

/* Until @session has its answer, or waits for a lock. Returns whether it has the answer. */
static bool wait_for_postgres(struct both *both, const struct session *session)
{
    uint64_t until_ms = clock_monotonic_ms() + WAIT_MS_MAX;
    while (PQisBusy(session->conn)) {
        if (waits_for_a_lock(both, session)) {
            return false;
        }
        assert_true(clock_monotonic_ms() < until_ms);
        struct pollfd fd = {.fd = PQsocket(session->conn), .events = POLLIN};
        (void)poll(&fd, 1, 1);
        assert_int_equal(PQconsumeInput(session->conn), 1);
    }
    return true;
}

/* --- comparing --- */

static int row_of_place(const struct pg_answer *answer, int32_t place)
{
    for (size_t row = 0; row < answer->rows; row++) {
        if (answer->values[row * answer->columns].number == (uint64_t)place) {
            return (int)row;
        }
    }
    fail_msg("the model does not answer place %d", place);
    return -1;
}

static void compare_row(struct both *both, const struct session *session, const PGresult *result,
                        int row)
{
    const struct pg_answer *answer = &session->backend.answer;
    int32_t place = pg_int4(result, row, 0);
    const struct pg_value *mine =
        &answer->values[(size_t)row_of_place(answer, place) * answer->columns];
    assert_int_equal(pg_int8(result, row, 1), mine[1].number);
    assert_int_equal(pg_bool(result, row, 3), mine[3].number);
    assert_int_equal(PQgetisnull(result, row, 4), mine[4].type == PG_NULL);
    if (mine[4].type != PG_NULL) {
        assert_true(bytes_equal(pg_text(result, row, 4), mine[4].text));
    }
    both_compare_epoch(both, pg_int8(result, row, 5), &mine[5]);
    assert_int_equal(pg_int8(result, row, 6), mine[6].number);
}

/* What was found was stored when Postgres said so at first. */
static void compare_time(struct both *both, size_t room, const PGresult *result, int row)
{
    uint64_t id = (uint64_t)pg_int8(result, row, 1);
    assert_true(id < IDS_MAX);
    uint64_t *at_ms = &both->at_ms[room][id];
    if (!pg_bool(result, row, 3)) {
        *at_ms = pg_time_ms(result, row, 2);
    }
    assert_int_equal(pg_time_ms(result, row, 2), *at_ms);
}

/* Whether one has begun; and, for whoever can see it, what it is called. */
static void compare_begun_epoch(struct both *both, struct session *session, const PGresult *result)
{
    const struct pg_answer *answer = &session->backend.answer;
    assert_int_equal(answer->rows, 1);
    assert_int_equal(PQgetisnull(result, 0, 0), answer->values[0].type == PG_NULL);
    if (answer->values[0].type != PG_NULL) {
        PGresult *newest = ask(session->conn, "SELECT max(epoch) FROM epochs");
        assert_true(session->backend.epoch < EPOCHS_MAX);
        both->epochs[session->backend.epoch] = strtoll(PQgetvalue(newest, 0, 0), NULL, 10);
        both->epochs_begun++;
        PQclear(newest);
    }
}

static void compare_answer(struct both *both, struct session *session, const size_t *rooms,
                           size_t message_count)
{
    PGresult *result = PQgetResult(session->conn);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *mine = session->backend.answer.sqlstate;
    if (sqlstate != NULL || mine != NULL) {
        assert_non_null(sqlstate);
        assert_non_null(mine);
        assert_string_equal(sqlstate, mine);
        session->has_failed = session->is_in_block;
        both->failures++;
    } else if (session->asked == PG_APPEND) {
        assert_int_equal(PQntuples(result), session->backend.answer.rows);
        for (int row = 0; row < PQntuples(result); row++) {
            compare_row(both, session, result, row);
            compare_time(both, rooms[pg_int4(result, row, 0) - 1], result, row);
        }
        both->skips += (size_t)PQntuples(result) < message_count;
    }
    assert_null(PQgetResult(session->conn));
    if (sqlstate == NULL && session->asked == PG_ENSURE_EPOCH) {
        compare_begun_epoch(both, session, result);
    }
    PQclear(result);
}

/* What everybody may read, row by row. */
static void compare_tables(struct both *both)
{
    PGresult *rooms = ask(both->watcher, "SELECT name, head FROM rooms");
    struct pg_view view = pg_view_now(&both->db, 0);
    size_t mine = 0;
    for (size_t i = 0; i < both->db.room_count; i++) {
        mine += pg_room_version(&both->db, view, both->db.rooms[i]) != NULL;
    }
    assert_int_equal(PQntuples(rooms), mine);
    for (int row = 0; row < PQntuples(rooms); row++) {
        struct pg_room *room =
            pg_find_room(&both->db, view, bytes_of_string(PQgetvalue(rooms, row, 0)));
        assert_non_null(room);
        assert_int_equal(strtoull(PQgetvalue(rooms, row, 1), NULL, 10),
                         pg_head(&both->db, view, room));
    }
    PQclear(rooms);
    PGresult *messages =
        ask(both->watcher, "SELECT r.name, m.id, m.sender, m.session, m.client_id, m.body"
                           " FROM messages m JOIN rooms r ON r.id = m.room_id");
    for (int row = 0; row < PQntuples(messages); row++) {
        struct contract_new_message texts = {bytes_of_string(PQgetvalue(messages, row, 2)),
                                             bytes_of_string(PQgetvalue(messages, row, 3)),
                                             bytes_of_string(PQgetvalue(messages, row, 4)),
                                             bytes_of_string(PQgetvalue(messages, row, 5))};
        const struct pg_message *message = pg_find_message(
            &both->db, view,
            pg_find_room(&both->db, view, bytes_of_string(PQgetvalue(messages, row, 0))), &texts);
        assert_non_null(message);
        assert_int_equal(message->id, strtoull(PQgetvalue(messages, row, 1), NULL, 10));
        assert_true(bytes_equal(message->texts.session, texts.session));
    }
    uint64_t heads = 0;
    for (size_t i = 0; i < both->db.room_count; i++) {
        const struct pg_room_version *version = pg_room_version(&both->db, view, both->db.rooms[i]);
        heads += version != NULL ? pg_head(&both->db, view, both->db.rooms[i]) : 0;
    }
    assert_int_equal(PQntuples(messages), heads);
    PQclear(messages);
}

/* --- one after the other --- */

/* The answers of all that were asked something and do not wait any more. */
static void settle(struct both *both, struct session *asked, const size_t *rooms,
                   size_t message_count)
{
    static size_t waiting_rooms[SESSIONS][MESSAGES_MAX];
    static size_t waiting_count[SESSIONS];
    size_t number = (size_t)(asked - both->sessions);
    for (size_t i = 0; i < message_count; i++) {
        waiting_rooms[number][i] = rooms[i];
    }
    waiting_count[number] = message_count;
    run_model(both);
    for (size_t i = 0; i < SESSIONS; i++) {
        /* First who was asked now: others go on when it lets them. */
        size_t n = (number + i) % SESSIONS;
        struct session *session = &both->sessions[n];
        if (session != asked && !session->is_waiting) {
            continue;
        }
        bool mine_waits = session->backend.state != PG_BACKEND_IDLE;
        assert_int_equal(wait_for_postgres(both, session), !mine_waits);
        both->waits += mine_waits && !session->is_waiting;
        session->is_waiting = mine_waits;
        if (!mine_waits) {
            compare_answer(both, session, waiting_rooms[n], waiting_count[n]);
        }
    }
}

static void say_both(struct both *both, struct session *session, const char *sql,
                     enum pg_statement_type type)
{
    struct pg_statement statement = {.type = type};
    session->asked = type;
    pg_backend_start(&session->backend, &statement, 0);
    assert_int_equal(PQsendQuery(session->conn, sql), 1);
    session->is_in_block = type == PG_BEGIN;
    session->has_failed = false;
    settle(both, session, NULL, 0);
}

static void ensure_epoch_both(struct both *both, struct session *session, bool is_forced)
{
    struct pg_statement statement = {.type = PG_ENSURE_EPOCH, .is_forced = is_forced};
    session->asked = PG_ENSURE_EPOCH;
    pg_backend_start(&session->backend, &statement, 0);
    assert_int_equal(PQsendQuery(session->conn, is_forced ? "SELECT parley_ensure_epoch(true)"
                                                          : "SELECT parley_ensure_epoch(false)"),
                     1);
    settle(both, session, NULL, 0);
}

static bool is_there(struct both *both, size_t room)
{
    return pg_find_room(&both->db, pg_view_now(&both->db, 0),
                        bytes_of_string(BOTH_ROOM_NAMES[room])) != NULL;
}

static struct contract_new_message draw_message(struct both *both, char **block)
{
    size_t saying = both_draw(both, TEXTS);
    struct contract_new_message message = {
        .sender = bytes_of_string(SAYINGS[saying].sender),
        .session = bytes_of_string(SAYINGS[saying].session),
        .client_id = bytes_of_string(SAYINGS[saying].client_id),
        .body = bytes_of_string(SAYINGS[saying].body),
    };
    if (bytes_equal(message.client_id, BYTES("new"))) {
        int len = sprintf(*block, "new-%llu", (unsigned long long)++both->last_text);
        message.client_id = bytes_of(*block, (size_t)len);
        *block += len;
    }
    return message;
}

/* Sends what @statement says to Postgres, as src/append.c does. */
static void send_append(PGconn *conn, const struct pg_statement *statement)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text_array(&params, statement->room_count);
    for (size_t i = 0; i < statement->room_count; i++) {
        pg_element_text(&params, statement->rooms[i]);
    }
    pg_param_int4_array(&params, statement->message_count);
    for (size_t i = 0; i < statement->message_count; i++) {
        pg_element_int4(&params, statement->room_of[i]);
    }
    for (int field = 0; field < 4; field++) {
        pg_param_text_array(&params, statement->message_count);
        for (size_t i = 0; i < statement->message_count; i++) {
            const struct contract_new_message *m = &statement->messages[i];
            pg_element_text(&params, field == 0   ? m->sender
                                     : field == 1 ? m->session
                                     : field == 2 ? m->client_id
                                                  : m->body);
        }
    }
    pg_param_bool(&params, statement->waits);
    both_send(conn, "SELECT * FROM parley_append($1, $2, $3, $4, $5, $6, $7)", &params);
    pg_params_release(&params);
}

static void append_both(struct both *both, struct session *session, bool may_wait)
{
    size_t places[ROOMS], chosen = 0, first = both_draw(both, ROOMS),
                          count = 1 + both_draw(both, 3);
    for (size_t i = 0; i < ROOMS && chosen < count; i++) {
        size_t room = (first + i * 2) % ROOMS;
        if (may_wait || is_there(both, room)) {
            places[chosen++] = room;
        }
    }
    if (chosen == 0) {
        return;
    }
    bool waits = may_wait && both_draw(both, 3) == 0;
    chosen = waits ? 1 : chosen;
    struct pg_statement statement = {.type = PG_APPEND, .waits = waits, .room_count = chosen};
    statement.rooms = mem_alloc(chosen * sizeof(statement.rooms[0]));
    for (size_t i = 0; i < chosen; i++) {
        statement.rooms[i] = bytes_of_string(BOTH_ROOM_NAMES[places[i]]);
    }
    statement.message_count = chosen + both_draw(both, MESSAGES_MAX + 1 - chosen);
    statement.messages = mem_alloc(statement.message_count * sizeof(statement.messages[0]));
    statement.room_of = mem_alloc(statement.message_count * sizeof(statement.room_of[0]));
    statement.block = mem_alloc(statement.message_count * 32);
    size_t rooms[MESSAGES_MAX];
    char *block = statement.block;
    for (size_t i = 0; i < statement.message_count; i++) {
        size_t room = i < chosen ? i : both_draw(both, chosen);
        statement.room_of[i] = (int32_t)room + 1;
        statement.messages[i] = draw_message(both, &block);
        rooms[i] = places[room];
    }
    size_t message_count = statement.message_count;
    session->asked = PG_APPEND;
    send_append(session->conn, &statement);
    pg_backend_start(&session->backend, &statement, 0);
    settle(both, session, rooms, message_count);
}

/*
 * While somebody who begins an epoch waits, the others do no more than to end their transactions: which rooms it has
 * locked already depends on where their rows lie.
 */
static void do_something(struct both *both, size_t session_count)
{
    struct session *session = &both->sessions[both_draw(both, session_count)];
    bool someone_waits = false, epoch_waits = false;
    for (size_t i = 0; i < SESSIONS; i++) {
        someone_waits |= both->sessions[i].is_waiting;
        epoch_waits |= both->sessions[i].is_waiting && both->sessions[i].asked == PG_ENSURE_EPOCH;
    }
    if (session->is_waiting || (epoch_waits && !session->is_in_block)) {
        return;
    }
    uint64_t dice = epoch_waits ? both_draw(both, 2) : both_draw(both, 10);
    if (session->has_failed || (session->is_in_block && dice < 3)) {
        bool is_kept = dice % 2 == 0;
        say_both(both, session, is_kept ? "COMMIT" : "ROLLBACK", is_kept ? PG_COMMIT : PG_ROLLBACK);
    } else if (!session->is_in_block && dice < 4) {
        say_both(both, session, "BEGIN", PG_BEGIN);
    } else if (!someone_waits && both_draw(both, 12) == 0) {
        ensure_epoch_both(both, session, both_draw(both, 3) != 0);
    } else {
        append_both(both, session, !someone_waits);
    }
}

/* --- the tests --- */

static void make_schema(struct both *both)
{
    for (size_t i = 0; i < migrations_count; i++) {
        tell(both->watcher, migrations[i].sql);
    }
    tell(both->watcher, "SELECT parley_ensure_epoch(false)");
    tell(both->watcher, "ALTER TABLE messages ADD CHECK (body <> 'forbidden')");
    PGresult *result = ask(both->watcher, "SELECT max(epoch) FROM epochs");
    both->epochs[1] = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    uint32_t xid = pg_begin(&both->db, 0);
    pg_insert_epoch(&both->db, xid, 1);
    pg_flush(&both->db, xid);
    pg_commit(&both->db, xid);
}

static void run_both(uint64_t seed, size_t session_count, int operations, struct both *both)
{
    *both = (struct both){.dice = seed, .watcher = fixture_database_connect(&fixture)};
    pg_database_init(&both->db);
    make_schema(both);
    pg_backend_init(&both->reader, &both->db, false);
    for (size_t i = 0; i < SESSIONS; i++) {
        struct session *session = &both->sessions[i];
        session->conn = fixture_database_connect(&fixture);
        session->pid = PQbackendPID(session->conn);
        pg_backend_init(&session->backend, &both->db, false);
    }
    for (int i = 0; i < operations; i++) {
        do_something(both, session_count);
        if (i % 25 == 0) {
            compare_tables(both);
            both_compare_reads(both);
        }
    }
    compare_tables(both);
    both_compare_reads(both);
    pg_backend_release(&both->reader);
    for (size_t i = 0; i < SESSIONS; i++) {
        pg_backend_release(&both->sessions[i].backend);
        PQfinish(both->sessions[i].conn);
    }
    PQfinish(both->watcher);
    pg_database_release(&both->db);
}

static void one_session_gets_the_same_from_the_model_as_from_postgres(void **state)
{
    (void)state;
    struct both *both = mem_alloc(sizeof(*both));
    run_both(1, 1, 800, both);
    assert_true(both->failures > 20);
    assert_true(both->epochs_begun > 10);
    assert_int_equal(both->waits, 0);
    free(both);
}

static void
sessions_that_wait_for_each_other_get_the_same_from_the_model_as_from_postgres(void **state)
{
    (void)state;
    for (uint64_t seed = 2; seed < 5; seed++) {
        struct both *both = mem_alloc(sizeof(*both));
        fixture_database_reset(&fixture);
        run_both(seed, SESSIONS, 800, both);
        assert_true(both->failures > 20);
        assert_true(both->skips > 20);
        assert_true(both->waits > 10);
        assert_true(both->epochs_begun > 10);
        free(both);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_session_gets_the_same_from_the_model_as_from_postgres,
                               empty_database),
        cmocka_unit_test_setup(
            sessions_that_wait_for_each_other_get_the_same_from_the_model_as_from_postgres,
            empty_database),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
