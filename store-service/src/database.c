#include "database.h"

#include "base/log.h"
#include "limits.h"
#include "migrations.h"

#include <stdio.h>

/* Chosen at random, and the same in every version: replicas of two versions must not migrate at the same time. */
#define MIGRATION_LOCK "7885086013902701924"

/* One connection's preparation; @note is for people. */
struct preparation {
    struct pg *pg;
    struct buf *note;
    bool has_migrated; /* in this transaction, which may take its time then */
};

static bool run(struct preparation *p, const char *sql, uint64_t deadline_ms)
{
    return pg_run_script(p->pg, sql, deadline_ms, p->note) == STORE_COMMITTED;
}

/* Runs a query whose only field is a number. */
static bool query_number(struct preparation *p, const char *sql, int64_t *ret_number)
{
    PGresult *result;
    if (pg_run(p->pg, sql, NULL, STATEMENT_DEADLINE_MS, &result, p->note) != STORE_COMMITTED) {
        return false;
    }
    *ret_number = pg_int8(result, 0, 0);
    PQclear(result);
    return true;
}

/* The N of a first line  "-- oldest program: N" , or 1. */
static int oldest_program_of(const struct migration *migration)
{
    struct bytes head = BYTES("-- oldest program: ");
    struct bytes sql = bytes_of_string(migration->sql);
    if (!bytes_start_with(sql, head)) {
        return 1;
    }
    sql = bytes_skip(sql, head.len);
    uint64_t number;
    bool is_number = bytes_to_u64(bytes_of(sql.data, strcspn(sql.data, "\n")), &number);
    ASSERT(is_number && number < 10000); /* as the four digits of a file name */
    return (int)number;
}

static bool apply(struct preparation *p, const struct migration *migration)
{
    struct buf error = BUF_INIT;
    struct buf record = BUF_INIT;
    buf_append_format(&record,
                      "INSERT INTO schema_migrations (number, name, oldest_program)"
                      " VALUES (%d, '%s', %d)%c",
                      migration->number, migration->name, oldest_program_of(migration), '\0');
    struct preparation inner = {.pg = p->pg, .note = &error};
    bool is_applied = run(&inner, migration->sql, MIGRATION_DEADLINE_MS) &&
                      run(&inner, record.data, STATEMENT_DEADLINE_MS);
    if (is_applied) {
        p->has_migrated = true;
        LOG(LOG_INFO, "migration_applied", F_STR("migration", migration->name));
    } else {
        buf_append_format(p->note, "migration %s failed: %.*s", migration->name,
                          BYTES_FMT(buf_bytes(&error)));
    }
    buf_release(&error);
    buf_release(&record);
    return is_applied;
}

/*
 * Reads the catalogue's rows: to_regclass() may answer from a cache of before the migrations lock was waited for, and so
 * miss the table that another lane has just made.
 */
static bool has_migrations_table(struct preparation *p, int64_t *ret_has)
{
    return query_number(p,
                        "SELECT count(*) FROM pg_catalog.pg_tables WHERE tablename ="
                        " 'schema_migrations' AND schemaname = ANY (current_schemas(false))",
                        ret_has);
}

/*
 * Whether there is nothing to prepare, as almost always: no migration, no new epoch. Takes no lock, so that connections
 * come back side by side, and whoever is stopped in the midst of preparing holds up those only who have to prepare too.
 */
static bool is_prepared(struct preparation *p)
{
    struct buf note = BUF_INIT; /* what is wrong here is found again, and told, with the lock */
    struct buf sql = BUF_INIT;
    struct preparation look = {.pg = p->pg, .note = &note};
    buf_append_format(&sql,
                      "SELECT (max(number) >= %zu AND max(oldest_program) <= %zu AND"
                      " (SELECT identity FROM epochs ORDER BY epoch DESC LIMIT 1) ="
                      " parley_database_identity())::int::bigint FROM schema_migrations%c",
                      migrations_count, migrations_count, '\0');
    int64_t has_table = 0, is_current = 0;
    bool is_known = has_migrations_table(&look, &has_table) && has_table &&
                    query_number(&look, sql.data, &is_current);
    buf_release(&sql);
    buf_release(&note);
    return is_known && is_current;
}

