/*
 * churn.h - members that come and go all the time, while the others of their room stay: what one costs the server.
 */
#ifndef PARLEY_BENCH_CHURN_H
#define PARLEY_BENCH_CHURN_H

#include "options.h"

/*
 * Runs churn mode: the last --churners members connect, join, leave, and connect again. Appends the result to @out as a
 * JSON object. Returns false with a sentence in @ret_error instead when anything failed.
 */
MUST_USE bool churn_run(const struct load_options *options, struct buf *out, struct buf *ret_error);

#endif
