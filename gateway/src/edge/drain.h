/*
 * drain.h - how a gateway ends without anyone noticing: the order of things, and their times.
 *
 *   SIGTERM ──▶ NOTICE ── delay_ms ──▶ CLOSING ── all is closed and quiet, or too much time has passed ──▶ OVER
 *
 * NOTICE   /readyz fails and all else is as before: whoever balances the load takes a while to notice, and what it sends
 *          meanwhile must be served.
 * CLOSING  No new connection, no new session. Sessions are closed one by one, the oldest first, spread evenly over
 *          spread_ms: those who come back elsewhere come one by one, and those who have just come are held, since a client
 *          whose connection opened comes back without delay. A session that waits for an answer is passed over and another
 *          one closed in its place; but for no longer than DRAIN_ANSWERS_MS, at the same even pace: who talks without a
 *          pause waits for an answer always.
 *
 * All of it takes delay_ms + spread_ms + DRAIN_ANSWERS_MS + DRAIN_QUIET_MS at most.
 *
 * Thread  The loop's. Pure: time is an argument.
 */
#ifndef PARLEY_EDGE_DRAIN_H
#define PARLEY_EDGE_DRAIN_H

#include "base/timers.h"

enum {
    DRAIN_TICK_MS = 50,
    DRAIN_ANSWERS_MS = 3000, /* more than an append takes that is repeated once */
    DRAIN_QUIET_MS = 2000,   /* for what was written to arrive */
};

enum drain_state { DRAIN_NONE, DRAIN_NOTICE, DRAIN_CLOSING, DRAIN_OVER };

/* What draining does to the world. */
struct drain_callbacks {
    void *user;
    /* No new connections and sessions from now on. */
    void (*refuse)(void *user);
    /* Sessions that are open, or are being closed. */
    size_t (*count)(void *user);
    /* Closes up to @count of the sessions that are open, the oldest first; with @spares_waiting, none that waits for an answer. */
    void (*close)(void *user, size_t count, bool spares_waiting);
    /* Whether nothing is on its way any more, neither to clients nor to the store. */
    bool (*is_quiet)(void *user);
};

struct drain {
    struct drain_callbacks callbacks;
    struct timers *timers;
    struct timer timer;
    uint64_t delay_ms, spread_ms;
    uint64_t closing_ms;  /* since when it is CLOSING */
    size_t session_count; /* at that moment */
    enum drain_state state;
};

/* Prepares @drain. Keeps @callbacks by value, @timers by reference. */
void drain_init(struct drain *drain, const struct drain_callbacks *callbacks, struct timers *timers,
                uint64_t delay_ms, uint64_t spread_ms);

/* Begins. Once. */
void drain_begin(struct drain *drain, uint64_t now_ms);

static inline bool drain_has_begun(const struct drain *drain)
{
    return drain->state != DRAIN_NONE;
}

static inline bool drain_is_over(const struct drain *drain)
{
    return drain->state == DRAIN_OVER;
}

/* At once, whatever is left. */
void drain_cut_short(struct drain *drain);

#endif
