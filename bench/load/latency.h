/*
 * latency.h - durations as a histogram, fine enough for percentiles: 32 steps to each doubling, so that a value is told
 * within 3 %. Up to about an hour; longer ones count as that.
 */
#ifndef PARLEY_BENCH_LATENCY_H
#define PARLEY_BENCH_LATENCY_H

#include "base/bytes.h"

enum {
    LATENCY_STEP_BITS = 5,
    LATENCY_VALUE_BITS = 32, /* of microseconds */
    LATENCY_BUCKETS = (LATENCY_VALUE_BITS - LATENCY_STEP_BITS + 1) << LATENCY_STEP_BITS,
};

struct latency {
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t count;
    uint64_t max_us;
};

void latency_record(struct latency *latency, uint64_t us);

/* Adds all that @other has recorded. */
void latency_add(struct latency *latency, const struct latency *other);

/* The duration in µs that @share (0..1) of all did not exceed: the upper end of its bucket. 0 when there are none. */
uint64_t latency_percentile(const struct latency *latency, double share);

/*
 * Appends  "<name>_ms":{"count":…,"p50":…,"p90":…,"p99":…,"p999":…,"max":…,"histogram":[[upper end in ms, how many],…]}  ;
 * the histogram has what is not empty.
 */
void latency_write(struct buf *out, const char *name, const struct latency *latency);

#endif
