/* latency_test.c - histograms, and what they tell. */
#include "base/tests/testing.h"
#include "latency.h"

#include <stdlib.h>

TEST(a_percentile_is_told_within_three_percent)
{
    static struct latency latency;
    for (uint64_t us = 1; us <= 100000; us++) {
        latency_record(&latency, us);
    }
    for (int percent = 1; percent < 100; percent++) {
        uint64_t exact = (uint64_t)percent * 1000;
        uint64_t told = latency_percentile(&latency, percent / 100.0);
        CHECK(told >= exact);
        CHECK(told <= exact + exact / 32 + 1);
    }
    CHECK(latency_percentile(&latency, 1) == 100000);
}

TEST(what_lasts_longer_than_can_be_told_counts_as_the_longest)
{
    static struct latency latency;
    latency_record(&latency, UINT64_C(1) << 40);
    CHECK(latency.max_us == UINT32_MAX);
    CHECK(latency_percentile(&latency, 0.5) == UINT32_MAX);
}

TEST(nothing_recorded_is_zero)
{
    static struct latency latency;
    CHECK(latency_percentile(&latency, 0.99) == 0);
}

TEST(two_histograms_become_one)
{
    static struct latency few, many;
    latency_record(&few, 7);
    latency_record(&many, 9);
    latency_record(&many, 11);
    latency_add(&many, &few);
    CHECK(many.count == 3);
    CHECK(many.max_us == 11);
    CHECK(latency_percentile(&many, 0.3) == 7);
}

TEST(what_is_written_has_the_buckets_that_are_not_empty)
{
    static struct latency latency;
    struct buf out = BUF_INIT;
    latency_record(&latency, 3);
    latency_record(&latency, 3);
    latency_record(&latency, 20);
    latency_write(&out, "x", &latency);
    CHECK_TEXT(buf_bytes(&out),
               "\"x_ms\":{\"count\":3,\"p50\":0.003,\"p90\":0.020,\"p99\":0.020,"
               "\"p999\":0.020,\"max\":0.020,\"histogram\":[[0.003,2],[0.020,1]]}");
    buf_release(&out);
}

TEST_MAIN(TEST_OF(a_percentile_is_told_within_three_percent),
          TEST_OF(what_lasts_longer_than_can_be_told_counts_as_the_longest),
          TEST_OF(nothing_recorded_is_zero), TEST_OF(two_histograms_become_one),
          TEST_OF(what_is_written_has_the_buckets_that_are_not_empty))
