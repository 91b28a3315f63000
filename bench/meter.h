/*
 * meter.h - CPU time of the servers, of watched processes and of this one, over a stretch of time.
 */
#ifndef PARLEY_BENCH_METER_H
#define PARLEY_BENCH_METER_H

#include "options.h"

struct meter_reading {
    uint64_t at_us; /* monotonic */
    uint64_t own_us;
    uint64_t servers_us; /* all together */
    uint64_t watched_us[PROCESSES_MAX];
};

/* Reads everything that @options names. Returns false, with a sentence in @ret_error, when a process is gone. */
MUST_USE bool meter_read(const struct load_options *options, struct meter_reading *ret_reading,
                         struct buf *ret_error);

/* Appends "seconds":…,"server_cpu_s":…,"load_cpu_s":…,"watched_cpu_s":{…} */
void meter_write(const struct load_options *options, const struct meter_reading *begin,
                 const struct meter_reading *end, struct buf *out);

#endif
