#include "base/timers.h"
#include "testing.h"

#include <stdlib.h>

static struct timers timers;

struct probe {
    struct timer timer;
    struct timer *other; /* what the callback acts on */
    uint64_t again_ms;   /* when the callback sets its timer again; 0: not */
    int runs;
    uint64_t last_due_ms;
};

static uint64_t latest_due_ms;

static void on_due(struct timer *timer, uint64_t now_ms)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    CHECK(!timer_is_set(timer));
    CHECK(timer->due_ms <= now_ms);
    CHECK(timer->due_ms >= latest_due_ms);
    latest_due_ms = timer->due_ms;
    probe->runs++;
    probe->last_due_ms = timer->due_ms;
    if (probe->again_ms != 0) {
        timers_set(&timers, timer, probe->again_ms);
    }
    if (probe->other != NULL) {
        timers_clear(&timers, probe->other);
    }
}

static struct probe probe(void)
{
    latest_due_ms = 0;
    struct probe p = {0};
    timer_init(&p.timer, on_due);
    return p;
}

TEST(nothing_is_due_when_nothing_is_set)
{
    timers_init(&timers);
    CHECK(timers_next_due(&timers) == TIMER_NEVER);
    timers_run(&timers, UINT64_MAX);
    timers_release(&timers);
}

TEST(a_timer_runs_once_at_its_time_and_not_a_millisecond_before)
{
    timers_init(&timers);
    struct probe p = probe();
    timers_set(&timers, &p.timer, 100);
    CHECK(timer_is_set(&p.timer) && timers_next_due(&timers) == 100);
    timers_run(&timers, 99);
    CHECK(p.runs == 0);
    timers_run(&timers, 100);
    timers_run(&timers, 101);
    CHECK(p.runs == 1 && timers_next_due(&timers) == TIMER_NEVER);
    timers_release(&timers);
}

TEST(a_timer_that_is_cleared_does_not_run)
{
    timers_init(&timers);
    struct probe p = probe();
    timers_clear(&timers, &p.timer);
    timers_set(&timers, &p.timer, 100);
    timers_clear(&timers, &p.timer);
    timers_run(&timers, 200);
    CHECK(p.runs == 0);
    timers_release(&timers);
}

TEST(a_timer_that_is_set_again_moves_both_ways)
{
    timers_init(&timers);
    struct probe p = probe(), q = probe();
    timers_set(&timers, &p.timer, 100);
    timers_set(&timers, &q.timer, 200);
    timers_set(&timers, &p.timer, 300);
    CHECK(timers_next_due(&timers) == 200);
    timers_set(&timers, &p.timer, 50);
    CHECK(timers_next_due(&timers) == 50);
    timers_run(&timers, 400);
    CHECK(p.runs == 1 && q.runs == 1);
    timers_release(&timers);
}

TEST(a_callback_that_sets_its_timer_to_now_runs_again_in_the_next_call_only)
{
    timers_init(&timers);
    struct probe p = probe();
    p.again_ms = 100;
    timers_set(&timers, &p.timer, 100);
    timers_run(&timers, 100);
    CHECK(p.runs == 1 && timers_next_due(&timers) == 100);
    timers_run(&timers, 100);
    CHECK(p.runs == 2);
    timers_release(&timers);
}

TEST(a_callback_may_clear_a_timer_that_is_due_in_the_same_run)
{
    timers_init(&timers);
    struct probe p = probe(), q = probe();
    p.other = &q.timer;
    timers_set(&timers, &p.timer, 1);
    timers_set(&timers, &q.timer, 2);
    timers_run(&timers, 10);
    CHECK(p.runs == 1 && q.runs == 0 && !timer_is_set(&q.timer));
    timers_set(&timers, &q.timer, 20);
    timers_run(&timers, 20);
    CHECK(q.runs == 1);
    timers_release(&timers);
}

static struct probe *postponed;

static void postpone(struct timer *timer, uint64_t now_ms)
{
    (void)timer;
    timers_set(&timers, &postponed->timer, now_ms + 5);
}

TEST(a_callback_may_postpone_a_timer_that_is_due_in_the_same_run)
{
    timers_init(&timers);
    struct probe p = probe();
    struct timer first;
    timer_init(&first, postpone);
    postponed = &p;
    timers_set(&timers, &first, 1);
    timers_set(&timers, &p.timer, 2);
    timers_run(&timers, 10);
    CHECK(p.runs == 0 && timers_next_due(&timers) == 15);
    timers_run(&timers, 15);
    CHECK(p.runs == 1);
    timers_release(&timers);
}

TEST(many_timers_run_in_the_order_of_their_times)
{
    enum { TIMERS = 2000 };
    static struct probe probes[TIMERS];
    timers_init(&timers);
    srand(1);
    for (int i = 0; i < TIMERS; i++) {
        probes[i] = probe();
    }
    for (int i = 0; i < TIMERS * 5; i++) { /* set, set again, and clear */
        struct timer *timer = &probes[rand() % TIMERS].timer;
        if (rand() % 4 == 0) {
            timers_clear(&timers, timer);
        } else {
            timers_set(&timers, timer, (uint64_t)(rand() % 10000));
        }
    }
    int set = 0, ran = 0;
    for (int i = 0; i < TIMERS; i++) {
        set += timer_is_set(&probes[i].timer);
    }
    for (uint64_t now_ms = 0; now_ms < 10000; now_ms += 7) {
        timers_run(&timers, now_ms);
        CHECK(timers_next_due(&timers) > now_ms);
    }
    timers_run(&timers, 10000);
    for (int i = 0; i < TIMERS; i++) {
        ran += probes[i].runs;
    }
    CHECK(ran == set);
    timers_release(&timers);
}

TEST_MAIN(TEST_OF(nothing_is_due_when_nothing_is_set),
          TEST_OF(a_timer_runs_once_at_its_time_and_not_a_millisecond_before),
          TEST_OF(a_timer_that_is_cleared_does_not_run),
          TEST_OF(a_timer_that_is_set_again_moves_both_ways),
          TEST_OF(a_callback_that_sets_its_timer_to_now_runs_again_in_the_next_call_only),
          TEST_OF(a_callback_may_clear_a_timer_that_is_due_in_the_same_run),
          TEST_OF(a_callback_may_postpone_a_timer_that_is_due_in_the_same_run),
          TEST_OF(many_timers_run_in_the_order_of_their_times))
