/*
 * client.h - a connection, and its members: its places in rooms. What goes out to it is flight.h's.
 *
 * Thread      The loop's.
 * Invariants  A member's cursor is the next id it is to be sent; all below was written to the socket whole, was told as a
 *             gap, or stands at the front of the outbox.
 */
#ifndef PARLEY_HUB_CLIENT_H
#define PARLEY_HUB_CLIENT_H

#include "room.h"

struct client {
    /* What each delivery looks at comes first, up to sio's outbox and state. */
    void *transport;
    uint32_t outbox_noted;   /* what its outbox has of hub.outbox_bytes */
    uint16_t member_count;   /* rooms_per_client_max at most, which is 10,000 at most */
    bool is_catching_up : 1; /* `dirty` is in hub.catching_up */
    bool is_greedy : 1;      /* in hub.greedy */
    bool is_settling : 1; /* it came from another gateway that has yet to settle: hub.settlings */
    bool is_leaving : 1;  /* hub.farewells */
    uint16_t send_count : 12; /* of all members: without outcome; CLIENT_SENDS_MAX at most */
    struct sio_client sio;
    struct list dirty; /* hub.dirty_clients, or hub.catching_up */
    uint32_t number;   /* for logs; low bits */
    uint32_t source;   /* where it comes from: hub_world.source() */
};

/* What a CONNECT asked for, while it is held. */
struct join {
    struct chat_auth auth;
    struct buf pid_storage;
    struct pid pid;  /* of `has_pid`; borrows from pid_storage */
    char *pid_token; /* as the client sent it; NULL: none that is valid */
    /* It had joined on another gateway, and goes on here behind this id. */
    bool is_moved;
    uint64_t moved_epoch, moved_id;
    /* room.heads_answered that settles an offset past our head; 0: not asked */
    uint64_t answers_needed;
};

struct page_wait; /* of a member that stands still */

struct member {
    /* What each delivery looks at comes first, up to wants_own. */
    struct sio_socket socket;
    struct room *room;
    uint64_t cursor;
    struct list acks; /* COMMITTED sends, waiting for the own copy */
    uint32_t index;   /* in room.members, once joined */
    uint8_t username_len;
    bool wants_own : 1; /* auth.echo */
    /* That it resumed its session was told to all, and has not come back from there. */
    bool is_news_due : 1;
    bool wants_presence : 1;               /* auth.presence */
    bool is_typing : 1;                    /* in room.presence->typers */
    bool owes_census : 1, owes_typing : 1; /* it has yet to be told the newest */
    bool knows_typers : 1;                 /* it may have been told last that somebody types */
    bool has_pass : 1;                     /* in hub.passes */
    uint8_t history_count;
    struct join *join;           /* NULL once joined */
    struct list link;            /* room.joining while held, hub.doomed at the end */
    struct page_wait *page_wait; /* NULL: it waits for no page */
    struct list sends;           /* without outcome */
    struct list histories;
    char sid[PID_SID_BYTES];
    char username[];
};

/* Which is where its settings are. */
static inline struct hub *client_hub(const struct client *client)
{
    const struct eio_settings *settings = client->sio.eio.settings;
    return (struct hub *)((uintptr_t)settings - offsetof(struct hub, sio.eio));
}

static inline struct client *member_client(const struct member *member)
{
    return CONTAINER_OF(member->socket.client, struct client, sio);
}

static inline struct bytes member_username(const struct member *member)
{
    return bytes_of(member->username, member->username_len);
}

static inline struct bytes member_sid(const struct member *member)
{
    return bytes_of(member->sid, PID_SID_BYTES);
}

/* Key of hub.sessions. */
struct bytes member_key(const void *member);

/* The client has something to write: hub_flush() looks at it. */
void client_wake(struct client *client);

/* Notes what waits in the outbox of @client, which has just been flushed. */
void client_note_outbox(struct client *client);

/* Closes those that were found to have too much in it. */
void client_close_greedy(struct hub *hub, uint64_t now_ms);

/* Joins those of @room that can be joined by now, as far as the turn's joins_left go; the rest with the next turn. */
void client_join_waiting(struct room *room, uint64_t now_ms);

/* Ids from @first on are new: whoever is past it is told a gap and goes on from there. */
void member_cut_cursor(struct member *member, uint64_t first);

/* Tells the member that the ids from..to will not be sent. */
void member_tell_gap(struct member *member, uint64_t from, uint64_t to, const char *reason);

/* Another connection holds a session of @room now: ours is closed, if we have it and it is not that
 * one. */
void client_on_session_resumed(struct hub *hub, struct room *room,
                               const struct contract_room_event *event, uint64_t now_ms);

/* Frees the members that have left. */
void client_reap(struct hub *hub);

/* Where a client of @transport comes from: hub_world.source(). */
uint32_t client_source(const struct hub *hub, const void *transport);

/* A client that has nothing yet, without a session. */
struct client *client_new(struct hub *hub, void *transport);

/* A member of the room @name that is to join it. @username has at most 255 bytes. */
struct member *member_new(struct client *client, struct bytes name, struct bytes username,
                          bool wants_own, uint64_t now_ms);

/*
 * A CONNECT to @room, whose namespace is @namespace, with @auth, a scanned JSON object or len 0: @client gets a member that is to
 * join, or is refused.
 */
void client_connect(struct client *client, struct bytes namespace, struct bytes room,
                    struct bytes auth, uint64_t now_ms);

/* Makes @member the one that has its session, on this gateway; another one gives way. */
void member_own_session(struct member *member, uint64_t now_ms);

/* Sets the library's callbacks in hub.sio, and makes hub.flight. */
void client_init_settings(struct hub *hub);

#endif
