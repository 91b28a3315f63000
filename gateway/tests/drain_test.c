#include "base/tests/testing.h"
#include "edge/drain.h"

/* A gateway's sessions, as far as draining knows them. */
struct world {
    struct timers timers;
    struct drain drain;
    uint64_t now_ms;
    size_t idle, waiting; /* open sessions */
    bool is_refusing, is_quiet;
    uint64_t first_close_ms, last_close_ms;
    size_t most_at_once;
};

static void refuse(void *user)
{
    struct world *world = user;
    CHECK(!world->is_refusing);
    world->is_refusing = true;
}

static size_t count(void *user)
{
    const struct world *world = user;
    return world->idle + world->waiting;
}

static void close_some(void *user, size_t wanted, bool spares_waiting)
{
    struct world *world = user;
    size_t idle = MIN_OF(wanted, world->idle);
    size_t waiting = spares_waiting ? 0 : MIN_OF(wanted - idle, world->waiting);
    if (idle + waiting > 0) {
        world->first_close_ms = world->first_close_ms == 0 ? world->now_ms : world->first_close_ms;
        world->last_close_ms = world->now_ms;
        world->most_at_once = MAX_OF(world->most_at_once, idle + waiting);
    }
    world->idle -= idle;
    world->waiting -= waiting;
}

static bool is_quiet(void *user)
{
    return ((const struct world *)user)->is_quiet;
}

enum { START_MS = 1000000 };

static void world_init(struct world *world, uint64_t delay_ms, uint64_t spread_ms)
{
    *world = (struct world){.now_ms = START_MS, .is_quiet = true};
    timers_init(&world->timers);
    struct drain_callbacks callbacks = {world, refuse, count, close_some, is_quiet};
    drain_init(&world->drain, &callbacks, &world->timers, delay_ms, spread_ms);
}

/* Lets time pass until @until_ms after the start, or until it is over. */
static void pass(struct world *world, uint64_t until_ms)
{
    while (world->now_ms < START_MS + until_ms && !drain_is_over(&world->drain)) {
        world->now_ms += 10;
        timers_run(&world->timers, world->now_ms);
    }
}

TEST(nothing_changes_during_the_delay)
{
    struct world world;
    world_init(&world, 5000, 10000);
    world.idle = 10;
    CHECK(!drain_has_begun(&world.drain));
    drain_begin(&world.drain, world.now_ms);
    CHECK(drain_has_begun(&world.drain));
    pass(&world, 4990);
    CHECK(!world.is_refusing);
    assert_int_equal(world.idle, 10);
    pass(&world, 5000);
    CHECK(world.is_refusing);
    timers_release(&world.timers);
}

TEST(sessions_are_closed_evenly_over_the_time_and_the_last_at_its_end)
{
    struct world world;
    world_init(&world, 1000, 10000);
    world.idle = 200;
    drain_begin(&world.drain, world.now_ms);
    pass(&world, 1000 + 5000);
    assert_in_range(world.idle, 99, 101);
    pass(&world, 60000);
    CHECK(drain_is_over(&world.drain));
    assert_int_equal(world.idle, 0);
    assert_in_range(world.most_at_once, 1, 2);
    assert_in_range(world.last_close_ms, START_MS + 11000, START_MS + 11000 + DRAIN_TICK_MS);
    timers_release(&world.timers);
}

TEST(a_session_that_has_just_come_is_held)
{
    struct world world;
    world_init(&world, 0, 10000);
    world.idle = 1;
    drain_begin(&world.drain, world.now_ms);
    pass(&world, 60000);
    assert_in_range(world.first_close_ms, START_MS + 10000, START_MS + 10000 + DRAIN_TICK_MS);
    timers_release(&world.timers);
}

TEST(who_waits_for_an_answer_is_passed_over_until_it_has_it)
{
    struct world world;
    world_init(&world, 0, 1000);
    world.idle = 5;
    world.waiting = 5;
    drain_begin(&world.drain, world.now_ms);
    pass(&world, 2000);
    assert_int_equal(world.idle, 0);
    assert_int_equal(world.waiting, 5);
    CHECK(!drain_is_over(&world.drain));
    world.idle = 5; /* the answers came */
    world.waiting = 0;
    pass(&world, 2000 + DRAIN_TICK_MS);
    assert_int_equal(world.idle, 0);
    CHECK(drain_is_over(&world.drain));
    timers_release(&world.timers);
}

TEST(who_always_waits_for_an_answer_is_closed_at_the_same_even_pace_later)
{
    struct world world;
    world_init(&world, 0, 10000);
    world.waiting = 200;
    drain_begin(&world.drain, world.now_ms);
    pass(&world, DRAIN_ANSWERS_MS);
    assert_int_equal(world.waiting, 200);
    pass(&world, DRAIN_ANSWERS_MS + 5000);
    assert_in_range(world.waiting, 99, 101);
    pass(&world, 60000);
    CHECK(drain_is_over(&world.drain));
    assert_int_equal(world.waiting, 0);
    assert_in_range(world.most_at_once, 1, 2);
    timers_release(&world.timers);
}

TEST(it_is_over_at_once_when_nobody_is_there)
{
    struct world world;
    world_init(&world, 0, 10000);
    drain_begin(&world.drain, world.now_ms);
    pass(&world, 10);
    CHECK(drain_is_over(&world.drain));
    CHECK(world.is_refusing);
    timers_release(&world.timers);
}

TEST(it_is_over_early_when_all_have_left)
{
    struct world world;
    world_init(&world, 0, 10000);
    world.idle = 100;
    drain_begin(&world.drain, world.now_ms);
    pass(&world, 1000);
    CHECK(!drain_is_over(&world.drain));
    world.idle = 0;
    pass(&world, 1000 + DRAIN_TICK_MS);
    CHECK(drain_is_over(&world.drain));
    timers_release(&world.timers);
}

TEST(it_ends_in_bounded_time_whatever_is_on_its_way)
{
    struct world world;
    world_init(&world, 2000, 1000);
    world.idle = 1;
    world.is_quiet = false;
    drain_begin(&world.drain, world.now_ms);
    uint64_t all_ms = 2000 + 1000 + DRAIN_ANSWERS_MS + DRAIN_QUIET_MS;
    pass(&world, all_ms - DRAIN_TICK_MS);
    CHECK(!drain_is_over(&world.drain));
    pass(&world, all_ms + DRAIN_TICK_MS);
    CHECK(drain_is_over(&world.drain));
    timers_release(&world.timers);
}

TEST(it_can_be_cut_short)
{
    struct world world;
    world_init(&world, 60000, 60000);
    world.idle = 10;
    drain_begin(&world.drain, world.now_ms);
    drain_cut_short(&world.drain);
    CHECK(drain_is_over(&world.drain));
    timers_release(&world.timers);
}

TEST_MAIN(TEST_OF(nothing_changes_during_the_delay),
          TEST_OF(sessions_are_closed_evenly_over_the_time_and_the_last_at_its_end),
          TEST_OF(a_session_that_has_just_come_is_held),
          TEST_OF(who_waits_for_an_answer_is_passed_over_until_it_has_it),
          TEST_OF(who_always_waits_for_an_answer_is_closed_at_the_same_even_pace_later),
          TEST_OF(it_is_over_at_once_when_nobody_is_there),
          TEST_OF(it_is_over_early_when_all_have_left),
          TEST_OF(it_ends_in_bounded_time_whatever_is_on_its_way), TEST_OF(it_can_be_cut_short))
