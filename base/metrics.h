/*
 * metrics.h - counters, gauges and histograms as Prometheus text (exposition format 0.0.4).
 *
 * There is no registry: a part keeps its numbers in a plain struct of its own, and whoever serves /metrics writes them
 * out, family by family. Numbers that several threads touch are relaxed atomics.
 */
#ifndef PARLEY_METRICS_H
#define PARLEY_METRICS_H

#include "bytes.h"
#include <stdatomic.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

/* Writes the HELP and TYPE lines of the family @name. Samples follow. */
void metrics_family(struct buf *out, const char *name, enum metric_type type, const char *help);

/* Writes one sample. @labels is "" or as in  reason="overloaded",room="a"  : from our own code, not escaped here. */
void metrics_sample(struct buf *out, const char *name, const char *labels, double value);

/* A family with one sample without labels. */
void metrics_single(struct buf *out, const char *name, enum metric_type type, const char *help,
                    double value);

enum { HISTOGRAM_BUCKETS_MAX = 24 };

/* Powers of two from 64 µs on: bucket i holds durations up to 64 µs << i, the last one all the rest (about 9 min). */
struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS_MAX];
    _Atomic uint64_t sum;
};

/* @value in microseconds, or any other unit that the family's name says when written with a @scale. Any thread. */
void histogram_record(struct histogram *histogram, uint64_t value);

/* How many values were recorded. Any thread. */
uint64_t histogram_count(const struct histogram *histogram);

/*
 * Writes the whole family. @scale turns recorded units into the name's (1e-6: µs recorded, seconds told); bucket bounds
 * are scaled alike.
 */
void metrics_histogram(struct buf *out, const char *name, const char *help, double scale,
                       const struct histogram *histogram);

/*
 * Appends the families of @text, which the functions above wrote, as a Markdown table: name, type, labels with their
 * values, help. For docs/operations.md. The values of the label "version" are left out, which are another build's.
 */
void metrics_write_markdown(struct bytes text, struct buf *out);

#endif
