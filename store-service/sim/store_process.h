/*
 * store_process.h - one store-service of stores.h: what its files in sim/ know of each other.
 */
#ifndef PARLEY_SIM_STORE_PROCESS_H
#define PARLEY_SIM_STORE_PROCESS_H

#include "append.h"
#include "coroutine.h"
#include "read.h"
#include "stores.h"

enum { STORE_LANES_MAX = STORE_WRITE_LANES_MAX + 2 };

/* src/bus.h's bus: a process has one. */
struct bus {
    struct store_process *process;
};

struct store_process {
    struct stores *stores;
    size_t number;
    bool is_frozen, is_dead;
    struct bus bus;
    struct stats stats;
    struct append_settings append_settings;
    struct read_settings read_settings;
    /* Those that write, the one that reads, and, from time to time, one that is a --new-epoch of its own. */
    struct lane *lanes[STORE_LANES_MAX];
    size_t lane_count, own_lane_count;
};

/* A request on its way through a process. */
struct store_request {
    struct bus_request base;
    uint64_t token;
    struct buf payload;
};

/* src/lane.h's lane: a coroutine. */
struct lane {
    struct store_process *process;
    struct coroutine *coroutine;
    void (*on_requests)(void *user, struct lane *lane, struct queue_entry *list);
    void *user;
    size_t requests_max; /* of one list */
    bool appends;        /* and does not only read */
    bool is_away;        /* the last attempt to connect has failed */
    struct queue_entry *first, **last;
    struct pg pg;
    uint64_t connect_backoff_ms, next_attempt_ms, statement_backoff_ms;
    /* What it waits for, whichever comes first. */
    uint64_t until_ms;
    const struct pg_conn *awaited; /* its answer, or its end */
    bool awaits_work;
};

/* A lane that has yet to be resumed for the first time. */
struct lane *sim_lane_new(struct store_process *process,
                          void (*on_requests)(void *user, struct lane *lane,
                                              struct queue_entry *list),
                          void *user, size_t requests_max);

/* One that begins an epoch, and ends. */
struct lane *sim_lane_new_epoch(struct store_process *process);

/* Frees one that has come to its end. */
void sim_lane_free(struct lane *lane);

bool sim_lane_is_ready(const struct lane *lane);

/* Runs @lane until it waits again, or ends. */
void sim_lane_resume(struct lane *lane);

/* The one that runs; NULL: none does. */
struct lane *sim_lane_running(void);

/* Lets others go first, until @until_ms or until @conn has something to say (NULL: nothing to wait for). */
void sim_lane_wait(struct lane *lane, uint64_t until_ms, const struct pg_conn *conn);

/* Now or later: others may go first. */
void sim_lane_give_way(struct lane *lane);

#endif
