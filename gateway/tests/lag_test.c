/* lag_test.c - when a loop is overloaded, and that a probe goes through one. */
#include "base/clock.h"
#include "base/loop.h"
#include "base/tests/testing.h"
#include "edge/lag.h"

enum { BOUND_MS = 200, BOUND_US = BOUND_MS * 1000, FAR_BEYOND_US = BOUND_US * 10 };

static void note(struct lag *lag, unsigned count, uint64_t us)
{
    for (unsigned i = 0; i < count; i++) {
        lag_note(lag, us);
    }
}

TEST(so_many_late_probes_in_a_row_are_an_overload_and_one_less_are_not)
{
    struct lag lag;
    lag_init(&lag, BOUND_MS);
    note(&lag, LAG_PROBES_LATE - 1, BOUND_US + 1);
    CHECK(!lag_is_overload(&lag));
    note(&lag, 1, BOUND_US + 1);
    CHECK(lag_is_overload(&lag));
    note(&lag, 100, BOUND_US + 1);
    CHECK(lag_is_overload(&lag));
}

TEST(a_probe_at_the_bound_is_in_time)
{
    struct lag lag;
    lag_init(&lag, BOUND_MS);
    note(&lag, 100, BOUND_US);
    CHECK(!lag_is_overload(&lag));
}

TEST(one_probe_in_time_ends_an_overload_and_a_row)
{
    struct lag lag;
    lag_init(&lag, BOUND_MS);
    note(&lag, LAG_PROBES_LATE, FAR_BEYOND_US);
    note(&lag, 1, BOUND_US);
    CHECK(!lag_is_overload(&lag));
    note(&lag, LAG_PROBES_LATE - 1, FAR_BEYOND_US);
    note(&lag, 1, 0);
    note(&lag, LAG_PROBES_LATE - 1, FAR_BEYOND_US);
    CHECK(!lag_is_overload(&lag));
}

TEST(probes_go_through_a_loop_one_after_the_other)
{
    h2o_loop_t *loop = h2o_evloop_create();
    struct timers timers;
    timers_init(&timers);
    struct lag lag;
    lag_init(&lag, BOUND_MS);
    lag_measure(&lag, loop, &timers);
    while (histogram_count(&lag.lag_us) < 3) {
        h2o_evloop_run(loop, LAG_PROBE_MS);
        timers_run(&timers, clock_monotonic_ms());
    }
    lag_release(&lag);
    timers_release(&timers);
    loop_free(loop);
}

TEST_MAIN(TEST_OF(so_many_late_probes_in_a_row_are_an_overload_and_one_less_are_not),
          TEST_OF(a_probe_at_the_bound_is_in_time),
          TEST_OF(one_probe_in_time_ends_an_overload_and_a_row),
          TEST_OF(probes_go_through_a_loop_one_after_the_other))
