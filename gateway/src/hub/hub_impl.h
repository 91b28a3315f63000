/*
 * hub_impl.h - the hub's own state, for the files of this folder only.
 *
 * Lifetimes  1. A room lives while it has members, joining members, or sends; then for the grace
 * time.
 *            2. A member belongs to its client's socket list and to one room; on_disconnect() ends
 * it. Its memory stays until the turn's end (hub.doomed), since a caller up the stack may still
 * hold it.
 *            3. A send belongs to its room from acceptance to outcome; its member may go first
 * (member NULL then).
 *            4. Nothing is freed while hub_flush() walks a list: world.flush() only peeks and
 * advances.
 */
#ifndef PARLEY_HUB_HUB_IMPL_H
#define PARLEY_HUB_HUB_IMPL_H

#include "base/list.h"
#include "base/map.h"
#include "hub.h"
#include "limits.h"
#include "pace.h"
#include "page.h"
#include "request.h"
#include "room_log.h"
#include "roster.h"

struct hub {
    struct hub_settings settings;
    struct hub_world world;
    struct timers *timers;
    struct eio_waits waits;     /* of all clients */
    struct eio_inboxes inboxes; /* likewise */
    struct sio_settings sio;
    struct hub_stats stats;

    struct map rooms;              /* by name */
    struct map sessions;           /* members by sid */
    struct map requests;           /* queries, by number */
    struct query_shard {           /* of each shard */
        unsigned asked;            /* queries that wait for the store's answer */
        struct turns waiting;      /* that wait for their turn to be asked */
        struct list heads_due;     /* rooms whose head is to be asked for */
        struct heads_query *heads; /* asked; NULL: none */
    } query_shards[CONTRACT_SHARDS];
    size_t queries_waiting; /* of all shards */
    struct map settlings;   /* by their client: handover.h */
    struct map appends;     /* rooms with an append in flight, by its number */
    uint64_t last_request;
    uint64_t last_client;
    uint64_t last_generated_id;

    size_t send_bytes;      /* of all sends */
    size_t ahead_bytes;     /* of all broadcasts ahead of their logs */
    size_t outbox_bytes;    /* of all clients' outboxes, as far as was noted: client.outbox_noted */
    struct client **greedy; /* clients to be closed at the turn's end, since they read too little */
    size_t greedy_count, greedy_capacity;

    struct log_budget log_budget;
    struct page_cache pages;

    size_t idle_count;
    struct list idle_rooms;    /* that nothing needs, since longest first */
    uint32_t *rooms_of_source; /* that are not idle, by room.source */
    size_t source_capacity;

    struct list dirty_rooms;   /* with news for their members, or with members that want to join */
    struct list dirty_clients; /* with something to write of their own */
    struct list catching_up;   /* clients whose page has come, some in a turn */
    struct list
        all_have_read; /* in catching_up, behind those who wait for pages that are too many */
    uint32_t joins_left, deliveries_left, histories_left; /* in this turn, of settings.…_per_turn */
    struct turns histories; /* questions for `chat history` for which there were none left */
    /* Of these, those that were told of a page, and have yet to read it: before and since page_cache_mark(). */
    size_t histories_told[2];
    uint8_t told_since; /* which of both grows */
    bool is_page_marked, have_readers_read;

    struct list doomed; /* members that have left; freed at the turn's end */

    struct list unsettled_sends; /* no outcome told yet, oldest first: each ends at arrival +
                                    send_deadline_ms */
    struct timer deadline_timer;
    /* committed sends that wait for the sender's own copy, at most ACK_WAIT_MS */
    struct list waiting_acks;
    struct timer ack_timer;

    /* of messages: by client number, by the hash of the username, by room name */
    struct pace clients_pace, users_pace, rooms_pace;
    struct pace typing_pace; /* by client number */
    struct pace joins_pace;  /* likewise */

    struct map passes, farewells, revocations; /* admission.h */

    struct timer heads_timer; /* at once, where some shard has heads to ask for */

    struct presence_hub {
        struct timer timer; /* the next turn: PRESENCE_TURN_MS */
        uint64_t turn_ms;   /* when the last one was */
        /* Rooms that are to tell other gateways what is new, or what they know already; and their members. */
        struct list changed, refreshing, telling;
        struct roster_budget names;
        uint32_t visits_left;
        struct presence *round; /* the room whose members are being told; NULL: none */
        uint32_t at;            /* room.members[at - 1] is the next one */
        struct buf census_frame, typing_frame;
        bool is_census_new, is_typing_new, has_typers;
    } presence;

    struct buf scratch; /* frames being encoded; used within one function only */
    struct flight {     /* what eio_session_peek() gave last, until eio_session_advance() */
        struct piece *pieces;
        size_t count;
        struct buf acks;
    } flight;
};

struct bytes request_key(const void *request);

static inline void hub_tell(struct hub *hub, const struct hub_event *event)
{
    hub->world.tell(hub->world.user, event);
}

#endif
