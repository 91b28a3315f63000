/*
 * timers.h - everything that happens later, on one heap.
 *
 * A timer is embedded in what it belongs to and costs 24 bytes and one slot of the heap while it is set. Time is an
 * argument: the owner of the heap says what time it is, so that every timeout is a plain unit test.
 *
 * Thread  The owner's.
 */
#ifndef PARLEY_TIMERS_H
#define PARLEY_TIMERS_H

#include "base.h"

struct timer {
    uint64_t due_ms;
    void (*on_due)(struct timer *timer, uint64_t now_ms);
    uint32_t slot; /* 0: not set; where it is otherwise, see timers.c */
};

struct timers {
    struct timer **heap;
    uint32_t count;
    uint32_t capacity;
    struct timer **due; /* what a run has yet to call; NULL: cleared meanwhile */
    uint32_t due_count;
    uint32_t due_capacity;
};

#define TIMER_NEVER UINT64_MAX

void timers_init(struct timers *timers);

/* Gives the heap back. Timers that are still set are forgotten, not run. */
void timers_release(struct timers *timers);

/* Prepares @timer, unset. */
void timer_init(struct timer *timer, void (*on_due)(struct timer *timer, uint64_t now_ms));

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->slot != 0;
}

/* Sets @timer to @due_ms, whether it was set before or not. */
void timers_set(struct timers *timers, struct timer *timer, uint64_t due_ms);

/* Unsets @timer; nothing happens when it is not set. */
void timers_clear(struct timers *timers, struct timer *timer);

/* When the next timer is due, or TIMER_NEVER. Within a run, those that the run will yet call do not count. */
uint64_t timers_next_due(const struct timers *timers);

/*
 * Runs what is due at @now_ms, each timer unset before its callback, which may set and clear any timer. A timer that a
 * callback sets to @now_ms or earlier runs in the next call, so that this one ends. Not to be called by a callback.
 */
void timers_run(struct timers *timers, uint64_t now_ms);

#endif
