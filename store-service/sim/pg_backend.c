#include "pg_backend.h"

#include "limits.h"

#include <stdlib.h>

enum { IDLE_IN_BLOCK_MS = 5000 }; /* as src/database.c asks for with BEGIN */

void pg_statement_release(struct pg_statement *statement)
{
    free(statement->rooms);
    free(statement->room_of);
    free(statement->messages);
    free(statement->block);
    *statement = (struct pg_statement){0};
}

void pg_answer_release(struct pg_answer *answer)
{
    free(answer->values);
    *answer = (struct pg_answer){0};
}

struct pg_value *pg_answer_row(struct pg_backend *backend, size_t columns)
{
    struct pg_answer *answer = &backend->answer;
    ASSERT(answer->rows == 0 || answer->columns == columns);
    answer->columns = columns;
    answer->values =
        mem_resize(answer->values, (answer->rows + 1) * columns * sizeof(answer->values[0]));
    struct pg_value *row = &answer->values[answer->rows++ * columns];
    memset(row, 0, columns * sizeof(*row));
    return row;
}

/* --- transactions --- */

uint32_t pg_backend_xid(struct pg_backend *backend)
{
    if (backend->xid == 0) {
        backend->xid = pg_begin(backend->db, backend->began_at_ms);
    }
    return backend->xid;
}

static void set_timeouts(struct pg_backend *backend, bool is_in_block)
{
    backend->is_in_block = is_in_block;
    backend->lock_timeout_ms = is_in_block ? 0 : LOCK_TIMEOUT_MS;
    backend->statement_timeout_ms = is_in_block ? 0 : STATEMENT_TIMEOUT_MS;
    backend->idle_timeout_ms = is_in_block ? IDLE_IN_BLOCK_MS : 0;
}

static void end_transaction(struct pg_backend *backend)
{
    backend->xid = 0;
    backend->has_failed = false;
    set_timeouts(backend, false);
}

static void undo(struct pg_backend *backend)
{
    if (backend->xid != 0) {
        pg_abort(backend->db, backend->xid);
        backend->xid = 0;
    }
}

static void release_statement(struct pg_backend *backend)
{
    pg_append_release(backend);
    pg_statement_release(&backend->statement);
    backend->waits_for = 0;
}

void pg_backend_init(struct pg_backend *backend, struct pg_database *db, bool waits_for_standby)
{
    *backend = (struct pg_backend){.db = db, .waits_for_standby = waits_for_standby};
    set_timeouts(backend, false);
}

void pg_backend_release(struct pg_backend *backend)
{
    if (backend->state == PG_BACKEND_SHOWS && !pg_has_ended(backend->db, backend->xid)) {
        pg_commit(backend->db, backend->xid);
    } else if (backend->xid != 0 && !pg_has_ended(backend->db, backend->xid)) {
        undo(backend);
    }
    release_statement(backend);
    pg_answer_release(&backend->answer);
}

/* --- statements --- */

void pg_backend_start(struct pg_backend *backend, struct pg_statement *statement, uint64_t now_ms)
{
    ASSERT(backend->state == PG_BACKEND_IDLE);
    backend->statement = *statement;
    *statement = (struct pg_statement){0};
    backend->state = PG_BACKEND_RUNS;
    backend->began_at_ms = now_ms;
    backend->step = 0;
    backend->at = 0;
    pg_answer_release(&backend->answer);
}

static uint64_t timeout_at(uint64_t since_ms, uint64_t timeout_ms)
{
    return timeout_ms == 0 ? UINT64_MAX : since_ms + timeout_ms;
}

uint64_t pg_backend_due_ms(const struct pg_backend *backend)
{
    if (backend->state == PG_BACKEND_IDLE) {
        return timeout_at(backend->began_at_ms, backend->idle_timeout_ms);
    }
    if (backend->state == PG_BACKEND_RUNS && backend->waits_for != 0) {
        return MIN_OF(timeout_at(backend->waits_since_ms, backend->lock_timeout_ms),
                      timeout_at(backend->began_at_ms, backend->statement_timeout_ms));
    }
    return UINT64_MAX;
}

