/*
 * room_log.h - the newest stretch of a room's log, as the bytes that go on the wire.
 *
 * Each message is a complete WebSocket frame, encoded once and read by every member. Members do not
 * own entries: a member is a cursor, the id it wants next.
 *
 * Thread      The loop's.
 * Invariants  1. Entries are contiguous: first, first + 1, …, head. An empty log has first = head
 * + 1.
 *             2. A log holds at most room_bytes_max bytes, all logs of a budget together at most
 * bytes_max; the oldest segment leaves first (of the log, and of all logs). The newest segment of a
 * log stays.
 *             3. A log that is full keeps three quarters of room_bytes_max at least, whenever the
 * oldest segment leaves for a new one: whoever is a little behind is served from memory always.
 * (Frames longer than a segment have one of their own.)
 *             4. An entry's bytes never change while it is in the log.
 */
#ifndef PARLEY_HUB_ROOM_LOG_H
#define PARLEY_HUB_ROOM_LOG_H

#include "segment.h"

struct room_log;

/* What all logs of a process share. */
struct log_budget {
    size_t bytes;
    size_t bytes_max;
    size_t room_bytes_max;
    struct log_segment *oldest, *newest; /* of all logs, in the order in which they were begun */
};

struct room_log {
    struct log_budget *budget;
    struct log_segment *oldest, *newest;
    uint64_t head; /* newest id; 0: none */
    size_t bytes;
};

enum room_log_result {
    ROOM_LOG_APPENDED, /* head moved */
    ROOM_LOG_KNOWN,    /* at or below head: a repeat, nothing changed */
    ROOM_LOG_AHEAD,    /* leaves a hole: ask the store for head + 1 .. id - 1 */
};

void room_log_init(struct room_log *log, struct log_budget *budget);

/* Forgets all entries; the next one to be appended is @head + 1. */
void room_log_reset(struct room_log *log, uint64_t head);
void room_log_release(struct room_log *log);

/* Appends the @frame of message @id, sent by the session with @sender_hash. Borrows @frame. */
MUST_USE enum room_log_result room_log_append(struct room_log *log, uint64_t id,
                                              uint64_t sender_hash, struct bytes frame);

/* The oldest id that the log holds; head + 1 when it is empty. */
uint64_t room_log_first(const struct room_log *log);

/* The segment that holds @id, valid until the next append or reset; NULL when the log does not
 * reach there. */
const struct segment *room_log_find(const struct room_log *log, uint64_t id);

#endif
