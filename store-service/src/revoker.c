#include "revoker.h"

#include "limits.h"
#include "proto/contract_control.h"

#include <stdlib.h>

/* The lock lasts as long as the connection. The number was chosen at random, and is the same in every version. */
static const char LOCK_SQL[] = "SELECT pg_try_advisory_lock(7301945526081347719)";

static const char FORGET_SQL[] = "DELETE FROM revocations WHERE until <= now()";

static const char READ_SQL[] =
    "SELECT kind = 'user', name, ceil(extract(epoch FROM before) * 1000)::bigint,"
    " ceil(extract(epoch FROM until) * 1000)::bigint FROM revocations";

enum { IS_USER, NAME, BEFORE, UNTIL };

static void tell_some(const struct revoker_settings *settings, const PGresult *result, int from,
                      int to)
{
    struct contract_revocation revocations[CONTRACT_REVOCATIONS_MAX];
    for (int row = from; row < to; row++) {
        struct contract_revocation *one = &revocations[row - from];
        *one = (struct contract_revocation){
            .before_ms = (uint64_t)pg_int8(result, row, BEFORE),
            .until_ms = (uint64_t)pg_int8(result, row, UNTIL),
        };
        *(pg_bool(result, row, IS_USER) ? &one->user : &one->token_id) = pg_text(result, row, NAME);
    }
    struct buf payload = BUF_INIT;
    contract_encode_control(&payload, &(struct contract_control){
                                          .type = CONTRACT_REVOKE,
                                          .revocation_count = (size_t)(to - from),
                                          .revocations = revocations,
                                      });
    if (bus_tell_gateways(settings->bus, buf_bytes(&payload), 0, NULL, NULL)) {
        stat_add(&settings->stats->revocations_told, (uint64_t)(to - from));
    }
    buf_release(&payload);
}

/* Returns how many there are, or -1. */
static int tell_all(const struct revoker_settings *settings, struct pg *pg, struct buf *ret_error)
{
    PGresult *result;
    if (!worker_run(pg, FORGET_SQL, ret_error) ||
        pg_run(pg, READ_SQL, NULL, STATEMENT_DEADLINE_MS, &result, ret_error) != STORE_COMMITTED) {
        return -1;
    }
    int rows = PQntuples(result);
    for (int from = 0; from < rows; from += CONTRACT_REVOCATIONS_MAX) {
        tell_some(settings, result, from, MIN_OF(rows, from + CONTRACT_REVOCATIONS_MAX));
    }
    PQclear(result);
    return rows;
}

static uint64_t revoke(void *user, struct pg *pg, struct buf *ret_error)
{
    PGresult *row;
    if (pg_run(pg, LOCK_SQL, NULL, STATEMENT_DEADLINE_MS, &row, ret_error) != STORE_COMMITTED) {
        return WORKER_FAILED;
    }
    bool is_ours = pg_bool(row, 0, 0);
    PQclear(row);
    int count = is_ours ? tell_all(user, pg, ret_error) : 0;
    if (count < 0) {
        return WORKER_FAILED;
    }
    return MAX_OF(REVOCATIONS_MS, (uint64_t)count / REVOCATIONS_PER_MS);
}

struct worker *revoker_new(struct revoker_settings *settings, const struct pg_target *target)
{
    return worker_new(&(struct worker_setup){
        .name = "revoker",
        .application_name = "parley-store-revoker",
        .settings_sql = "SET lock_timeout = '1s'",
        .target = target,
        .stats = settings->stats,
        .work = revoke,
        .user = settings,
    });
}
