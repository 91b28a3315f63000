/*
 * swarm.h - many clients on one epoll loop.
 *
 * What clients want to say in one turn of the loop goes out at its end, in one write for each, as a browser's would.
 */
#ifndef PARLEY_BENCH_SWARM_H
#define PARLEY_BENCH_SWARM_H

#include "client.h"
#include "options.h"

struct swarm {
    const struct load_options *options;
    struct client_settings settings;
    struct client *clients; /* options->members of them, the senders first */
    uint32_t started_count;
    uint32_t joined_count;
    int epoll;
    struct client **dirty; /* those with something to write */
    uint32_t dirty_count;
    char *read_buffer;
    struct buf
        error; /* a sentence, once anything failed; handlers may append one, and the turn then fails */
};

/*
 * Prepares the clients, unconnected. Keeps @options. Returns false, with a sentence in swarm->error, when this process
 * may not open so many sockets: its soft limit is raised to the hard one. Release it in any case.
 */
MUST_USE bool swarm_init(struct swarm *swarm, const struct load_options *options,
                         struct client_handlers handlers);
void swarm_release(struct swarm *swarm);

/*
 * Connects all clients, and waits until all have joined. Returns false with a sentence in swarm->error when that takes
 * more than a minute and 5 ms for each join, or when a connection fails.
 */
MUST_USE bool swarm_connect(struct swarm *swarm);

/* Closes the connection of @client, unless it has none: UNUSED again. Not from its own handlers. */
void swarm_stop(struct swarm *swarm, struct client *client);

/* Connects @client, which is UNUSED, to its server. Returns false with a sentence in swarm->error when there is no socket. */
MUST_USE bool swarm_start(struct swarm *swarm, struct client *client);

/*
 * One turn of the loop: waits at most @timeout_ms for news, handles them, writes. Returns false with a sentence in
 * swarm->error when a connection was lost, unless somebody handles that.
 */
MUST_USE bool swarm_turn(struct swarm *swarm, int timeout_ms);

/* Turns until @until_us of the monotonic clock. */
MUST_USE bool swarm_run_until(struct swarm *swarm, uint64_t until_us);

/* Sends an event at the end of the turn: see client_emit(). */
void swarm_emit(struct swarm *swarm, struct client *client, const uint64_t *ack_id,
                struct bytes arguments);

#endif
