/*
 * meter.h - CPU time and memory of the servers, CPU time of watched processes and of this one, over a stretch of time.
 */
#ifndef PARLEY_BENCH_METER_H
#define PARLEY_BENCH_METER_H

#include "base/bytes.h"
#include <sys/types.h>

enum {
    PROCESSES_MAX = 64,
    PROCESS_NAME_BYTES_MAX = 32,
};

/* A process whose CPU time is told, with its children's. */
struct watched_process {
    char name[PROCESS_NAME_BYTES_MAX];
    pid_t pid;
};

/* What is measured. */
struct meter {
    pid_t servers[PROCESSES_MAX]; /* whose CPU time together is the measure */
    size_t server_count;
    struct watched_process watched[PROCESSES_MAX]; /* told besides */
    size_t watched_count;
};

struct meter_reading {
    uint64_t at_us; /* monotonic */
    uint64_t own_us;
    uint64_t servers_us; /* all together */
    uint64_t watched_us[PROCESSES_MAX];
};

/* Reads the CPU time of all. Returns false, with a sentence in @ret_error, when a process is gone. */
MUST_USE bool meter_read(const struct meter *meter, struct meter_reading *ret_reading,
                         struct buf *ret_error);

/*
 * Reads the servers' memory, proportional set sizes together, in bytes: 0 when there are none. Walking their pages holds
 * them up: not while time is measured. Returns false, with a sentence in @ret_error, when it cannot be read.
 */
MUST_USE bool meter_read_pss(const struct meter *meter, uint64_t *ret_bytes, struct buf *ret_error);

/* CPU seconds of the servers, of this process, and what the clock says, between two readings. */
double meter_server_s(const struct meter_reading *begin, const struct meter_reading *end);
double meter_own_s(const struct meter_reading *begin, const struct meter_reading *end);
double meter_wall_s(const struct meter_reading *begin, const struct meter_reading *end);

/* Appends "seconds":…,"server_cpu_s":…,"load_cpu_s":…,"watched_cpu_s":{…} */
void meter_write(const struct meter *meter, const struct meter_reading *begin,
                 const struct meter_reading *end, struct buf *out);

#endif
