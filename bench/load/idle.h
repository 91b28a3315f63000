/*
 * idle.h - connections that say nothing but their heartbeats: what they cost the servers.
 */
#ifndef PARLEY_BENCH_IDLE_H
#define PARLEY_BENCH_IDLE_H

#include "options.h"

/*
 * Runs idle mode: reads the servers' memory, connects, lets them settle, measures, and appends the result to @out as a
 * JSON object. Returns false with a sentence in @ret_error instead when anything failed.
 */
MUST_USE bool idle_run(const struct load_options *options, struct buf *out, struct buf *ret_error);

#endif
