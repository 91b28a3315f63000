/*
 * pace_test.c - token buckets: how much at once, how much in the long run, and what is kept.
 */
#include "base/tests/testing.h"
#include "hub/pace.h"

#include <stdio.h>

static struct pace pace;

static int tear_down(void **state)
{
    (void)state;
    pace_release(&pace);
    return 0;
}

/* Takes as many tokens as there are now. */
static unsigned take_all(const char *key, uint64_t now_ms)
{
    unsigned taken = 0;
    for (; taken < 10000 && pace_wait_ms(&pace, bytes_of_string(key), now_ms) == 0; taken++) {
        pace_take(&pace, bytes_of_string(key), now_ms);
    }
    return taken;
}

TEST(a_burst_and_then_the_rate)
{
    pace_init(&pace, (struct pace_rule){.per_second = 20, .burst = 100});
    assert_int_equal(take_all("a", 5000), 100);
    assert_int_equal(pace_wait_ms(&pace, BYTES("a"), 5000), 50);
    assert_int_equal(pace_wait_ms(&pace, BYTES("a"), 5049), 1);
    assert_int_equal(take_all("a", 5050), 1);
    assert_int_equal(take_all("a", 6050), 20);
    assert_int_equal(take_all("a", 60000), 100); /* no more than full */
}

TEST(keys_do_not_share)
{
    pace_init(&pace, (struct pace_rule){.per_second = 1, .burst = 1});
    assert_int_equal(take_all("a", 0), 1);
    assert_int_equal(take_all("b", 0), 1);
    assert_int_equal(pace_wait_ms(&pace, BYTES("a"), 1), 999);
}

TEST(a_rate_of_0_is_no_limit)
{
    pace_init(&pace, (struct pace_rule){0});
    assert_int_equal(take_all("a", 0), 10000);
    assert_int_equal(pace.buckets.count, 0);
}

TEST(what_is_full_again_is_not_kept)
{
    pace_init(&pace, (struct pace_rule){.per_second = 10, .burst = 5});
    char key[16];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%u", i);
        pace_take(&pace, bytes_of_string(key), UINT64_C(10) * i);
        assert_true(pace.buckets.count <= 11);
    }
}

TEST(past_the_bound_nobody_new_is_held_up)
{
    pace_init(&pace, (struct pace_rule){.per_second = 1, .burst = 1});
    char key[16];
    for (unsigned i = 0; i < PACE_BUCKETS_MAX + 10; i++) {
        snprintf(key, sizeof(key), "%u", i);
        pace_take(&pace, bytes_of_string(key), 0);
    }
    assert_int_equal(pace.buckets.count, PACE_BUCKETS_MAX);
    assert_int_equal(pace_wait_ms(&pace, BYTES("0"), 0), 1000);
    assert_int_equal(pace_wait_ms(&pace, bytes_of_string(key), 0), 0);
}

TEST_MAIN(cmocka_unit_test_teardown(a_burst_and_then_the_rate, tear_down),
          cmocka_unit_test_teardown(keys_do_not_share, tear_down),
          cmocka_unit_test_teardown(a_rate_of_0_is_no_limit, tear_down),
          cmocka_unit_test_teardown(what_is_full_again_is_not_kept, tear_down),
          cmocka_unit_test_teardown(past_the_bound_nobody_new_is_held_up, tear_down))
