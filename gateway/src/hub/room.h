/*
 * room.h - a room on this gateway: the newest stretch of its log, its members, and what is on its
 * way to the store.
 *
 *              first member               the store's answer
 *   (none) ───────────────────▶ OPENING ─────────────────────▶ LIVE ───── new epoch ─────▶ OPENING
 *      ▲                        subscribed, asked for           │
 *      │                        head and newest messages        │ no members, no sends, for the
 * grace time └────────────────────────────────────────────────────────┘
 *
 * Thread      The loop's.
 * Invariants  1. While LIVE, log.head is the newest id of an unbroken row: appended is only head
 * + 1. What comes ahead waits in `ahead`, or is fetched.
 *             2. At most one append is in flight. Sends leave `queue` in their order; nothing
 * overtakes a batch that was ever sent.
 *             3. members[i]->index == i.
 *             4. A LIVE room hears of every message in the end: a heads check is always set, asked
 * or under way.
 */
#ifndef PARLEY_HUB_ROOM_H
#define PARLEY_HUB_ROOM_H

#include "hub_impl.h"

struct member;
struct presence;
struct send;

enum room_state { ROOM_OPENING, ROOM_LIVE };

enum { ROOM_EPOCHS_MAX = 16 }; /* the newest are kept; offsets of older ones count as absent */

struct room {
    struct hub *hub;
    enum room_state state;
    unsigned shard;
    uint64_t epoch;
    uint64_t oldest;     /* the oldest id that the store still has */
    uint64_t store_head; /* newest head heard of; log.head is on its way there */
    struct room_log log;
    struct list dirty; /* in hub.dirty_rooms */
    /* Members that have yet to be flushed since the log grew: so many from members[news_at] on, around the end. */
    uint32_t news_at, news_left;

    struct member **members;
    uint32_t member_count;
    uint32_t member_capacity;
    struct list joining;

    struct list queue; /* sends that wait */
    uint32_t queue_count;
    size_t queue_bytes;
    struct list batch;      /* sends in flight */
    uint64_t append_number; /* 0: none in flight */
    uint32_t append_backoff_ms;
    bool append_was_sent;
    struct timer append_timer;

    struct contract_room_event **ahead; /* AHEAD_EVENTS_MAX places, while there is one */
    uint32_t ahead_count;
    size_t ahead_messages;
    struct timer ahead_timer;
    struct request range; /* opening, or repairing */

    struct list pages;
    struct timer heads_timer;
    struct list heads_due; /* query_shard.heads_due */
    uint32_t heads_interval_ms;
    uint64_t heads_answered; /* how often the store has told the head */
    bool heads_pending;      /* due, or asked */

    struct timer grace_timer;
    struct list idle;          /* hub.idle_rooms, while nothing needs it */
    uint32_t source;           /* the client.source for which it counts, while it is not idle */
    struct presence *presence; /* NULL: nobody wants to know who is here */
    uint32_t epoch_count;
    struct contract_epoch_start *epochs; /* ascending, at most ROOM_EPOCHS_MAX */
    uint8_t namespace_len;               /* 1 for the lobby, whose namespace is "/" */
    uint8_t name_len;
    char text[]; /* "/name" */
};

static inline struct bytes room_name(const struct room *room)
{
    return bytes_of(room->text + 1, room->name_len);
}

static inline struct bytes room_namespace(const struct room *room)
{
    return bytes_of(room->text, room->namespace_len);
}

/* Key of hub.rooms. */
struct bytes room_key(const void *room);

/* Whether the room called @name is open, and somebody is in it, or about to be. */
bool room_is_needed(const struct hub *hub, struct bytes name);

enum room_limit { ROOM_LIMIT_NONE, ROOM_LIMIT_FULL, ROOM_LIMIT_ADDRESS };

/*
 * What keeps @source (client.source) from opening @count rooms that are not needed yet: more than rooms_max would be, or more than
 * rooms_per_source_max that count for @source.
 */
enum room_limit room_limit_of(const struct hub *hub, uint32_t source, size_t count);

/* The room called @name, opened if need be for @source; past rooms_max, the one that was not needed for longest goes. */
struct room *room_get(struct hub *hub, struct bytes name, uint32_t source, uint64_t now_ms);

/* Frees the room and all it holds; it must have no members. */
void room_free(struct room *room);

/* Adds and removes members. A room that has nobody left goes after the grace time. */
void room_add_member(struct room *room, struct member *member);
void room_remove_member(struct room *room, struct member *member, uint64_t now_ms);

/* The log grew: each member is flushed, as far as each turn's deliveries go. */
void room_wake_members(struct room *room);

/* Something of @room changed that hub_flush() must look at. */
void room_wake(struct room *room);

/* @member is not in the room, nor about to be, any more. A room counts for the source of one who is. */
void room_left_by(struct room *room, const struct member *member, uint64_t now_ms);

/* Starts the grace time where nothing needs the room any more. */
void room_maybe_idle(struct room *room, uint64_t now_ms);

/* The store said that the room's head is @head in @epoch. */
void room_note_head(struct room *room, uint64_t epoch, uint64_t head, uint64_t now_ms);

/* Asks the store for the head, soon. */
void room_check_head(struct room *room, uint64_t now_ms);

/* Appends the frame of the message @stored with @id, as the members of @room get it, to @out. */
void room_append_frame(const struct room *room, uint64_t id,
                       const struct contract_stored_message *stored, struct buf *out);

/* Appends messages from the store or a broadcast, from @first_id on, as far as they are next. */
void room_append_messages(struct room *room, uint64_t first_id,
                          const struct contract_stored_message *messages, size_t count,
                          uint64_t now_ms);

/* The segment with the message @id, from the log or a page; NULL when it must be fetched:
 * page_want(). */
const struct segment *room_find(struct room *room, uint64_t id);

enum room_offset_result { ROOM_OFFSET_OK, ROOM_OFFSET_CUT, ROOM_OFFSET_AHEAD, ROOM_OFFSET_INVALID };

/*
 * What the offset @id of @epoch (0: the current one) is in the room's current epoch: itself, or cut
 * back to where the next epoch began (ROOM_OFFSET_CUT). ROOM_OFFSET_AHEAD: past what this gateway
 * knows.
 */
enum room_offset_result room_translate_offset(const struct room *room, uint64_t epoch, uint64_t id,
                                              uint64_t *ret_id);

/* Runs the heads queries that are due; the hub's heads timer. */
void room_on_heads_timer(struct timer *timer, uint64_t now_ms);

/* Forgets all heads queries, for the hub's end. */
void room_cancel_heads(struct hub *hub);

#endif
