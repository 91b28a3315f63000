/* latency.c - buckets that double, each in equal steps. */
#include "latency.h"

enum { STEPS = 1 << LATENCY_STEP_BITS };

/* The first STEPS buckets are 1 µs wide; from then on each row of STEPS buckets is twice as wide as the one before. */
static unsigned bucket_of(uint64_t us)
{
    if (us < STEPS) {
        return (unsigned)us;
    }
    unsigned row = 63 - LATENCY_STEP_BITS - (unsigned)__builtin_clzll(us);
    return ((row + 1) << LATENCY_STEP_BITS) + (unsigned)((us >> row) - STEPS);
}

static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < STEPS) {
        return bucket;
    }
    unsigned row = (bucket >> LATENCY_STEP_BITS) - 1;
    uint64_t step = (bucket & (STEPS - 1)) + STEPS;
    return ((step + 1) << row) - 1;
}

void latency_record(struct latency *latency, uint64_t us)
{
    us = MIN_OF(us, UINT32_MAX);
    latency->buckets[bucket_of(us)]++;
    latency->count++;
    latency->max_us = MAX_OF(latency->max_us, us);
}

uint64_t latency_percentile(const struct latency *latency, double share)
{
    double wanted = (double)latency->count * share;
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            return MIN_OF(bucket_end(i), latency->max_us);
        }
    }
    return 0;
}
