#include "pg.h"

#include "base/clock.h"
#include "limits.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* Targets. */

struct pg_target {
    PQconninfoOption *options; /* what the user's string says */
    const char **keywords, **values;
    bool is_read_write; /* target_session_attrs */
};

static char connect_timeout_text[16], tcp_user_timeout_text[16];

/* Used where neither the user's string nor libpq's own environment variables say something. */
static const struct {
    const char *keyword, *value;
} target_defaults[] = {
    {"connect_timeout", connect_timeout_text},
    {"tcp_user_timeout", tcp_user_timeout_text},
    {"keepalives_idle", "5"},
    {"keepalives_interval", "2"},
    {"keepalives_count", "3"},
    /* Of several hosts, or after a failover, a standby or a fenced primary is not what we look for. */
    {"target_session_attrs", "read-write"},
    {"application_name", "parley-store"},
};

struct pg_target *pg_target_new(const char *database_url, struct buf *ret_error)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(database_url, &message);
    /* libpq's message may quote the string, password and all: it is not for showing. */
    PQfreemem(message);
    if (options == NULL) {
        buf_append_bytes(
            ret_error,
            BYTES("DATABASE_URL is no connection string that libpq understands; write it as "
                  "postgresql://user:password@host:5432/database."));
        return NULL;
    }
    snprintf(connect_timeout_text, sizeof(connect_timeout_text), "%d", CONNECT_TIMEOUT_S);
    snprintf(tcp_user_timeout_text, sizeof(tcp_user_timeout_text), "%d", TCP_USER_TIMEOUT_MS);
    size_t count = 0;
    while (options[count].keyword != NULL) {
        count++;
    }
    struct pg_target *target = mem_alloc_zeroed(sizeof(*target));
    target->options = options;
    target->keywords = mem_alloc_zeroed((count + 2) * sizeof(char *));
    target->values = mem_alloc_zeroed((count + 2) * sizeof(char *));
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const char *value = options[i].val;
        const char *environment = options[i].envvar != NULL ? getenv(options[i].envvar) : NULL;
        bool in_environment = environment != NULL;
        for (size_t d = 0; d < COUNT_OF(target_defaults) && value == NULL && !in_environment; d++) {
            if (strcmp(options[i].keyword, target_defaults[d].keyword) == 0) {
                value = target_defaults[d].value;
            }
        }
        if (value != NULL && strcmp(options[i].keyword, "client_encoding") != 0) {
            target->keywords[used] = options[i].keyword;
            target->values[used++] = value;
        }
        if (strcmp(options[i].keyword, "target_session_attrs") == 0) {
            target->is_read_write =
                strcmp(in_environment && value == NULL ? environment : value, "read-write") == 0;
        }
    }
    target->keywords[used] = "client_encoding";
    target->values[used] = "UTF8"; /* what the contract speaks */
    return target;
}

void pg_target_free(struct pg_target *target)
{
    if (target == NULL) {
        return;
    }
    PQconninfoFree(target->options);
    free(target->keywords);
    free(target->values);
    free(target);
}

/* Connections. */

void pg_init(struct pg *pg, const struct pg_target *target)
{
    *pg = (struct pg){.target = target};
}

void pg_release(struct pg *pg)
{
    pg_disconnect(pg);
}

void pg_disconnect(struct pg *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->prepared_count = 0;
}

bool pg_is_alive(struct pg *pg)
{
    return pg->conn != NULL && PQconsumeInput(pg->conn) == 1 && PQstatus(pg->conn) == CONNECTION_OK;
}

/* Appends the first line of what libpq says. */
static void append_message(struct buf *out, const char *message)
{
    buf_append(out, message, strcspn(message, "\n"));
}

/*
 * Of notices, one matters: somebody cancelled a commit's wait for its synchronous standby. Postgres calls that a success,
 * with a warning; known by the function that gives it, since sentences are translated.
 */
static void on_notice(void *user, const PGresult *result)
{
    struct pg *pg = user;
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    pg->is_unreplicated |= function != NULL && strcmp(function, "SyncRepWaitForLSN") == 0;
}

/*
 * Whether a connection was refused for a reason that waiting does not change: class 28 (who we are) or 3D000 (no such
 * database). libpq keeps no SQLSTATE of a failed connection, so the words of the server's message must do, and only in
 * English: in other languages, we just keep trying.
 */
