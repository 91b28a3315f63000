#include "drain.h"

/* How many of the sessions should be closed when it has been CLOSING for @passed_ms. */
static size_t count_due(const struct drain *drain, uint64_t passed_ms)
{
    return passed_ms >= drain->spread_ms
               ? drain->session_count
               : (size_t)(drain->session_count * passed_ms / drain->spread_ms);
}

static void close_due(struct drain *drain, uint64_t passed_ms, bool spares_waiting)
{
    size_t may_be_left = drain->session_count - count_due(drain, passed_ms);
    size_t open = drain->callbacks.count(drain->callbacks.user);
    if (open > may_be_left) {
        drain->callbacks.close(drain->callbacks.user, open - may_be_left, spares_waiting);
    }
}

static void on_tick(struct timer *timer, uint64_t now_ms)
{
    struct drain *drain = CONTAINER_OF(timer, struct drain, timer);
    const struct drain_callbacks *callbacks = &drain->callbacks;
    if (drain->state == DRAIN_NOTICE) {
        drain->state = DRAIN_CLOSING;
        drain->closing_ms = now_ms;
        callbacks->refuse(callbacks->user);
        drain->session_count = callbacks->count(callbacks->user);
    }
    uint64_t passed_ms = now_ms - drain->closing_ms;
    close_due(drain, passed_ms, true);
    if (passed_ms >= DRAIN_ANSWERS_MS) {
        close_due(drain, passed_ms - DRAIN_ANSWERS_MS, false);
    }
    bool is_quiet = callbacks->count(callbacks->user) == 0 && callbacks->is_quiet(callbacks->user);
    if (is_quiet || passed_ms >= drain->spread_ms + DRAIN_ANSWERS_MS + DRAIN_QUIET_MS) {
        drain->state = DRAIN_OVER;
    } else {
        timers_set(drain->timers, timer, now_ms + DRAIN_TICK_MS);
    }
}

void drain_init(struct drain *drain, const struct drain_callbacks *callbacks, struct timers *timers,
                uint64_t delay_ms, uint64_t spread_ms)
{
    *drain = (struct drain){
        .callbacks = *callbacks,
        .timers = timers,
        .delay_ms = delay_ms,
        .spread_ms = spread_ms,
    };
    timer_init(&drain->timer, on_tick);
}

void drain_begin(struct drain *drain, uint64_t now_ms)
{
    ASSERT(drain->state == DRAIN_NONE);
    drain->state = DRAIN_NOTICE;
    timers_set(drain->timers, &drain->timer, now_ms + drain->delay_ms);
}

void drain_cut_short(struct drain *drain)
{
    drain->state = DRAIN_OVER;
}
