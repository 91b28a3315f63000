#include "expiry.h"

#include "limits.h"

/*
 * The lock lasts as long as the connection: one replica goes round, and when it is gone, another one. The number
 * was chosen at random, and is the same in every version.
 */
static const char LOCK_SQL[] = "SELECT pg_try_advisory_lock(5108337200413925041)";

static const char EXPIRE_SQL[] = "SELECT r_deleted, r_behind FROM parley_expire($1, now() - $2 * "
                                 "interval '1 day', $3::int, $4::int)";

/* Runs a statement that gives one row. */
static bool ask(struct pg *pg, const char *sql, const struct pg_params *params, PGresult **ret_row,
                struct buf *ret_error)
{
    return pg_run(pg, sql, params, STATEMENT_DEADLINE_MS, ret_row, ret_error) == STORE_COMMITTED;
}

/* One step of the round. Returns how long to wait for the next one. */
static uint64_t step(struct expiry *expiry, struct pg *pg, struct buf *ret_error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_int8(&params, expiry->behind);
    pg_param_int8(&params, (int64_t)expiry->keep_days);
    pg_param_int8(&params, EXPIRY_ROOMS_MAX);
    pg_param_int8(&params, EXPIRY_MESSAGES_MAX);
    PGresult *row;
    bool is_done = ask(pg, EXPIRE_SQL, &params, &row, ret_error);
    pg_params_release(&params);
    if (!is_done) {
        return WORKER_FAILED;
    }
    stat_add(&expiry->stats->messages_expired, (uint64_t)pg_int8(row, 0, 0));
    bool is_over = PQgetisnull(row, 0, 1);
    expiry->behind = is_over ? 0 : pg_int8(row, 0, 1);
    PQclear(row);
    return is_over ? EXPIRY_ROUND_MS : EXPIRY_STEP_MS;
}

static uint64_t expire(void *user, struct pg *pg, struct buf *ret_error)
{
    PGresult *row;
    if (!ask(pg, LOCK_SQL, NULL, &row, ret_error)) {
        return WORKER_FAILED;
    }
    bool is_ours = pg_bool(row, 0, 0);
    PQclear(row);
    return is_ours ? step(user, pg, ret_error) : EXPIRY_ROUND_MS;
}

struct worker *expiry_new(struct expiry *expiry, const struct pg_target *target)
{
    return worker_new(&(struct worker_setup){
        .name = "expiry",
        .application_name = "parley-store-expiry",
        .settings_sql = "SET lock_timeout = '1s'",
        .target = target,
        .stats = expiry->stats,
        .work = expire,
        .user = expiry,
    });
}
