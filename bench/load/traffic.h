/*
 * traffic.h - senders with a window of messages in flight, and everybody's check of what arrives: in each room the same
 * ids, one after the other, from the first one on. Any gap, repeat or refusal ends the run: figures of a server that
 * loses messages mean nothing.
 */
#ifndef PARLEY_BENCH_TRAFFIC_H
#define PARLEY_BENCH_TRAFFIC_H

#include "options.h"

/*
 * Runs fanout or ack mode: connects, warms up, measures, waits for what is in flight, checks that every member has
 * everything, and appends the result to @out as a JSON object. Returns false with a sentence in @ret_error instead when
 * anything failed.
 */
MUST_USE bool traffic_run(const struct load_options *options, struct buf *out,
                          struct buf *ret_error);

#endif
