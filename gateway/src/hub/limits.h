/*
 * limits.h - every bound of the hub, with what happens at it. Bounds that users may set are in
 * edge/config.def.
 */
#ifndef PARLEY_HUB_LIMITS_H
#define PARLEY_HUB_LIMITS_H

#include "proto/contract_peer.h"
#include "wire/chat.h"
#include "wire/eio.h"

enum {
    /* Who joins without an offset gets so many of the newest messages. */
    RECENT_MESSAGES = 50,

    /* Small packets that wait for a client's socket (acks, errors, one history page); past it the
       client is closed. */
    CLIENT_OUTBOX_BYTES_MAX = 512 * 1024,

    /* Bytes and pieces that one write takes; more goes out with the next. */
    CLIENT_WRITE_BYTES = 256 * 1024,
    CLIENT_WRITE_PIECES_MAX = 64,

    /* What waits for the sockets of all clients together; past it, who has more than its share of small packets is closed,
       and `chat history` is answered `overloaded`. */
    OUTBOXES_BYTES_MAX = 64 * 1024 * 1024,
    CLIENT_OUTBOX_SHARE_BYTES = 32 * 1024,

    /* What all clients together have sent of packets that are not all there; past it, who sends more of one and has a share of it
       is closed. */
    INBOXES_BYTES_MAX = 64 * 1024 * 1024,
    CLIENT_INBOX_SHARE_BYTES = 16 * 1024,

    /* So many members join in one turn, so many clients read on whose page has come, and so many
       members get what is new in their rooms. The others have their turn in the next ones, which
       come at once: so neither a storm nor a large room holds up anybody else. */
    JOINS_PER_TURN = 64,
    CATCH_UPS_PER_TURN = 32,
    DELIVERIES_PER_TURN = 1024,

    /* The same of answers to `chat history`, from the beginning of one turn's flush to the next. */
    HISTORIES_PER_TURN = 16,

    /* And what one turn writes to members with news, to clients with packets of their own, and to those that read on: so much
       each, and what the last one of them gets. */
    BYTES_PER_TURN = 2 * 1024 * 1024,

    /* How often one connection may join rooms: in the long run; and at once, so many times ROOMS_PER_CLIENT_MAX. Past it, it is
       closed: nobody does that but to do harm. */
    JOINS_PER_SECOND = 10,
    JOINS_BURST = 3,

    /* A connection whose token is stale closes after a time between these. */
    FAREWELL_MS_MIN = 5000,
    FAREWELL_MS_MAX = 10000,
    /* Whether a pass has expired is looked at so often, at least: clocks may be set. */
    PASS_CHECK_MS = 60 * 1000,
    /* Tokens, or users, that were revoked, and whose tokens have not expired yet. */
    REVOCATIONS_MAX = 100000,

    /* Messages of one client that have no outcome yet; past it: chat error `overloaded`. */
    CLIENT_SENDS_MAX = 1024,

    /* Messages of a room that wait for the append in flight; past either: chat error `overloaded`.
     */
    ROOM_SENDS_MAX = 8192,
    ROOM_SENDS_BYTES_MAX = 4 * 1024 * 1024,

    /* Memory of the messages of all rooms that have no outcome, or whose acknowledgement waits; past it: chat error
       `overloaded`. */
    SENDS_BYTES_MAX = 64 * 1024 * 1024,

    /* Messages of one append. */
    APPEND_MESSAGES_MAX = 1024,

    /* An append or a query is sent again when it was not answered in this time ... */
    REQUEST_TIMEOUT_MS = 1500,
    /* ... and, after an answer that says "not now", when this has passed, doubling. */
    REQUEST_BACKOFF_MIN_MS = 50,
    REQUEST_BACKOFF_MAX_MS = 1000,

    /* Queries of one shard that wait for the store's answer, which may have CONTRACT_MESSAGE_BYTES_MAX; more wait for
       their turn, in order. Of one shard, since others' stores may be well when its is not. */
    QUERIES_OF_SHARD_MAX = 4,

    /* An acknowledgement waits at most so long for the sender's own copy. */
    ACK_WAIT_MS = 1000,

    /* Broadcasts ahead of the next id: how long a hole may stay before it is asked for, and how
       much is kept, for a room and for all of them; what is more is dropped, and fetched like the hole. */
    AHEAD_WAIT_MS = 20,
    AHEAD_EVENTS_MAX = 64,
    AHEAD_MESSAGES_MAX = 4096,
    AHEAD_BYTES_MAX = 32 * 1024 * 1024,

    /* A log that is further behind the store's head starts anew at the head; its members read pages
       meanwhile. */
    REPAIR_MESSAGES_MAX = 4 * CONTRACT_PAGE,

    /* Heads checks: after a room's last news, doubling; and how many rooms one query asks for. */
    HEADS_INTERVAL_MIN_MS = 1000,
    HEADS_INTERVAL_MAX_MS = 60000,
    HEADS_ROOMS_PER_QUERY = 256,

