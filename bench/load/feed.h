/*
 * feed.h - a store-service that stores nothing: what is published through it reaches gateways as if it had just been
 * committed, and it answers what gateways ask about one room, so that nothing but the way from a commit to the members is
 * measured.
 *
 * Thread  The caller's; answers are given by nats.c's own.
 */
#ifndef PARLEY_BENCH_FEED_H
#define PARLEY_BENCH_FEED_H

#include "base/bytes.h"

struct feed;

/*
 * Connects to the NATS at @url, where there must be no store-service, and answers for the room <@room_prefix>-0. Returns
 * NULL with a sentence in @ret_error when that fails. Returns owned.
 */
MUST_USE struct feed *feed_new(const char *url, const char *room_prefix, struct buf *ret_error);

/* Publishes a message with @body, which has the room's next id from 1 on. */
void feed_publish(struct feed *feed, struct bytes body);

/* Accepts NULL. */
void feed_free(struct feed *feed);

#endif
