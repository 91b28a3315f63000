#include "pg_both.h"

#include "base/sim/seeded_random.h"
#include "read_sql.h"

const char *const BOTH_ROOM_NAMES[ROOMS] = {"b", "Z", "a", "aa", "lobby"};

uint64_t both_draw(struct both *both, uint64_t below)
{
    return seeded_random_below(&both->dice, below);
}

void both_send(PGconn *conn, const char *sql, const struct pg_params *params)
{
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
    for (int i = 0; i < params->count; i++) {
        size_t end = i + 1 < params->count ? params->starts[i + 1] : params->data.len;
        values[i] = params->data.data + params->starts[i];
        lengths[i] = (int)(end - params->starts[i]);
        formats[i] = 1;
    }
    assert_int_equal(
        PQsendQueryParams(conn, sql, params->count, params->types, values, lengths, formats, 1), 1);
}

void both_compare_epoch(const struct both *both, int64_t epoch, const struct pg_value *mine)
{
    assert_true(mine->number < EPOCHS_MAX);
    assert_int_equal(epoch, both->epochs[mine->number]);
}

/* What the model answers to @statement, which is taken. Valid until the next one. */
static const struct pg_answer *read_model(struct both *both, struct pg_statement *statement)
{
    pg_backend_start(&both->reader, statement, 0);
    while (both->reader.state != PG_BACKEND_IDLE) {
        assert_true(pg_backend_can_step(&both->reader, 0));
        pg_backend_step(&both->reader, 0);
    }
    return &both->reader.answer;
}

/* Takes @params. */
static PGresult *read_postgres(struct both *both, const char *sql, struct pg_params *params)
{
    both_send(both->watcher, sql, params);
    pg_params_release(params);
    PGresult *result = PQgetResult(both->watcher);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_null(PQgetResult(both->watcher));
    return result;
}

static struct pg_statement statement_about(enum pg_statement_type type, const char *const *rooms,
                                           size_t room_count)
{
    struct pg_statement statement = {.type = type, .room_count = room_count};
    statement.rooms = mem_alloc((room_count + 1) * sizeof(statement.rooms[0]));
    for (size_t i = 0; i < room_count; i++) {
        statement.rooms[i] = bytes_of_string(rooms[i]);
    }
    return statement;
}

static void compare_heads(struct both *both)
{
    struct pg_statement statement = statement_about(PG_HEADS, BOTH_ROOM_NAMES, ROOMS);
    const struct pg_answer *answer = read_model(both, &statement);
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text_array(&params, ROOMS);
    for (size_t i = 0; i < ROOMS; i++) {
        pg_element_text(&params, bytes_of_string(BOTH_ROOM_NAMES[i]));
    }
    PGresult *result = read_postgres(both, READ_HEADS_SQL, &params);
    assert_int_equal(PQntuples(result), answer->rows);
    for (int row = 0; row < ROOMS; row++) {
        const struct pg_value *mine = &answer->values[(size_t)row * 2];
        both_compare_epoch(both, pg_int8(result, row, 0), &mine[0]);
        assert_int_equal(pg_int8(result, row, 1), mine[1].number);
    }
    PQclear(result);
}

static void compare_range(struct both *both, int64_t room_id, int64_t id_in_model, int64_t head)
{
    struct pg_statement statement = {.type = PG_MESSAGES,
                                     .room_id = id_in_model,
                                     .from = 1 + (int64_t)both_draw(both, (uint64_t)head),
                                     .to = head,
                                     .limit = 1 + (int64_t)both_draw(both, 8),
                                     .is_newest_first = both_draw(both, 2) == 0};
    struct pg_params params;
    pg_params_init(&params);
    pg_param_int8(&params, room_id);
    pg_param_int8(&params, statement.from);
    pg_param_int8(&params, statement.to);
    pg_param_int8(&params, statement.limit);
    PGresult *result = read_postgres(
        both, statement.is_newest_first ? READ_NEWEST_MESSAGES_SQL : READ_OLDEST_MESSAGES_SQL,
        &params);
    const struct pg_answer *answer = read_model(both, &statement);
    assert_int_equal(PQntuples(result), answer->rows);
    for (int row = 0; row < PQntuples(result); row++) {
        const struct pg_value *mine = &answer->values[(size_t)row * answer->columns];
        assert_int_equal(pg_int8(result, row, 0), mine[0].number);
        for (int text = 1; text <= 4; text++) {
            assert_true(bytes_equal(pg_text(result, row, text), mine[text].text));
        }
    }
    PQclear(result);
}

/* The room's number is its own in the model; all else has to be the same. */
static void compare_room(struct both *both, const char *name)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, bytes_of_string(name));
    pg_param_int8(&params, EPOCHS_MAX);
    PGresult *result = read_postgres(both, READ_FACTS_SQL, &params);
    struct pg_statement statement = statement_about(PG_FACTS, &name, 1);
    const struct pg_answer *answer = read_model(both, &statement);
    assert_int_equal(PQntuples(result), answer->rows);
    int64_t id_in_model = (int64_t)answer->values[0].number;
    for (int row = 0; row < PQntuples(result); row++) {
        const struct pg_value *mine = &answer->values[(size_t)row * answer->columns];
        assert_int_equal(pg_int8(result, row, 0) == 0, mine[0].number == 0);
        assert_int_equal(pg_int8(result, row, 1), mine[1].number);
        both_compare_epoch(both, pg_int8(result, row, 2), &mine[2]);
        assert_int_equal(pg_int8(result, row, 3), mine[3].number);
        assert_int_equal(pg_int8(result, row, 4), mine[4].number);
    }
    int64_t head = pg_int8(result, 0, 1);
    if (head > 0) {
        compare_range(both, pg_int8(result, 0, 0), id_in_model, head);
    }
    PQclear(result);
}

void both_compare_reads(struct both *both)
{
    compare_heads(both);
    for (size_t i = 0; i < ROOMS; i++) {
        compare_room(both, BOTH_ROOM_NAMES[i]);
    }
}
