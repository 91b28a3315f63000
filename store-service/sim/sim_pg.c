/*
 * sim_pg.c - stands in for src/pg.c, and for what the rest of the service calls of libpq: a connection leads to the model
 * of Postgres. src/pg_values.c is what it is; so the parameters come in Postgres's binary format, and are read here.
 */
#include "base/sim/seeded_random.h"
#include "migrations.h"
#include "promise.h"
#include "read_sql.h"
#include "store_process.h"

#include <endian.h>
#include <stdlib.h>

/* --- results --- */

/* libpq's PGresult. */
struct pg_result {
    struct pg_answer answer;
    uint64_t *wire; /* numbers as they are sent */
};

static const int64_t postgres_epoch_ms = 946684800000;

static uint64_t wire_of(const struct pg_value *value)
{
    switch (value->type) {
    case PG_BOOL: return htobe64(value->number << 56);
    case PG_INT4: return htobe64(value->number << 32);
    case PG_INT8: return htobe64(value->number);
    case PG_TIME: return htobe64((uint64_t)(((int64_t)value->number - postgres_epoch_ms) * 1000));
    case PG_NULL:
    case PG_TEXT: break;
    }
    return 0;
}

/* Takes @answer. */
static PGresult *result_new(struct pg_answer *answer)
{
    struct pg_result *result = mem_alloc(sizeof(*result));
    result->answer = *answer;
    *answer = (struct pg_answer){0};
    size_t count = result->answer.rows * result->answer.columns;
    result->wire = mem_alloc((count + 1) * sizeof(result->wire[0]));
    for (size_t i = 0; i < count; i++) {
        result->wire[i] = wire_of(&result->answer.values[i]);
    }
    return result;
}

void PQclear(PGresult *res)
{
    if (res != NULL) {
        pg_answer_release(&res->answer);
        free(res->wire);
        free(res);
    }
}

int PQntuples(const PGresult *res)
{
    return res == NULL ? 0 : (int)res->answer.rows;
}

static size_t place_of(const PGresult *result, int row, int column)
{
    ASSERT(row >= 0 && (size_t)row < result->answer.rows && column >= 0 &&
           (size_t)column < result->answer.columns);
    return (size_t)row * result->answer.columns + (size_t)column;
}

int PQgetisnull(const PGresult *res, int tup_num, int field_num)
{
    return res->answer.values[place_of(res, tup_num, field_num)].type == PG_NULL;
}

int PQgetlength(const PGresult *res, int tup_num, int field_num)
{
    static const int LENGTHS[] = {
        [PG_NULL] = 0, [PG_BOOL] = 1, [PG_INT4] = 4, [PG_INT8] = 8, [PG_TIME] = 8};
    const struct pg_value *value = &res->answer.values[place_of(res, tup_num, field_num)];
    return value->type == PG_TEXT ? (int)value->text.len : LENGTHS[value->type];
}

char *PQgetvalue(const PGresult *res, int tup_num, int field_num)
{
    size_t place = place_of(res, tup_num, field_num);
    const struct pg_value *value = &res->answer.values[place];
    return value->type == PG_TEXT ? (char *)(uintptr_t)value->text.data : (char *)&res->wire[place];
}

const char *PQparameterStatus(const PGconn *conn, const char *paramName)
{
    (void)conn, (void)paramName; /* server_encoding is all that is asked for */
    return "UTF8";
}

/* --- parameters --- */

struct reader {
    struct bytes rest;
};

static struct bytes read_bytes(struct reader *reader, size_t len)
{
    struct bytes read = bytes_of(reader->rest.data, len);
    reader->rest = bytes_skip(reader->rest, len);
    return read;
}

static uint32_t read_int4(struct reader *reader)
{
    uint32_t wire;
    memcpy(&wire, read_bytes(reader, sizeof(wire)).data, sizeof(wire));
    return be32toh(wire);
}

static struct reader param(const struct pg_statement *statement, const struct pg_params *params,
                           int i)
{
    ASSERT(params != NULL && i < params->count);
    size_t end = i + 1 < params->count ? params->starts[i + 1] : params->data.len;
    return (struct reader){bytes_of(statement->block + params->starts[i], end - params->starts[i])};
}

static int64_t param_int8(const struct pg_statement *statement, const struct pg_params *params,
                          int i)
{
    uint64_t wire;
    struct reader reader = param(statement, params, i);
    memcpy(&wire, read_bytes(&reader, sizeof(wire)).data, sizeof(wire));
    return (int64_t)be64toh(wire);
}

