/*
 * timers.c - a binary heap by due time.
 *
 * A run first moves all that is due from the heap to a list of its own, so that what callbacks set
 * meanwhile waits for the next run. A timer's slot tells where it is: 0 nowhere, else its index
 * plus one, in the list when IN_DUE_LIST is set, in the heap otherwise.
 */
#include "timers.h"

#include <stdlib.h>

#define IN_DUE_LIST 0x80000000u

enum { TIMERS_CAPACITY_MIN = 16 };

void timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void timers_release(struct timers *timers)
{
    free(timers->heap);
    free(timers->due);
    *timers = (struct timers){0};
}

void timer_init(struct timer *timer, void (*on_due)(struct timer *timer, uint64_t now_ms))
{
    *timer = (struct timer){.on_due = on_due};
}

static void put(struct timers *timers, uint32_t at, struct timer *timer)
{
    timers->heap[at] = timer;
    timer->slot = at + 1;
}

static void sift_up(struct timers *timers, uint32_t at, struct timer *timer)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (timers->heap[parent]->due_ms <= timer->due_ms) {
            break;
        }
        put(timers, at, timers->heap[parent]);
        at = parent;
    }
    put(timers, at, timer);
}

static void sift_down(struct timers *timers, uint32_t at, struct timer *timer)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count &&
            timers->heap[child + 1]->due_ms < timers->heap[child]->due_ms) {
            child++;
        }
        if (timer->due_ms <= timers->heap[child]->due_ms) {
            break;
        }
        put(timers, at, timers->heap[child]);
        at = child;
    }
    put(timers, at, timer);
}

/* Finds the place of @timer when what stands at @at has to make way for it. */
static void settle(struct timers *timers, uint32_t at, struct timer *timer)
{
    if (at > 0 && timers->heap[(at - 1) / 2]->due_ms > timer->due_ms) {
        sift_up(timers, at, timer);
    } else {
        sift_down(timers, at, timer);
    }
}

static uint32_t grown(uint32_t capacity)
{
    ASSERT(capacity < IN_DUE_LIST / 2);
    return MAX_OF(capacity * 2, (uint32_t)TIMERS_CAPACITY_MIN);
}

void timers_clear(struct timers *timers, struct timer *timer)
{
    if (timer->slot == 0) {
        return;
    }
    uint32_t at = (timer->slot & ~IN_DUE_LIST) - 1;
    if (timer->slot & IN_DUE_LIST) {
        timers->due[at] = NULL;
    } else {
        struct timer *last = timers->heap[--timers->count];
        if (last != timer) {
            settle(timers, at, last);
        }
    }
    timer->slot = 0;
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t due_ms)
{
    if (timer->slot & IN_DUE_LIST) {
        timers_clear(timers, timer);
    }
    timer->due_ms = due_ms;
    if (timer->slot != 0) {
        settle(timers, timer->slot - 1, timer);
        return;
    }
    if (timers->count == timers->capacity) {
        timers->capacity = grown(timers->capacity);
        timers->heap = mem_resize(timers->heap, timers->capacity * sizeof(struct timer *));
    }
    sift_up(timers, timers->count++, timer);
}

uint64_t timers_next_due(const struct timers *timers)
{
    return timers->count == 0 ? TIMER_NEVER : timers->heap[0]->due_ms;
}

static void collect_due(struct timers *timers, uint64_t now_ms)
{
    while (timers->count > 0 && timers->heap[0]->due_ms <= now_ms) {
        struct timer *timer = timers->heap[0];
        timers_clear(timers, timer);
        if (timers->due_count == timers->due_capacity) {
            timers->due_capacity = grown(timers->due_capacity);
            timers->due = mem_resize(timers->due, timers->due_capacity * sizeof(struct timer *));
        }
        timers->due[timers->due_count++] = timer;
        timer->slot = timers->due_count | IN_DUE_LIST;
    }
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
    ASSERT(timers->due_count == 0); /* no run within a run */
    collect_due(timers, now_ms);
    for (uint32_t i = 0; i < timers->due_count; i++) {
        struct timer *timer = timers->due[i];
        if (timer != NULL) {
            timers_clear(timers, timer);
            timer->on_due(timer, now_ms);
        }
    }
    timers->due_count = 0;
}