    /* Pages that are asked for at a time, in all rooms; more wait for their turn. */
    PAGES_FETCHING_MAX = 32,
    /* What the messages of one answer may take in memory, and so what is kept free for each that is asked for; what is
       beyond is asked for again. */
    PAGE_ANSWER_BYTES_MAX = 1024 * 1024,
    /* Where pages come in parts, who reads backward is brought so many messages, at least, in front of the one that it
       waits for; all of them always fit into an answer. */
    PAGE_BACK_MESSAGES = 6,

    /* Answers to `chat history`: bytes of one, and how many a member may wait for; past it:
       `overloaded`. */
    HISTORY_BYTES_MAX = 128 * 1024,
    HISTORY_WAITING_MAX = 4,
    /* Pages that an answer waits for, and gets all from where memory holds them; past it, it is the
       shorter one that the last page made possible. */
    HISTORY_WAITS_MAX = 2,

    /* Who is here is told with names while the members of the room, on all gateways, are so many; past it: a count. */
    ROSTER_NAMES_MAX = 200,
    /* Other gateways of a room that are kept apart; who is one too many does not count. */
    ROSTER_GATEWAYS_MAX = 256,
    /* Names of other gateways' members, of all rooms; past it: a count. */
    PRESENCE_BYTES_MAX = 32 * 1024 * 1024,
    PRESENCE_VALID_MS_MAX = 3600 * 1000,

    /* A room's members are told of changes, and so are other gateways, once in this time at most. */
    PRESENCE_INTERVAL_MS = 1000,
    /* The first to ask in a room is answered after this time, so that other gateways have been heard. */
    PRESENCE_FIRST_MS = 200,
    /* Refreshes without a word after which a gateway counts as gone. */
    PRESENCE_REFRESHES = 3,
    /* Of all rooms together, in one turn of that length: members that are looked at and told; rooms of which other
       gateways are told, and bytes for that. What is more waits for the next turn, in order, and is then told in its
       newest state. */
    PRESENCE_TURN_MS = 50,
    PRESENCE_VISITS_PER_TURN = 512,
    PRESENCE_ROOMS_PER_TURN = 64,
    PRESENCE_BYTES_PER_TURN = 64 * 1024,

    /* How often one connection may say that somebody types, in the long run and at once; more is not looked at. */
    TYPING_PER_SECOND = 2,
    TYPING_BURST = 20,
    /* Who says no more that it types does not any more. */
    TYPING_MS = 6000,
    /* Typers are told to other gateways so often, since those forget them after TYPING_MS. */
    TYPING_REPEAT_MS = 2000,
    /* Members of a room here that type; more are not shown. */
    TYPERS_OF_ROOM_MAX = 64,

    /* Bytes of the blocks that a room's log grows in, and of how many a full one consists at least. */
    SEGMENT_BYTES_MIN = 512,
    SEGMENT_BYTES_MAX = 64 * 1024,
    LOG_SEGMENTS_MIN = 8,
};

static_assert((int)CLIENT_WRITE_BYTES >= (int)EIO_PEEK_BYTES, "what one peek gives");
/* A whole heads query stays far below what NATS takes. */
static_assert(HEADS_ROOMS_PER_QUERY * (CONTRACT_ROOM_BYTES_MAX + 4) <
                  CONTRACT_MESSAGE_BYTES_MAX / 8,
              "heads query");
/* One answer to `chat history` always fits beside the small packets. */
static_assert(HISTORY_BYTES_MAX * 2 < CLIENT_OUTBOX_BYTES_MAX, "history and outbox");
/* What one answer holds lies on so many pages at most. */
static_assert((int)CHAT_HISTORY_LIMIT_MAX <= (HISTORY_WAITS_MAX - 1) * (int)CONTRACT_PAGE,
              "history and pages");
/* The largest message alone fits into an append: 64 KiB of content (the highest CONTENT_BYTES_MAX)
 * and its ids. */
static_assert(64 * 1024 + 1024 + CONTRACT_ENVELOPE_BYTES_MAX < CONTRACT_MESSAGE_BYTES_MAX,
              "append");
/* The largest message that a store holds, all of it to be escaped in JSON (6 bytes for one), fits into a part of a page. */
static_assert(6 * (64 * 1024 + 1024) + 2048 < PAGE_ANSWER_BYTES_MAX, "message and part");
static_assert((PAGE_BACK_MESSAGES + 1) * (64 * 1024 + 1024) + CONTRACT_ENVELOPE_BYTES_MAX <=
                  CONTRACT_MESSAGE_BYTES_MAX,
              "messages and answer");
static_assert((int)TYPING_REPEAT_MS * 2 + (int)PRESENCE_INTERVAL_MS < (int)TYPING_MS,
              "one repeat may be lost");
static_assert((int)CHAT_TYPERS_MAX == (int)CONTRACT_TYPERS_MAX, "typers that are named");
static_assert((int)CHAT_ROOM_BYTES_MAX == (int)CONTRACT_ROOM_BYTES_MAX, "room names");
static_assert((int)CHAT_CLIENT_ID_BYTES_MAX == (int)CONTRACT_CLIENT_ID_BYTES_MAX, "client ids");

#endif