static bool param_bool(const struct pg_statement *statement, const struct pg_params *params, int i)
{
    struct reader reader = param(statement, params, i);
    return *read_bytes(&reader, 1).data != 0;
}

/* Reads an array's header; returns how many elements follow. */
static size_t read_array(struct reader *reader)
{
    uint32_t dimensions = read_int4(reader);
    (void)read_int4(reader); /* flags */
    (void)read_int4(reader); /* type */
    if (dimensions == 0) {
        return 0;
    }
    size_t count = read_int4(reader);
    (void)read_int4(reader); /* the first one's subscript */
    return count;
}

static struct bytes read_element(struct reader *reader)
{
    return read_bytes(reader, read_int4(reader));
}

static void take_rooms(struct pg_statement *statement, struct reader reader)
{
    statement->room_count = read_array(&reader);
    statement->rooms = mem_alloc((statement->room_count + 1) * sizeof(statement->rooms[0]));
    for (size_t i = 0; i < statement->room_count; i++) {
        statement->rooms[i] = read_element(&reader);
    }
}

static void take_one_room(struct pg_statement *statement, const struct pg_params *params)
{
    statement->room_count = 1;
    statement->rooms = mem_alloc(sizeof(statement->rooms[0]));
    statement->rooms[0] = param(statement, params, 0).rest;
}

static void take_append(struct pg_statement *statement, const struct pg_params *params)
{
    take_rooms(statement, param(statement, params, 0));
    struct reader room_of = param(statement, params, 1);
    struct reader texts[4];
    for (int i = 0; i < 4; i++) {
        texts[i] = param(statement, params, 2 + i);
        (void)read_array(&texts[i]);
    }
    size_t count = statement->message_count = read_array(&room_of);
    statement->room_of = mem_alloc((count + 1) * sizeof(statement->room_of[0]));
    statement->messages = mem_alloc((count + 1) * sizeof(statement->messages[0]));
    for (size_t i = 0; i < count; i++) {
        (void)read_int4(&room_of); /* its length */
        statement->room_of[i] = (int32_t)read_int4(&room_of);
        statement->messages[i] = (struct contract_new_message){
            .sender = read_element(&texts[0]),
            .session = read_element(&texts[1]),
            .client_id = read_element(&texts[2]),
            .body = read_element(&texts[3]),
        };
    }
    statement->waits = param_bool(statement, params, 6);
}

static void take_range(struct pg_statement *statement, const struct pg_params *params)
{
    statement->room_id = param_int8(statement, params, 0);
    statement->from = param_int8(statement, params, 1);
    statement->to = param_int8(statement, params, 2);
    statement->limit = param_int8(statement, params, 3);
}

/* --- statements --- */

#define SET_TIMEOUT "SET LOCAL statement_timeout = "

/* What the service says, by how it begins. */
static const struct {
    const char *begin;
    enum pg_statement_type type;
} KNOWN[] = {
    {"SELECT * FROM parley_append($1, $2, $3, $4, $5, $6, $7)", PG_APPEND},
    {"SELECT coalesce(r.epoch, e.epoch), coalesce(r.head, 0) FROM", PG_ROOM_HEAD},
    {READ_FACTS_SQL, PG_FACTS},
    {READ_MESSAGES_SQL, PG_MESSAGES},
    {READ_HEADS_SQL, PG_HEADS},
    {"SELECT count(*) FROM pg_catalog.pg_tables", PG_NUMBER},
    {"SELECT (max(number) >= ", PG_IS_PREPARED},
    {"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'", PG_STUCK_COMMITS},
    {"BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;", PG_BEGIN},
    {"SELECT pg_advisory_xact_lock(", PG_LOCK_MIGRATIONS},
    {SET_TIMEOUT, PG_SET_STATEMENT_TIMEOUT},
    {"SELECT coalesce(max(number), 0)::bigint FROM schema_migrations", PG_NUMBER},
    {"SELECT coalesce(max(oldest_program), 0)::bigint FROM schema_migrations", PG_NUMBER},
    {"SELECT parley_ensure_epoch($1)", PG_ENSURE_EPOCH},
    {"COMMIT", PG_COMMIT},
};

static enum pg_statement_type type_of(const char *sql)
{
    for (size_t i = 0; i < COUNT_OF(KNOWN); i++) {
        if (bytes_start_with(bytes_of_string(sql), bytes_of_string(KNOWN[i].begin))) {
            return KNOWN[i].type;
        }
    }
    promise_broken("the model of Postgres does not know this statement: %s", sql);
}

