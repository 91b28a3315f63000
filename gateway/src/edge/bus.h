/*
 * bus.h - the gateway's connection to NATS.
 *
 *   loop ── commands ──▶ bus thread ── nats.c ──▶ NATS          publishing may block: never in the loop
 *   loop ◀── mailbox ─── nats.c's delivery thread ◀── NATS      decoded there, handled in the loop
 *
 * Both ways go through h2o_multithread; there is no lock of our own. A NATS that is not there is waited for, for ever:
 * what is asked meanwhile is dropped, since the hub asks again until it is answered; subscriptions are kept.
 *
 * Limits  Commands: BUS_COMMAND_BYTES_MAX of requests wait for the bus thread; what is more is dropped, like what a
 *         network loses. Mailbox: BUS_MAIL_BYTES_MAX of broadcasts; what is more is dropped, and on_restored() is called,
 *         which has every room's head checked. What other gateways ask and answer is dropped like broadcasts: it counts
 *         as lost, and whoever waits for it finds out. Replies have BUS_REPLY_BYTES_MAX, which is more than the hub asks
 *         for at a time; only answers to repeats, of a store that was frozen, can pass it, and are dropped: what lacks an
 *         answer is asked again. Presence has half of the mailbox at most, so that it is never in the way of the rest, and is dropped
 *         past that: it is told again. All bytes are counted as they come; decoded, small messages take three times as much.
 *         Subscriptions: nats.c keeps BUS_PENDING_BYTES_MAX and BUS_PENDING_MESSAGES_MAX of each until its thread has
 *         looked at them, which only drops while the mailbox is full; past that nats.c drops, and says so.
 *
 * A NATS whose max_payload is smaller than CONTRACT_MESSAGE_BYTES_MAX counts as none: what does not fit would be asked
 * again for ever.
 *
 * Thread  The loop's, but for what the .c says.
 */
#ifndef PARLEY_EDGE_BUS_H
#define PARLEY_EDGE_BUS_H

#include "base/nats_connect.h"
#include "proto/contract_control.h"
#include "proto/contract_peer.h"
#include <h2o.h>

enum {
    BUS_COMMAND_BYTES_MAX = 64 * 1024 * 1024,
    BUS_MAIL_BYTES_MAX = 64 * 1024 * 1024,
    BUS_PRESENCE_BYTES_MAX = BUS_MAIL_BYTES_MAX / 2, /* ... of which presence comes in */
    BUS_REPLY_BYTES_MAX = 160 * 1024 * 1024,
    BUS_PENDING_BYTES_MAX = 16 * 1024 * 1024,
    BUS_PENDING_MESSAGES_MAX = 65536,
};

struct bus;

struct bus_callbacks {
    void *user;
    void (*on_room_event)(void *user, struct contract_room_event *event); /* takes it */
    /* @reply NULL: nobody there to answer, or no sense in the answer. Borrowed. */
    void (*on_append_reply)(void *user, uint64_t request,
                            const struct contract_append_reply *reply);
    void (*on_query_reply)(void *user, uint64_t request, const struct contract_query_reply *reply);
    /* Another gateway asks. Borrowed. */
    void (*on_peer_request)(void *user, const struct contract_peer_request *request);
    /* Another gateway answers. @answer NULL: there is none of that name, or no sense in the answer. Borrowed. */
    void (*on_peer_answer)(void *user, uint64_t number, const struct contract_peer_answer *answer);
    /* Another gateway says who is in a room there. Borrowed. */
    void (*on_presence)(void *user, const struct contract_presence *presence);
    /* A store-service tells all gateways something; borrowed. @reply: for bus_answer_control(); "": nobody waits for an answer. */
    void (*on_control)(void *user, const struct contract_control *control, const char *reply);
    /* NATS is there (again), or broadcasts were dropped. */
    void (*on_restored)(void *user);
};

/*
 * Starts to connect to @nats; does not wait for it. Returns NULL with a sentence that names the setting in @ret_error when that
 * can never work.
 */
MUST_USE struct bus *bus_new(h2o_loop_t *loop, const struct nats_settings *nats,
                             struct bytes gateway_id, const struct bus_callbacks *callbacks,
                             struct buf *ret_error);

/* Closes the connection, ends the thread and frees. Accepts NULL. */
void bus_free(struct bus *bus);

bool bus_is_connected(const struct bus *bus);

/* Whether NATS is there, but takes too little. */
bool bus_is_too_small(const struct bus *bus);

void bus_subscribe(struct bus *bus, struct bytes room);
void bus_unsubscribe(struct bus *bus, struct bytes room);

/* Listens, or not, to what other gateways say of who is in @room, which is subscribed; bus_unsubscribe() ends that too. */
void bus_watch(struct bus *bus, struct bytes room, bool listens);

enum bus_request_type { BUS_APPEND, BUS_QUERY };

/* Publishes a request whose answer comes back under the same @number. Borrows @payload. */
void bus_request(struct bus *bus, enum bus_request_type type, unsigned shard, uint64_t number,
                 struct bytes payload);

void bus_publish_to_room(struct bus *bus, struct bytes room, struct bytes payload);

/* Publishes a Presence to whoever watches @room. Borrows @payload. */
void bus_publish_presence(struct bus *bus, struct bytes room, struct bytes payload);

/* Publishes a PeerRequest to the gateway @peer. Borrows @payload. */
void bus_ask_peer(struct bus *bus, const char peer[CONTRACT_GATEWAY_ID_BYTES], uint64_t number,
                  struct bytes payload);

/* Publishes a PeerAnswer to whoever asks with @key. Borrows @payload. */
void bus_answer_peer(struct bus *bus, const struct contract_peer_key *key, struct bytes payload);

/* Publishes a ControlReply. Borrows @payload. */
void bus_answer_control(struct bus *bus, const char *reply, struct bytes payload);

struct bus_stats {
    uint64_t reconnects;
    uint64_t mail_dropped; /* broadcasts */
    uint64_t replies_dropped;
    uint64_t peer_mail_dropped; /* of other gateways */
    uint64_t presence_dropped;
    uint64_t commands_dropped; /* requests and announcements */
    uint64_t slow_consumer;    /* notices from nats.c */
    bool is_connected;
    size_t subscriptions;                          /* of rooms now */
    size_t mail_bytes, reply_bytes, command_bytes; /* that wait now */
};

struct bus_stats bus_stats(const struct bus *bus);

#endif
