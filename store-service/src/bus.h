/*
 * bus.h - the store-service's end of NATS: requests come in, replies and broadcasts go out.
 *
 * nats.c connects by itself, and again after every loss. A reply or broadcast that it does not take (its buffer is full
 * while there is no connection) is dropped and counted: the gateways ask again.
 *
 * Thread  on_request is called in a thread of nats.c's and must not block. bus_reply(), bus_publish_room(),
 *         bus_tell_gateways(), bus_stop_receiving(), bus_flush(): any. The rest: the main thread's.
 */
#ifndef PARLEY_STORE_BUS_H
#define PARLEY_STORE_BUS_H

#include "base/nats_connect.h"
#include "config.h"
#include "queue.h"
#include "stats.h"

#include <nats/nats.h>

enum bus_subject { BUS_APPEND, BUS_READ };

/* A request, from its arrival to its reply. */
struct bus_request {
    struct queue_entry entry;
    enum bus_subject subject;
    unsigned shard;      /* of the subject */
    uint64_t arrived_us; /* clock_monotonic_us() */
    natsMsg *message;
};

struct bus;

struct bus_callbacks {
    /* Takes @request: it must end in bus_reply(). */
    void (*on_request)(void *user, struct bus_request *request);
    /* NATS is there, or there again: bus_receive() may be called. In a thread of the bus's or of nats.c's. */
    void (*on_connected)(void *user);
    void *user;
};

/*
 * Begins to connect to @nats and returns at once. Returns NULL, with a sentence in @ret_error that names the setting, when that can
 * never work. Keeps @callbacks by value, @stats by reference.
 */
MUST_USE struct bus *bus_new(const struct nats_settings *nats,
                             const struct bus_callbacks *callbacks, struct stats *stats,
                             struct buf *ret_error);

/* Enters the queue group for the shards of @range, once NATS is there. Returns false when NATS fails, with a sentence in @ret_error. */
MUST_USE bool bus_receive(struct bus *bus, struct shard_range range, struct buf *ret_error);

/*
 * Leaves the queue group, so that everything new goes to others, and takes what NATS had sent here before; returns when
 * on_request will not be called any more, after DRAIN_MS_MAX at most.
 */
void bus_stop_receiving(struct bus *bus);

/* Waits until NATS has what was published and replied so far, DRAIN_MS_MAX at most. */
void bus_flush(struct bus *bus);

/* Closes the connection and frees. All requests have been replied to. Accepts NULL. */
void bus_free(struct bus *bus);

/* Whether there is a NATS that takes what we have to say. */
bool bus_is_connected(const struct bus *bus);

/* Whether there is one whose max_payload is too small for that: it counts as none. */
bool bus_is_too_small(const struct bus *bus);

struct bytes bus_payload(const struct bus_request *request);

/* Answers @request and frees it. */
void bus_reply(struct bus *bus, struct bus_request *request, struct bytes payload);

/* Publishes @payload, an encoded room event, to @room. */
void bus_publish_room(struct bus *bus, struct bytes room, struct bytes payload);

/*
 * Publishes @payload, an encoded Control, to all gateways; and, unless @wait_ms is 0, hands each ControlReply that comes within that
 * time to @on_reply. Blocks as long. False: there is no NATS. Any thread.
 */
MUST_USE bool bus_tell_gateways(struct bus *bus, struct bytes payload, uint64_t wait_ms,
                                void (*on_reply)(void *user, struct bytes payload), void *user);

#endif