/* The schema is there and of this version, which is all that database.c wants to know. */
static int64_t number_of(const char *sql)
{
    return strstr(sql, "max(number)") != NULL ? (int64_t)migrations_count : 1;
}

static struct pg_statement statement_of(const char *sql, const struct pg_params *params)
{
    struct pg_statement statement = {.type = type_of(sql)};
    if (params != NULL) {
        statement.block = mem_copy_string(params->data.data, params->data.len);
    }
    switch (statement.type) {
    case PG_APPEND: take_append(&statement, params); break;
    case PG_FACTS:
    case PG_ROOM_HEAD: take_one_room(&statement, params); break;
    case PG_HEADS: take_rooms(&statement, param(&statement, params, 0)); break;
    case PG_MESSAGES:
        take_range(&statement, params);
        statement.is_newest_first = strstr(sql, "DESC") != NULL;
        break;
    case PG_ENSURE_EPOCH: statement.is_forced = param_bool(&statement, params, 0); break;
    case PG_NUMBER: statement.number = number_of(sql); break;
    case PG_SET_STATEMENT_TIMEOUT:
        statement.number = strtoll(sql + strlen(SET_TIMEOUT), NULL, 10);
        break;
    default: break;
    }
    return statement;
}

/* --- connections --- */

void pg_init(struct pg *pg, const struct pg_target *target)
{
    *pg = (struct pg){.target = target};
}

void pg_release(struct pg *pg)
{
    pg_disconnect(pg);
}

enum pg_connect_result pg_connect(struct pg *pg, struct buf *ret_error)
{
    struct lane *lane = sim_lane_running();
    (void)ret_error;
    pg_disconnect(pg);
    sim_lane_give_way(lane);
    if (!lane->process->is_dead) {
        struct stores *stores = lane->process->stores;
        pg->conn = pg_server_connect(&stores->server, stores->now_ms);
    }
    return pg->conn == NULL ? PG_UNREACHABLE : PG_CONNECTED;
}

void pg_disconnect(struct pg *pg)
{
    if (pg->conn != NULL) {
        pg_server_disconnect(pg->conn);
        pg->conn = NULL;
    }
}

bool pg_is_alive(struct pg *pg)
{
    return pg->conn->slot != NULL;
}

/*
 * Waits for the answer, or not for longer than until @until_ms. A process that was frozen may find both, the answer and
 * that it is too late, and which of them counts depends on where it was frozen.
 */
static bool wait_for_answer(struct lane *lane, const struct pg_conn *conn, uint64_t until_ms)
{
    struct stores *stores = lane->process->stores;
    sim_lane_wait(lane, until_ms, conn);
    bool is_late = stores->now_ms >= until_ms && seeded_random_below(stores->dice, 2) == 0;
    return !lane->process->is_dead && conn->has_answer && !is_late;
}

enum store_result pg_run(struct pg *pg, const char *sql, const struct pg_params *params,
                         uint64_t deadline_ms, PGresult **ret_result, struct buf *ret_error)
{
    struct lane *lane = sim_lane_running();
    (void)ret_error;
    sim_lane_give_way(lane);
    if (lane->process->is_dead || pg->conn == NULL) { /* an earlier statement has closed it */
        pg_disconnect(pg);
        return STORE_UNKNOWN;
    }
    struct stores *stores = lane->process->stores;
    struct pg_statement statement = statement_of(sql, params);
    pg_server_send(pg->conn, &statement, stores->now_ms);
    if (!wait_for_answer(lane, pg->conn, stores->now_ms + deadline_ms)) {
        pg_disconnect(pg);
        return STORE_UNKNOWN;
    }
    const char *sqlstate = pg->conn->answer.sqlstate;
    if (sqlstate == NULL) {
        *ret_result = result_new(&pg->conn->answer);
        return STORE_COMMITTED;
    }
    if (pg_ends_connection(sqlstate)) {
        pg_disconnect(pg);
    }
    return pg_classify(sqlstate);
}

enum store_result pg_run_prepared(struct pg *pg, const char *name, const char *sql,
                                  const struct pg_params *params, uint64_t deadline_ms,
                                  PGresult **ret_result, struct buf *ret_error)
{
    (void)name;
    return pg_run(pg, sql, params, deadline_ms, ret_result, ret_error);
}

enum store_result pg_run_script(struct pg *pg, const char *sql, uint64_t deadline_ms,
                                struct buf *ret_error)
{
    PGresult *result = NULL;
    enum store_result what = pg_run(pg, sql, NULL, deadline_ms, &result, ret_error);
    if (what == STORE_COMMITTED) {
        PQclear(result);
    }
    return what;
}
