/*
 * lane.h - a thread with a connection to Postgres, which works off a queue. Blocking code, and simple for that.
 *
 * A lane connects by itself, prepares the database (database.h) on each new connection, and connects again after a
 * failure, waiting longer from attempt to attempt. Whoever owns the work decides what becomes of requests meanwhile.
 *
 * Thread  lane_new(), lane_free(): the main thread's. lane_join(), lane_is_connected(), lane_is_away(), lane_write_trouble(): any. The rest:
 *         the lane's own.
 */
#ifndef PARLEY_STORE_LANE_H
#define PARLEY_STORE_LANE_H

#include "pg.h"
#include "queue.h"
#include "stats.h"

struct lane;

/* What a lane tells about itself; called in its thread. */
struct lane_events {
    /* The lane (or, for the store, NATS) is connected; again after every loss. */
    void (*on_ready)(void *user);
    /*
     * Before it ever was, Postgres refused in a way that waiting does not change: @why is a sentence for the user. The
     * lane goes on trying.
     */
    void (*on_wrong)(void *user, struct bytes why);
    void *user;
};

struct lane_setup {
    const char *name; /* for logs: "write-0"; copied */
    const struct pg_target *target;
    bool appends; /* and does not only read */
    struct queue *queue;
    size_t requests_max, bytes_max; /* of one list */
    /* Works off @list, taken from the queue; takes it. Called in the lane's thread, connected or not. */
    void (*on_requests)(void *user, struct lane *lane, struct queue_entry *list);
    void *user; /* of on_requests */
    struct lane_events events;
    struct stats *stats;
    _Atomic uint64_t *busy_us; /* of @stats: grows by the time that on_requests takes */
};

/* Starts the lane. What @setup points at must outlive it. Returns owned. */
MUST_USE struct lane *lane_new(const struct lane_setup *setup);

/* Waits until the lane has worked off its queue, which must be closed, and its thread has ended. Once. */
void lane_join(struct lane *lane);

/* Frees a lane that was joined. */
void lane_free(struct lane *lane);

bool lane_is_connected(const struct lane *lane);

/* Whether the last attempt to connect has failed, so that whoever can ask another store had better do so. Any thread. */
bool lane_is_away(const struct lane *lane);

/* Appends why the lane has no connection. */
void lane_write_trouble(struct lane *lane, struct buf *out);

/*
 * The lane's connection, when there is one; otherwise waits for the moment of the next attempt (at most
 * BACKOFF_MS_MAX), makes it, and returns NULL when it failed.
 */
struct pg *lane_connection(struct lane *lane);

/* Puts a request that was taken at the end of the lane's queue. */
MUST_USE enum queue_push_result lane_put_back(struct lane *lane, struct queue_entry *entry);

/* Tells why a statement failed, waits a moment before it is sent again. @result is not STORE_COMMITTED. */
void lane_after_failure(struct lane *lane, enum store_result result, const struct buf *error);

/* The next failure waits for the shortest time again. */
void lane_after_success(struct lane *lane);

#endif
