/* metrics.c - Prometheus text, exposition format 0.0.4. */
#include "metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define HISTOGRAM_FIRST_BOUND ((uint64_t)64)

/* The shortest text that reads back as the same number. */
static void append_number(struct buf *out, double value)
{
    if (isnan(value) || isinf(value)) {
        buf_append_bytes(out, isnan(value) ? BYTES("NaN")
                              : value > 0  ? BYTES("+Inf")
                                           : BYTES("-Inf"));
        return;
    }
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    buf_append_bytes(out, bytes_of_string(text));
}

static void write_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_family(struct buf *out, const char *name, enum metric_type type, const char *help)
{
    write_head(out, name, type == METRIC_COUNTER ? "counter" : "gauge", help);
}

void metrics_sample(struct buf *out, const char *name, const char *labels, double value)
{
    buf_append_bytes(out, bytes_of_string(name));
    if (labels[0] != '\0') {
        buf_append_format(out, "{%s}", labels);
    }
    buf_append_char(out, ' ');
    append_number(out, value);
    buf_append_char(out, '\n');
}

void metrics_single(struct buf *out, const char *name, enum metric_type type, const char *help,
                    double value)
{
    metrics_family(out, name, type, help);
    metrics_sample(out, name, "", value);
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    unsigned bucket = 0;
    if (value > HISTOGRAM_FIRST_BOUND) {
        /* The number of doublings that bring the first bound to @value or past it. */
        bucket = 64 - (unsigned)__builtin_clzll((value - 1) / HISTOGRAM_FIRST_BOUND);
        bucket = MIN_OF(bucket, (unsigned)HISTOGRAM_BUCKETS_MAX - 1);
    }
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS_MAX; i++) {
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    }
    return count;
}

void metrics_histogram(struct buf *out, const char *name, const char *help, double scale,
                       const struct histogram *histogram)
{
    write_head(out, name, "histogram", help);
    uint64_t total = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS_MAX; i++) {
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        bool is_last = i == HISTOGRAM_BUCKETS_MAX - 1;
        buf_append_format(out, "%s_bucket{le=\"", name);
        append_number(out, is_last ? INFINITY : (double)(HISTOGRAM_FIRST_BOUND << i) * scale);
        buf_append_format(out, "\"} %llu\n", (unsigned long long)total);
    }
    uint64_t sum = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    buf_append_format(out, "%s_sum ", name);
    append_number(out, (double)sum * scale);
    buf_append_format(out, "\n%s_count %llu\n", name, (unsigned long long)total);
}