static bool is_wrong(const char *message)
{
    static const char *const words[] = {
        "authentication failed",
        "no password supplied",
        "no pg_hba.conf entry",
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strstr(message, words[i]) != NULL) {
            return true;
        }
    }
    if (strncmp(message, "invalid ", strlen("invalid ")) == 0) {
        return true; /* libpq itself: the value of an option, before any connection */
    }
    const char *fatal = strstr(message, "FATAL:");
    return fatal != NULL && strstr(fatal, "does not exist") != NULL &&
           (strstr(fatal, "database \"") != NULL || strstr(fatal, "role \"") != NULL);
}

/*
 * What holds for all our statements. A weaker synchronous_commit than "on" would break the promise that an
 * acknowledgement means committed; stronger ones are the database owner's choice, as is
 * statement_timeout.
 */
static enum store_result set_up_session(struct pg *pg, struct buf *ret_error)
{
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES"
             " ('synchronous_commit', 'on', 'off'), ('synchronous_commit', 'on', 'local'),"
             " ('statement_timeout', '%d', '0'))"
             " v (name, value, unless) ON v.name = s.name AND v.unless = s.setting;"
             " SET default_transaction_isolation = 'read committed';"
             " SET lock_timeout = %d",
             STATEMENT_TIMEOUT_MS, LOCK_TIMEOUT_MS);
    return pg_run_script(pg, sql, STATEMENT_DEADLINE_MS, ret_error);
}

enum pg_connect_result pg_connect(struct pg *pg, struct buf *ret_error)
{
    pg_disconnect(pg);
    pg->conn = PQconnectdbParams(pg->target->keywords, pg->target->values, 0);
    ASSERT(pg->conn != NULL); /* else out of memory */
    if (PQstatus(pg->conn) != CONNECTION_OK) {
        const char *message = PQerrorMessage(pg->conn);
        append_message(ret_error, message);
        enum pg_connect_result result = is_wrong(message) ? PG_WRONG : PG_UNREACHABLE;
        pg_disconnect(pg);
        return result;
    }
    PQsetnonblocking(pg->conn, 1);
    PQsetNoticeReceiver(pg->conn, on_notice, pg);
    if (set_up_session(pg, ret_error) != STORE_COMMITTED) {
        pg_disconnect(pg);
        return PG_UNREACHABLE;
    }
    return PG_CONNECTED;
}

/* Statements. */

/* Waits until the socket can be read or, where @wants_write, written. Returns false at the deadline. */
static bool wait_for_socket(PGconn *conn, bool wants_write, uint64_t until_ms)
{
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        if (now_ms >= until_ms) {
            return false;
        }
        struct pollfd fd = {
            .fd = PQsocket(conn),
            .events = (short)(wants_write ? POLLIN | POLLOUT : POLLIN),
        };
        int ready = poll(&fd, 1, (int)MIN_OF(until_ms - now_ms, (uint64_t)60000));
        if (ready > 0 || (ready < 0 && errno != EINTR)) {
            return true; /* libpq finds out what is wrong */
        }
    }
}

/* Sends what is buffered and reads until a result can be had without waiting. False: no answer, and none will come. */
static bool wait_for_result(PGconn *conn, uint64_t until_ms)
{
    int unsent = PQflush(conn);
    while (unsent > 0) {
        if (!wait_for_socket(conn, true, until_ms) || !PQconsumeInput(conn)) {
            return false;
        }
        unsent = PQflush(conn);
    }
    while (unsent == 0 && PQisBusy(conn)) {
        if (!wait_for_socket(conn, false, until_ms) || !PQconsumeInput(conn)) {
            return false;
        }
    }
    return unsent == 0;
}

/* Reads all results of what was sent. Returns the last good one or the first error; NULL when the answer was lost. */
static PGresult *collect(PGconn *conn, uint64_t until_ms)
{
    PGresult *kept = NULL;
    for (;;) {
        if (!wait_for_result(conn, until_ms)) {
            PQclear(kept);
            return NULL;
        }
        PGresult *result = PQgetResult(conn);
        if (result == NULL) {
            return kept;
        }
        bool had_error = kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR;
        if (had_error) {
            PQclear(result);
        } else {
            PQclear(kept);
            kept = result;
        }
    }
}

/* Why the good result of a statement must not be believed; NULL when it may. */
static const char *reason_for_doubt(const struct pg *pg)
{
    const char *is_read_only = PQparameterStatus(pg->conn, "default_transaction_read_only");
    if (pg->is_unreplicated) {
        return "the commit's wait for the synchronous standby was cancelled";
    }
    if (pg->target->is_read_write && is_read_only != NULL && strcmp(is_read_only, "on") == 0) {
        return "the server has become read-only";
    }
    return NULL;
}

