/*
 * pg_load.c - parley-pg-load: what Postgres alone does with the same rows, in a table of the same columns and indexes as the
 * store-service's. It needs a database that a store-service has set up, and drops its own table at the end.
 *
 *   single   one connection, one row, one transaction: how long a commit takes
 *   unnest   many rows with one INSERT … SELECT FROM unnest(…), one transaction: how many rows can be had
 */
#include "args.h"
#include "base/clock.h"
#include "base/random.h"
#include "latency.h"
#include "meter.h"
#include "pg.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECTIONS_MAX = 64,
    KEY_BYTES = 16, /* as parley_dedup_key()'s */
    ID_BYTES = 24,
    PARAMETERS = 5,
};

static const char TABLE[] = "DROP TABLE IF EXISTS parley_bench;"
                            " CREATE TABLE parley_bench (LIKE messages INCLUDING ALL)";

#define COLUMNS "(room_id, id, created_at, dedup_key, sender, session, client_id, body)"

/* The sender and the session are the same for all. */
static const char INSERT_ONE[] =
    "INSERT INTO parley_bench " COLUMNS
    " VALUES ($1::bigint, $2::bigint, date_trunc('milliseconds', clock_timestamp()),"
    " $3::text::bytea, 'bench', 'benchbenchbenchb', $4::text, $5::text)";

static const char INSERT_MANY[] =
    "INSERT INTO parley_bench " COLUMNS
    " SELECT u.room, u.id, date_trunc('milliseconds', clock_timestamp()), u.key::bytea, 'bench',"
    " 'benchbenchbenchb', u.client_id, u.body"
    " FROM unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::text[])"
    " u (room, id, key, client_id, body)";

struct options {
    const char *database;
    bool is_single;
    uint32_t connections, rows, rooms, body_bytes;
    uint32_t warmup_ms, duration_ms;
    struct meter meter;
};

static struct options options = {
    .connections = 1,
    .rows = 1000,
    .rooms = 1,
    .body_bytes = 128,
    .warmup_ms = 1000,
    .duration_ms = 5000,
};

/* A connection and its thread. Each has rooms of its own, so that nobody waits for anybody. */
struct writer {
    pthread_t thread;
    PGconn *conn;
    uint32_t number;
    uint32_t inserted; /* rows */
    struct latency latency;
    uint64_t measured; /* rows */
};

static struct writer writers[CONNECTIONS_MAX];
static atomic_bool is_ending, is_measuring;

static const char HELP[] =
    "parley-pg-load single|unnest --database URL [OPTION VALUE]…\n"
    "\n"
    "Inserts rows like the store-service's, and prints one line of JSON.\n"
    "\n"
    "  --database URL       a database that a store-service has set up\n"
    "  --connections N      unnest: how many insert at the same time (1)\n"
    "  --rows N             unnest: rows of each transaction (1000)\n"
    "  --rooms N            rooms that a connection's rows take turns in (1)\n"
    "  --body BYTES         length of a message's text (128)\n"
    "  --warmup SECONDS     not measured (1)\n"
    "  --seconds SECONDS    measured (5)\n"
    "  --watch NAME=PID     a process whose CPU time, with its children's, is told; repeatable\n";

NORETURN static void die(const char *what, const char *why)
{
    fprintf(stderr, "parley-pg-load: %s%s\n", what, why);
    exit(EXIT_FAILURE);
}

static void check(const PGresult *result, const PGconn *conn, ExecStatusType wanted)
{
    if (PQresultStatus(result) != wanted) {
        die("Postgres: ", PQerrorMessage(conn));
    }
}