static enum database_result migrate(struct preparation *p)
{
    int64_t has_table;
    if (!has_migrations_table(p, &has_table)) {
        return DATABASE_LATER;
    }
    if (!has_table && !run(p,
                           "CREATE TABLE schema_migrations (number int PRIMARY KEY,"
                           " name text NOT NULL, oldest_program int NOT NULL,"
                           " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())",
                           STATEMENT_DEADLINE_MS)) {
        return DATABASE_LATER;
    }
    int64_t newest;
    int64_t oldest_program;
    if (!query_number(p, "SELECT coalesce(max(number), 0)::bigint FROM schema_migrations",
                      &newest) ||
        !query_number(p, "SELECT coalesce(max(oldest_program), 0)::bigint FROM schema_migrations",
                      &oldest_program)) {
        return DATABASE_LATER;
    }
    if (oldest_program > (int64_t)migrations_count) {
        buf_append_format(p->note,
                          "The database of DATABASE_URL was changed by a newer parley-store, in a "
                          "way that this one cannot work with (it knows %zu migrations, %lld are "
                          "needed): run the newer one.",
                          migrations_count, (long long)oldest_program);
        return DATABASE_WRONG;
    }
    for (size_t i = 0; i < migrations_count; i++) {
        if (migrations[i].number > newest && !apply(p, &migrations[i])) {
            return DATABASE_LATER;
        }
    }
    return DATABASE_READY;
}

static enum database_result check_encoding(struct preparation *p)
{
    const char *encoding = PQparameterStatus(p->pg->conn, "server_encoding");
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        buf_append_format(p->note,
                          "The database of DATABASE_URL has the encoding %s; make one with "
                          "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
                          encoding == NULL ? "(none)" : encoding);
        return DATABASE_WRONG;
    }
    return DATABASE_READY;
}

/* So that Postgres gives up as well, and does not go on with the locks of all rooms when nobody listens any more. */
static bool limit_epoch(struct preparation *p)
{
    char sql[64];
    snprintf(sql, sizeof(sql), "SET LOCAL statement_timeout = %d", EPOCH_TIMEOUT_MS);
    return run(p, sql, STATEMENT_DEADLINE_MS);
}

static bool ensure_epoch(struct preparation *p, bool starts_epoch, struct buf *ret_reason)
{
    if (!p->has_migrated && !limit_epoch(p)) {
        return false;
    }
    struct pg_params params;
    pg_params_init(&params);
    pg_param_bool(&params, starts_epoch);
    PGresult *result;
    bool is_done = pg_run(p->pg, "SELECT parley_ensure_epoch($1)", &params,
                          p->has_migrated ? MIGRATION_DEADLINE_MS : EPOCH_DEADLINE_MS, &result,
                          p->note) == STORE_COMMITTED;
    pg_params_release(&params);
    if (is_done) {
        buf_append_bytes(ret_reason, pg_text(result, 0, 0)); /* empty for NULL */
        PQclear(result);
    }
    return is_done;
}

static bool commit(struct preparation *p)
{
    return run(p, "COMMIT", p->has_migrated ? MIGRATION_DEADLINE_MS : STATEMENT_DEADLINE_MS);
}

enum database_result database_prepare(struct pg *pg, bool starts_epoch, struct buf *ret_note)
{
    struct preparation p = {.pg = pg, .note = ret_note};
    enum database_result what = check_encoding(&p);
    if (what != DATABASE_READY || (!starts_epoch && is_prepared(&p))) {
        return what;
    }
    /*
     * Others may be at work on a large table: that is waited for. A store-service that is frozen here, or cut off, must not
     * keep the lock from everybody else.
     */
    if (!run(&p,
             "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
             " SET LOCAL idle_in_transaction_session_timeout = '5s'",
             STATEMENT_DEADLINE_MS) ||
        !run(&p, "SELECT pg_advisory_xact_lock(" MIGRATION_LOCK ")", MIGRATION_DEADLINE_MS)) {
        return DATABASE_LATER;
    }
    struct buf reason = BUF_INIT;
    what = migrate(&p);
    if (what == DATABASE_READY && (!ensure_epoch(&p, starts_epoch, &reason) || !commit(&p))) {
        what = DATABASE_LATER;
    }
    if (what == DATABASE_READY && reason.len > 0) {
        LOG(LOG_INFO, "epoch_started", F_BYTES("reason", buf_bytes(&reason)));
        buf_append_format(ret_note, "A new epoch began: %.*s.", BYTES_FMT(buf_bytes(&reason)));
    }
    buf_release(&reason);
    return what;
}

enum database_result database_look_for_stuck_commits(struct pg *pg, struct buf *ret_note)
{
    struct preparation p = {.pg = pg, .note = ret_note};
    struct buf sql = BUF_INIT;
    buf_append_format(&sql,
                      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                      " AND usename = current_user"
                      " AND application_name = current_setting('application_name')"
                      " AND xact_start < clock_timestamp() - interval '%d ms'%c",
                      STATEMENT_TIMEOUT_MS, '\0');
    int64_t count = 0;
    bool is_known = query_number(&p, sql.data, &count);
    buf_release(&sql);
    if (is_known && count > 0) {
        buf_append_format(ret_note, "%lld commit%s for the synchronous standby", (long long)count,
                          count == 1 ? " waits" : "s wait");
    }
    return is_known && count == 0 ? DATABASE_READY : DATABASE_LATER;
}
