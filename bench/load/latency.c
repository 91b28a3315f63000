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

void latency_add(struct latency *latency, const struct latency *other)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        latency->buckets[i] += other->buckets[i];
    }
    latency->count += other->count;
    latency->max_us = MAX_OF(latency->max_us, other->max_us);
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

void latency_write(struct buf *out, const char *name, const struct latency *latency)
{
    static const struct {
        const char *name;
        double share;
    } SHARES[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    buf_append_format(out, "\"%s_ms\":{\"count\":%llu", name, (unsigned long long)latency->count);
    for (size_t i = 0; i < COUNT_OF(SHARES); i++) {
        buf_append_format(out, ",\"%s\":%.3f", SHARES[i].name,
                          (double)latency_percentile(latency, SHARES[i].share) / 1e3);
    }
    buf_append_format(out, ",\"max\":%.3f,\"histogram\":[", (double)latency->max_us / 1e3);
    const char *comma = "";
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        if (latency->buckets[i] > 0) {
            buf_append_format(out, "%s[%.3f,%llu]", comma, (double)bucket_end(i) / 1e3,
                              (unsigned long long)latency->buckets[i]);
            comma = ",";
        }
    }
    buf_append_bytes(out, BYTES("]}"));
}
