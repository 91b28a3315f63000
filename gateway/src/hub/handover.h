/*
 * handover.h - a client that moves to another gateway, at the end of its upgrade from polling to WebSocket.
 *
 *   old owner   hub_hand_over(): the members, their cursors and what they wait for leave as a Handover, and the session is
 *               CLOSED. What is on its way to the store stays here until it has an outcome (a *forward* holds who is
 *               told), since it may have been committed.
 *   new owner   hub_take_over(): the members go on from their cursors. Those sends are SEND_ELSEWHERE until their
 *               outcome comes, and what the client says meanwhile is SEND_HELD: it must not overtake them (P6). The
 *               old owner's last word, SETTLED, puts it into the queues of its rooms.
 *
 * Thread      The loop's.
 * Limits      Sends ELSEWHERE and HELD count like all others: CLIENT_SENDS_MAX for a client, and HELD ones in their
 *             room's ROOM_SENDS_MAX. A HELD send was never sent: its deadline drops it.
 */
#ifndef PARLEY_HUB_HANDOVER_H
#define PARLEY_HUB_HANDOVER_H

#include "send.h"

/* Old owner: who is told what becomes of the sends of a client that has moved. Lives while one of them does. */
struct forward {
    struct hub *hub;
    struct contract_peer_key to;
    uint32_t left; /* sends without an end */
    uint32_t told; /* outcomes */
};

/* New owner: what a client that came here waits for. */
struct settling {
    struct client *client;
    struct list elsewhere; /* sends, by send.of_room */
    struct list held;      /* likewise */
    uint32_t told;         /* outcomes that came */
};

/* Tells the new owner what became of @send, which has a forward. @reason: of CONTRACT_MOVED_REFUSED. */
void forward_tell(struct send *send, enum contract_moved_outcome_type type,
                  const struct contract_outcome *outcome, struct bytes reason);

/* @send ends: the last one settles. Without @tells nobody is told, since the hub ends. */
void forward_leave(struct send *send, bool tells);

/* Key of hub.settlings. */
struct bytes settling_key(const void *settling);

/* What @client waits for; NULL: nothing. */
struct settling *settling_of(struct client *client);

/* Frees what @client waits for; its members are gone. */
void settling_free(struct client *client);

#endif
