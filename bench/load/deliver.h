/*
 * deliver.h - messages at a steady rate: how late each member has each of them.
 *
 * A message's text begins with the time when it was due, so that any process of this machine that gets it can tell how old
 * it is; a server that falls behind cannot hide that by making its sender wait.
 */
#ifndef PARLEY_BENCH_DELIVER_H
#define PARLEY_BENCH_DELIVER_H

#include "options.h"

/*
 * Runs deliver mode, and appends the result to @out as a JSON object. The first member sends; with --nats, nobody does, and
 * what a store-service would have committed is published instead; with --rate 0, others do. Returns false with a sentence
 * in @ret_error instead when a message was lost, repeated or out of order.
 */
MUST_USE bool deliver_run(const struct load_options *options, struct buf *out,
                          struct buf *ret_error);

#endif
