/*
 * worker.h - a thread with a connection to Postgres that does something again and again, and waits in between: for a time, or
 * until it is notified. What asks for nothing has no lane.
 *
 * It connects by itself, prepares the database (database.h) on each new connection, and connects again after a failure,
 * waiting longer from attempt to attempt.
 *
 * Thread  worker_new(), worker_free(): the main thread's. worker_end(), worker_join(): any.
 */
#ifndef PARLEY_STORE_WORKER_H
#define PARLEY_STORE_WORKER_H

#include "pg.h"
#include "stats.h"

struct worker;

struct worker_setup {
    const char *name; /* for logs; static, as all of these */
    const char *application_name;
    const char *settings_sql; /* for each new connection; may LISTEN */
    const struct pg_target *target;
    struct stats *stats;
    /*
     * Does something, in the worker's thread. Returns how many milliseconds there is nothing more to do, unless a
     * notification comes; or WORKER_FAILED, with the reason in @ret_error: the connection is then closed.
     */
    uint64_t (*work)(void *user, struct pg *pg, struct buf *ret_error);
    /* There is no connection now, and an attempt to make one has failed. In the worker's thread. NULL: nothing to do. */
    void (*on_away)(void *user);
    void *user;
};

#define WORKER_FAILED UINT64_MAX

/* Starts it. What @setup points at must outlive it. Returns owned. */
MUST_USE struct worker *worker_new(const struct worker_setup *setup);

/* Has it look at once whether there is something to do. Any thread. */
void worker_wake(struct worker *worker);

/* It is to end, as soon as its statement is over. Does not wait. Accepts NULL, as the others. */
void worker_end(struct worker *worker);

/* Waits for that. Once. */
void worker_join(struct worker *worker);

/* Frees one that was joined. */
void worker_free(struct worker *worker);

/* Runs statements without parameters and results, for the usual time at most. False: the reason is in @ret_error. */
MUST_USE bool worker_run(struct pg *pg, const char *script, struct buf *ret_error);

#endif