bool pg_backend_can_step(const struct pg_backend *backend, uint64_t now_ms)
{
    switch (backend->state) {
    case PG_BACKEND_IDLE: return false;
    case PG_BACKEND_RUNS:
        return backend->waits_for == 0 || pg_has_ended(backend->db, backend->waits_for) ||
               now_ms >= pg_backend_due_ms(backend);
    case PG_BACKEND_SHOWS:
        return !backend->waits_for_standby || pg_is_replicated(backend->db, backend->xid);
    case PG_BACKEND_FLUSHES:
    case PG_BACKEND_ANSWERS: break;
    }
    return true;
}

/* The statement failed: its transaction is undone, and the rest of its block is of no use. */
static void fail(struct pg_backend *backend)
{
    undo(backend);
    backend->has_failed = backend->is_in_block;
    free(backend->answer.values);
    backend->answer = (struct pg_answer){.sqlstate = backend->answer.sqlstate};
    backend->state = PG_BACKEND_ANSWERS;
}

static enum pg_step step_statement(struct pg_backend *backend)
{
    bool ends_block =
        backend->statement.type == PG_COMMIT || backend->statement.type == PG_ROLLBACK;
    if (backend->has_failed && !ends_block) {
        backend->answer.sqlstate = "25P02"; /* in_failed_sql_transaction */
        return PG_STEP_HAS_FAILED;
    }
    switch (backend->statement.type) {
    case PG_APPEND: return pg_append_step(backend);
    case PG_ENSURE_EPOCH: return pg_ensure_epoch_step(backend);
    case PG_BEGIN: set_timeouts(backend, true); return PG_STEP_IS_DONE;
    case PG_COMMIT: backend->is_in_block = false; return PG_STEP_IS_DONE;
    case PG_ROLLBACK:
        undo(backend);
        backend->is_in_block = false;
        return PG_STEP_IS_DONE;
    default: return pg_other_step(backend);
    }
}

static void run(struct pg_backend *backend, uint64_t now_ms)
{
    bool was_waiting = backend->waits_for != 0;
    bool has_lock = was_waiting && pg_has_ended(backend->db, backend->waits_for);
    if (now_ms >= timeout_at(backend->began_at_ms, backend->statement_timeout_ms)) {
        backend->answer.sqlstate = "57014"; /* query_canceled */
        fail(backend);
        return;
    }
    if (was_waiting && !has_lock) {
        backend->answer.sqlstate = "55P03"; /* lock_not_available */
        fail(backend);
        return;
    }
    backend->waits_for = 0;
    backend->now_ms = now_ms;
    switch (step_statement(backend)) {
    case PG_STEP_GOES_ON: break;
    case PG_STEP_WAITS: backend->waits_since_ms = now_ms; break;
    case PG_STEP_IS_DONE:
        backend->state =
            backend->is_in_block || backend->xid == 0 ? PG_BACKEND_ANSWERS : PG_BACKEND_FLUSHES;
        break;
    case PG_STEP_HAS_FAILED: fail(backend); break;
    }
}

void pg_backend_step(struct pg_backend *backend, uint64_t now_ms)
{
    switch (backend->state) {
    case PG_BACKEND_IDLE: ASSERT(false); break;
    case PG_BACKEND_RUNS: run(backend, now_ms); break;
    case PG_BACKEND_FLUSHES:
        pg_flush(backend->db, backend->xid);
        backend->state = PG_BACKEND_SHOWS;
        break;
    case PG_BACKEND_SHOWS:
        pg_commit(backend->db, backend->xid);
        backend->state = PG_BACKEND_ANSWERS;
        break;
    case PG_BACKEND_ANSWERS:
        if (!backend->is_in_block) {
            end_transaction(backend);
        }
        release_statement(backend);
        backend->state = PG_BACKEND_IDLE;
        backend->began_at_ms = now_ms;
        break;
    }
}
