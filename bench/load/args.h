/*
 * args.h - words of a command line: numbers, durations, addresses, processes. Every parser returns false with a sentence
 * in @error, which names the option, and leaves what it would have set, when the value will not do.
 */
#ifndef PARLEY_BENCH_ARGS_H
#define PARLEY_BENCH_ARGS_H

#include "meter.h"
#include <netinet/in.h>

enum { ADDRESSES_MAX = 64 };

/* IPv4 addresses of servers; connections take turns. */
struct addresses {
    struct sockaddr_in of[ADDRESSES_MAX];
    size_t count;
};

/* An option whose value is a number; a table of them ends with one that has no name. */
struct number_option {
    const char *option;
    uint32_t *number;
    uint32_t min, max;
};

enum args_result {
    ARGS_TAKEN,
    ARGS_WRONG,   /* a sentence says why */
    ARGS_UNKNOWN, /* there is no such option in the table */
};

/* Appends that @option's value is not what it must be. Returns false. */
bool args_fail(struct buf *error, const char *option, const char *value, const char *must);

MUST_USE enum args_result args_number(const struct number_option *table, const char *option,
                                      const char *value, struct buf *error);

/* A number of seconds, perhaps with a fraction, of an hour at most. */
MUST_USE bool args_seconds(const char *option, const char *value, uint32_t *ret_ms,
                           struct buf *error);

/* on or off. */
MUST_USE bool args_switch(const char *option, const char *value, bool *ret, struct buf *error);

/* Appends to @addresses; the value's commas are cut in place. */
MUST_USE bool args_addresses(const char *option, char *value, struct addresses *addresses,
                             struct buf *error);

/* --server-pid PID[,…] and --watch NAME=PID, into @meter. */
MUST_USE enum args_result args_meter(const char *option, char *value, struct meter *meter,
                                     struct buf *error);

#endif
