/*
 * store.h - the store-service put together: the bus, the lanes, and which request goes to which lane.
 *
 * Append requests go to the write lane of their shard: a room is always in the same one. Reads share one queue, which
 * all read lanes take from.
 *
 * Thread  The main thread's, but for store_drain().
 */
#ifndef PARLEY_STORE_STORE_H
#define PARLEY_STORE_STORE_H

#include "api.h"
#include "config.h"
#include "lane.h"

struct store;

/*
 * Starts the lanes, which report to @events, and begins to connect to NATS and Postgres. Returns NULL, with a sentence in @ret_error that names the
 * setting, when @config cannot work. Borrows @config until store_free().
 */
MUST_USE struct store *store_new(const struct store_config *config,
                                 const struct lane_events *events, struct buf *ret_error);

/* Whether NATS is there and a lane is ready. events.on_ready() was called when that may have changed. */
bool store_can_receive(const struct store *store);

/* Begins to take requests: once, when it can. Returns false, with a sentence in @ret_error, when NATS fails. */
MUST_USE bool store_receive(struct store *store, struct buf *ret_error);

/*
 * Leaves the queue group, answers what was accepted, and sees it off. Blocks, for seconds where Postgres or NATS is not
 * there. Any thread's, once; the main thread may call store_write_unready() and store_write_metrics() meanwhile, nothing
 * else.
 */
void store_drain(struct store *store);

/* Drains, if that was not done, and frees. Accepts NULL. */
void store_free(struct store *store);

/* The server API; NULL: there is none. */
struct api *store_api(struct store *store);

/* For admin.h. */
void store_write_unready(struct store *store, struct buf *out);
void store_write_metrics(struct store *store, struct buf *out);

#endif