static void run_script(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    check(result, conn, PGRES_COMMAND_OK);
    PQclear(result);
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static struct bytes write_key(char text[ID_BYTES + 1])
{
    random_id(text, KEY_BYTES);
    return bytes_of(text, KEY_BYTES);
}

static struct bytes write_client_id(char text[ID_BYTES + 1], uint32_t writer, uint32_t row)
{
    int len = snprintf(text, ID_BYTES + 1, "bench-%02x-%014x", writer, row);
    return bytes_of(text, (size_t)len);
}

/* Fills @params with the next row of a writer. */
static void fill_one(struct writer *writer, struct pg_params *params, struct bytes body)
{
    char text[ID_BYTES + 1];
    pg_params_init(params);
    pg_param_int8(params, writer->inserted % options.rooms);
    pg_param_int8(params, writer->inserted / options.rooms + 1);
    pg_param_text(params, write_key(text));
    pg_param_text(params, write_client_id(text, writer->number, writer->inserted));
    pg_param_text(params, body);
    writer->inserted++;
}

/* Fills @params with the next @rows of a writer. */
static void fill_many(struct writer *writer, struct pg_params *params, uint32_t rows,
                      struct bytes body)
{
    char text[ID_BYTES + 1];
    uint32_t first = writer->inserted;
    pg_params_init(params);
    pg_param_int4_array(params, rows);
    for (uint32_t i = 0; i < rows; i++) {
        pg_element_int4(params,
                        (int32_t)(writer->number * options.rooms + (first + i) % options.rooms));
    }
    pg_param_int4_array(params, rows);
    for (uint32_t i = 0; i < rows; i++) {
        pg_element_int4(params, (int32_t)((first + i) / options.rooms + 1));
    }
    pg_param_text_array(params, rows);
    for (uint32_t i = 0; i < rows; i++) {
        pg_element_text(params, write_key(text));
    }
    pg_param_text_array(params, rows);
    for (uint32_t i = 0; i < rows; i++) {
        pg_element_text(params, write_client_id(text, writer->number, first + i));
    }
    pg_param_text_array(params, rows);
    for (uint32_t i = 0; i < rows; i++) {
        pg_element_text(params, body);
    }
    writer->inserted += rows;
}

static void insert(struct writer *writer, const struct pg_params *params)
{
    const char *values[PARAMETERS];
    int lengths[PARAMETERS], formats[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++) {
        size_t end = i + 1 < PARAMETERS ? params->starts[i + 1] : params->data.len;
        values[i] = params->data.data + params->starts[i];
        lengths[i] = (int)(end - params->starts[i]);
        formats[i] = 1;
    }
    PGresult *result =
        PQexecPrepared(writer->conn, "insert", PARAMETERS, values, lengths, formats, 1);
    check(result, writer->conn, PGRES_COMMAND_OK);
    PQclear(result);
}

static void *write_rows(void *user)
{
    struct writer *writer = user;
    uint32_t rows = options.is_single ? 1 : options.rows;
    struct buf body = BUF_INIT;
    for (uint32_t i = 0; i < options.body_bytes; i++) {
        buf_append_char(&body, (char)('a' + i % 26));
    }
    while (!atomic_load(&is_ending)) {
        struct pg_params params;
        if (options.is_single) {
            fill_one(writer, &params, buf_bytes(&body));
        } else {
            fill_many(writer, &params, rows, buf_bytes(&body));
        }
        uint64_t began_us = clock_monotonic_us();
        insert(writer, &params);
        if (atomic_load(&is_measuring)) {
            latency_record(&writer->latency, clock_monotonic_us() - began_us);
            writer->measured += rows;
        }
        pg_params_release(&params);
    }
    buf_release(&body);
    return NULL;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static void open_writer(struct writer *writer, uint32_t number)
{
    writer->number = number;
    writer->conn = PQconnectdb(options.database);
    if (PQstatus(writer->conn) != CONNECTION_OK) {
        die("Postgres: ", PQerrorMessage(writer->conn));
    }
    run_script(writer->conn, "SET client_min_messages = warning; SET synchronous_commit = on");
    if (number == 0) {
        run_script(writer->conn, TABLE);
    }
    const char *insert_sql = options.is_single ? INSERT_ONE : INSERT_MANY;
    PGresult *result = PQprepare(writer->conn, "insert", insert_sql, 0, NULL);
    check(result, writer->conn, PGRES_COMMAND_OK);
    PQclear(result);
}

static void sleep_ms(uint32_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

static void read_meter(struct meter_reading *ret_reading)
{
    struct buf error = BUF_INIT;
    if (!meter_read(&options.meter, ret_reading, &error)) {
        die(bytes_to_string(buf_bytes(&error)), "");
    }
}

static void write_result(const struct meter_reading *begin, const struct meter_reading *end)
{
    static struct latency latency; /* of all writers */
    double rows = 0;
    for (uint32_t i = 0; i < options.connections; i++) {
        latency_add(&latency, &writers[i].latency);
        rows += (double)writers[i].measured;
    }
    struct buf out = BUF_INIT;
    buf_append_format(&out, "{\"mode\":\"%s\",\"connections\":%u,\"rows\":%u,\"rooms\":%u,",
                      options.is_single ? "single" : "unnest", options.connections,
                      options.is_single ? 1 : options.rows, options.rooms);
    meter_write(&options.meter, begin, end, &out);
    buf_append_format(&out, ",\"messages\":%.0f,\"messages_per_s\":%.1f,", rows,
                      rows / meter_wall_s(begin, end));
    latency_write(&out, "insert", &latency);
    printf("%.*s}\n", BYTES_FMT(buf_bytes(&out)));
    buf_release(&out);
}

static bool parse(const char *option, char *value, struct buf *error)
{
    const struct number_option numbers[] = {
        {"--connections", &options.connections, 1, CONNECTIONS_MAX},
        {"--rows", &options.rows, 1, 10000},
        {"--rooms", &options.rooms, 1, 100000},
        {"--body", &options.body_bytes, 1, 16384},
        {NULL, NULL, 0, 0},
    };
    enum args_result result = args_number(numbers, option, value, error);
    if (result == ARGS_UNKNOWN) {
        result = args_meter(option, value, &options.meter, error);
    }
    if (result != ARGS_UNKNOWN) {
        return result == ARGS_TAKEN;
    }
    if (strcmp(option, "--warmup") == 0) {
        return args_seconds(option, value, &options.warmup_ms, error);
    }
    if (strcmp(option, "--seconds") == 0) {
        return args_seconds(option, value, &options.duration_ms, error);
    }
    if (strcmp(option, "--database") == 0) {
        options.database = value;
        return true;
    }
    buf_append_format(error, "There is no option %s: parley-pg-load --help lists them.", option);
    return false;
}

static void parse_all(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : EXIT_SUCCESS);
    }
    options.is_single = strcmp(argv[1], "single") == 0;
    if (!options.is_single && strcmp(argv[1], "unnest") != 0) {
        die("the mode must be single or unnest, but is ", argv[1]);
    }
    struct buf error = BUF_INIT;
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            die("this option lacks its value: ", argv[i]);
        }
        if (!parse(argv[i], argv[i + 1], &error)) {
            die(bytes_to_string(buf_bytes(&error)), "");
        }
    }
    if (options.database == NULL) {
        die("--database must say where Postgres is.", "");
    }
    if (options.is_single) {
        options.connections = 1;
    }
}

int main(int argc, char **argv)
{
    struct meter_reading begin, end;
    parse_all(argc, argv);
    for (uint32_t i = 0; i < options.connections; i++) {
        open_writer(&writers[i], i);
    }
    for (uint32_t i = 0; i < options.connections; i++) {
        int status = pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]);
        ASSERT(status == 0);
    }
    sleep_ms(options.warmup_ms);
    read_meter(&begin);
    atomic_store(&is_measuring, true);
    sleep_ms(options.duration_ms);
    atomic_store(&is_measuring, false);
    read_meter(&end);
    atomic_store(&is_ending, true);
    for (uint32_t i = 0; i < options.connections; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    run_script(writers[0].conn, "DROP TABLE parley_bench");
    for (uint32_t i = 0; i < options.connections; i++) {
        PQfinish(writers[i].conn);
    }
    write_result(&begin, &end);
    return EXIT_SUCCESS;
}