/* Ends a statement that was sent, or not, as @was_sent tells. */
static enum store_result finish(struct pg *pg, bool was_sent, uint64_t deadline_ms,
                                PGresult **ret_result, struct buf *ret_error)
{
    uint64_t until_ms = clock_monotonic_ms() + deadline_ms;
    pg->is_unreplicated = false;
    PGresult *result = was_sent ? collect(pg->conn, until_ms) : NULL;
    ExecStatusType status = PQresultStatus(result); /* PGRES_FATAL_ERROR for NULL */
    bool is_good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    const char *doubt = is_good ? reason_for_doubt(pg) : NULL;
    if (is_good && doubt == NULL) {
        *ret_result = result;
        return STORE_COMMITTED;
    }
    enum store_result what = STORE_UNKNOWN;
    if (doubt != NULL) {
        buf_append_bytes(ret_error, bytes_of_string(doubt));
        pg_disconnect(pg);
    } else if (result != NULL && PQstatus(pg->conn) == CONNECTION_OK) {
        const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        /* Only the primary message: the detail of a violated constraint quotes the row. */
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        append_message(ret_error, message != NULL ? message : "Postgres gave no reason");
        what = pg_classify(sqlstate);
        if (pg_ends_connection(sqlstate)) {
            pg_disconnect(pg);
        }
    } else {
        const char *message = PQerrorMessage(pg->conn);
        append_message(ret_error, *message != '\0' ? message : "Postgres did not answer in time");
        pg_disconnect(pg);
    }
    PQclear(result);
    return what;
}

/* What libpq is to be given of a statement's parameters. */
struct arguments {
    int count;
    const unsigned *types;
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
};

static struct arguments arguments_of(const struct pg_params *params)
{
    struct arguments arguments = {0};
    arguments.count = params == NULL ? 0 : params->count;
    arguments.types = params == NULL ? NULL : params->types;
    for (int i = 0; i < arguments.count; i++) {
        size_t end = i + 1 < arguments.count ? params->starts[i + 1] : params->data.len;
        arguments.values[i] =
            params->data.data == NULL ? "" : params->data.data + params->starts[i];
        arguments.lengths[i] = (int)(end - params->starts[i]);
        arguments.formats[i] = 1;
    }
    return arguments;
}

enum store_result pg_run(struct pg *pg, const char *sql, const struct pg_params *params,
                         uint64_t deadline_ms, PGresult **ret_result, struct buf *ret_error)
{
    struct arguments with = arguments_of(params);
    bool was_sent = PQsendQueryParams(pg->conn, sql, with.count, with.types, with.values,
                                      with.lengths, with.formats, 1) == 1;
    return finish(pg, was_sent, deadline_ms, ret_result, ret_error);
}

enum store_result pg_run_prepared(struct pg *pg, const char *name, const char *sql,
                                  const struct pg_params *params, uint64_t deadline_ms,
                                  PGresult **ret_result, struct buf *ret_error)
{
    struct arguments with = arguments_of(params);
    int n = 0;
    while (n < pg->prepared_count && pg->prepared[n] != name) {
        n++;
    }
    if (n == pg->prepared_count) {
        ASSERT(n < PG_PREPARED_MAX);
        bool was_sent = PQsendPrepare(pg->conn, name, sql, with.count, with.types) == 1;
        enum store_result what = finish(pg, was_sent, deadline_ms, ret_result, ret_error);
        if (what != STORE_COMMITTED) {
            return what;
        }
        PQclear(*ret_result);
        pg->prepared[pg->prepared_count++] = name;
    }
    bool was_sent = PQsendQueryPrepared(pg->conn, name, with.count, with.values, with.lengths,
                                        with.formats, 1) == 1;
    return finish(pg, was_sent, deadline_ms, ret_result, ret_error);
}

enum store_result pg_run_script(struct pg *pg, const char *sql, uint64_t deadline_ms,
                                struct buf *ret_error)
{
    PGresult *result = NULL;
    bool was_sent = PQsendQuery(pg->conn, sql) == 1;
    enum store_result what = finish(pg, was_sent, deadline_ms, &result, ret_error);
    if (what == STORE_COMMITTED) {
        PQclear(result);
    }
    return what;
}
