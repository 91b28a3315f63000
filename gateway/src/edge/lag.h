/*
 * lag.h - how long what comes in waits for its turn, and whether that is too long for newcomers.
 *
 * A probe goes the way of a client's packet. It makes a descriptor of the loop readable; there it stands in the kernel's row
 * of those that are, behind all that were before it; and some turns of the loop later, it is read. It is due every
 * LAG_PROBE_MS. The time from then until it is read is the *lag*: what everybody who is here waits.
 *
 * The loop is OVERLOADED when LAG_PROBES_LATE probes in a row came later than its bound: one long turn, or a process that
 * stood still, does not count. One that comes in time ends it.
 *
 *   IN TIME ──LAG_PROBES_LATE are late, in a row──▶ OVERLOADED ──one is in time──▶ IN TIME
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_LAG_H
#define PARLEY_EDGE_LAG_H

#include "base/metrics.h"
#include "base/timers.h"
#include <h2o.h>

enum {
    LAG_PROBE_MS = 100,
    LAG_PROBES_LATE = 3,
};

struct lag {
    h2o_socket_t *socket; /* NULL: nothing is measured */
    struct timers *timers;
    struct timer timer;
    uint64_t bound_us;
    uint64_t due_us;         /* of the probe that is next, or on its way */
    unsigned late_count;     /* probes in a row, LAG_PROBES_LATE at most */
    struct histogram lag_us; /* of all probes */
};

/* Prepares @lag, which lag_note() tells; a loop's is measured by lag_measure(). */
void lag_init(struct lag *lag, uint64_t bound_ms);

/* Sends probes through @loop from now on. Keeps @timers. */
void lag_measure(struct lag *lag, h2o_loop_t *loop, struct timers *timers);

void lag_release(struct lag *lag);

/* A probe took @us. */
void lag_note(struct lag *lag, uint64_t us);

static inline bool lag_is_overload(const struct lag *lag)
{
    return lag->late_count == LAG_PROBES_LATE;
}

#endif
