/*
 * hub.h - the heart of a gateway: rooms, members, cursors, and what chat events mean.
 *
 * A room is a log; everything a client sees is a cursor moving over that log. The hub keeps the
 * newest stretch of each room that has members here, ready as bytes; a member is a client and a
 * cursor. Live delivery, catching up, a slow reader, a hole left by a lost broadcast: all are "send
 * this member from its cursor to the head".
 *
 *   edge (sockets, NATS) ──▶ hub_client_open(), eio_session_receive(), hub_on_…()  ──▶ rooms, logs,
 * cursors ◀── struct hub_world: subscribe, append, query, announce, flush
 *
 * The hub is pure: no I/O, no clock, no threads. All it wants done goes through struct hub_world;
 * all that happens to it comes with the time. A whole cluster of hubs so runs in one test.
 *
 * Thread  One, the loop's.
 */
#ifndef PARLEY_HUB_HUB_H
#define PARLEY_HUB_HUB_H

#include "pace.h"
#include "pid.h"
#include "proto/contract.h"
#include "proto/contract_peer.h"
#include "stats.h"
#include "wire/sio.h"

enum { HUB_GATEWAY_ID_BYTES = CONTRACT_GATEWAY_ID_BYTES };

struct hub;
struct client;

/* What happened, for logs: all slices borrow. Unused fields are empty. */
enum hub_event_type {
    HUB_CLIENT_OPENED,
    HUB_CLIENT_CLOSED,  /* reason */
    HUB_MEMBER_JOINED,  /* room, username, session, reason ("new", "resumed", "caught_up", "moved"),
                          id: where it starts */
    HUB_MEMBER_LEFT,    /* room, username, session */
    HUB_MESSAGE_IN,     /* room, username, client_id, content: accepted for the next append */
    HUB_MESSAGE_STORED, /* room, client_id, id */
    HUB_MESSAGE_REFUSED, /* room, username, client_id, reason */
    HUB_ROOM_OPENED,     /* room, id: its head */
    HUB_ROOM_CLOSED,     /* room */
    HUB_ROOM_REPAIRED,   /* room, id: first of the hole, count */
    HUB_EPOCH_CHANGED,   /* room, id: first id of the new epoch */
    HUB_TOKEN_REFUSED,   /* room, reason: a sentence */
};

struct hub_event {
    enum hub_event_type type;
    struct client *client; /* NULL where there is none */
    struct bytes room, username, session, client_id, content;
    const char *reason;
    uint64_t id;
    uint64_t count;
};

/* What a token is good for. */
enum hub_admission {
    HUB_ADMITTED,
    HUB_STALE,        /* this one is not good now; another one may be */
    HUB_UNAUTHORIZED, /* it never will be good for anything */
    HUB_FORBIDDEN,    /* nor for this room */
};

/* Slices borrow, until world.admit() is called again. */
struct hub_pass {
    struct bytes username; /* of the token's owner */
    struct bytes id;       /* of the token; len 0: it has none; at most 255 bytes */
    uint64_t expires_ms;   /* since 1970: the member is put out then */
    uint64_t issued_ms;    /* since 1970; 0: it does not say */
    bool may_write;
};

/*
 * What the hub wants done to the world. All slices borrow. None of these may call back into the hub
 * before it returned.
 *
 * append and query are requests to the store with the number @request: the world brings the answer,
 * if it comes, with hub_on_append_reply() or hub_on_query_reply(); it never sends one again by
 * itself. On one connection to NATS, what was subscribed before a query is read arrives after it.
 */
struct hub_world {
    void *user;
    void (*subscribe)(void *user, struct bytes room);
    void (*unsubscribe)(void *user, struct bytes room);
    void (*append)(void *user, unsigned shard, uint64_t request, struct bytes payload);
    /* Has hub_on_presence() called, or not, for a room that is subscribed to. */
    void (*watch)(void *user, struct bytes room, bool listens);
    /* Publishes a Presence to everybody who watches @room. */
    void (*announce)(void *user, struct bytes room, struct bytes payload);
    void (*query)(void *user, unsigned shard, uint64_t request, struct bytes payload);
    /* Publishes a RoomEvent to everybody in @room, this gateway included. */
    void (*publish)(void *user, struct bytes room, struct bytes payload);
    /* @client has something to write, or is to be closed: see eio_session_peek(). Called from
     * hub_flush() only. */
    void (*flush)(void *user, struct client *client);
    /*
     * Writes @len bytes to @client's WebSocket, past its session, where that has nothing to write and the socket does not
     * block. Returns how many the socket took; 0: it has to be flushed. Called from hub_flush() only.
     */
    size_t (*write)(void *user, struct client *client, const char *data, size_t len);
    /* @client's session is on @probe's WebSocket now: eio_callbacks.on_upgraded. */
    void (*on_upgraded)(void *user, struct client *client, struct eio_probe *probe);
    /*
     * Sends @payload, a MovedOutcome, to the gateway that took over a client of ours with the request @to; nothing follows
     * when @is_last.
     */
    void (*forward)(void *user, const struct contract_peer_key *to, struct bytes payload,
                    bool is_last);
    /*
     * A number for the address that the client of @transport comes from: who asks for much makes those of other addresses
     * wait no longer for it. 0: not known. NULL: of nobody.
     */
    uint32_t (*source)(void *user, const void *transport);
    void (*tell)(void *user, const struct hub_event *event);
    /*
     * Whether @token (not empty) lets its owner into @room. Unless HUB_ADMITTED, *@ret_why is a sentence for whoever made the
     * token. NULL: names are free, and so are rooms.
     */
    enum hub_admission (*admit)(void *user, struct bytes token, struct bytes room,
                                struct hub_pass *ret_pass, const char **ret_why);
    /* Milliseconds since 1970, for the issue time of session tokens. */
    uint64_t (*wall_ms)(void *user);
};

struct hub_settings {
    char gateway_id[HUB_GATEWAY_ID_BYTES];
    struct pid_keys keys;
    uint32_t ping_interval_ms, ping_timeout_ms, connect_timeout_ms;
    uint32_t payload_bytes_max;
    uint32_t content_bytes_max;
    uint32_t recovery_max;
    uint32_t send_deadline_ms;
    uint32_t room_grace_ms;
    uint32_t presence_refresh_ms;
    uint32_t rooms_per_client_max;
    uint32_t rooms_max;            /* in memory */
    uint32_t rooms_per_source_max; /* of these, for one hub_world.source(); 0: there is no limit */
    uint32_t joins_per_turn, catch_ups_per_turn, deliveries_per_turn, histories_per_turn,
        bytes_per_turn;                                         /* limits.h; tests have less */
    uint32_t presence_visits_per_turn, presence_rooms_per_turn; /* likewise */
    struct pace_rule client_rule, user_rule,
        room_rule; /* of messages: what one connection, one name and one room may take */
    size_t room_log_bytes_max;
    size_t log_bytes_max;         /* three quarters for logs, one quarter for pages */
    size_t page_answer_bytes_max; /* PAGE_ANSWER_BYTES_MAX; a test may have less memory */
};

/* Counted since the start, but for those that say "now". */
#define HUB_STATS(X)                                                          \
    X(clients, "now")                                                         \
    X(members, "now")                                                         \
    X(joining, "now: not members yet")                                        \
    X(rooms, "now")                                                           \
    X(rooms_refused_client, "joins refused: ROOMS_PER_CLIENT_MAX")            \
    X(rooms_refused_address, "likewise: ROOMS_PER_ADDRESS_MAX")               \
    X(rooms_refused_full, "likewise: ROOMS_MAX")                              \
    X(messages_in, "chat messages that clients sent")                         \
    X(messages_stored, "of these, committed")                                 \
    X(messages_duplicate, "of these, known before")                           \
    X(deliveries, "messages written to members")                              \
    X(bytes_out, "bytes written to clients")                                  \
    X(appends, "append requests, repeats included")                           \
    X(appends_repeated, "append requests sent again")                         \
    X(queries, "queries, repeats included")                                   \
    X(log_messages, "messages that joined a log")                             \
    X(gaps_repaired, "holes in a log that were filled from the store")        \
    X(ahead_dropped, "broadcasts ahead of the log that were not kept")        \
    X(page_parts_fetched, "parts of pages read from the store")               \
    X(page_parts_evicted, "of these, that left for others")                   \
    X(presence_rooms, "now: where somebody wants to know who is here")        \
    X(presence_told, "events of presence and typing written to members")      \
    X(presence_deferred, "members found busy, who are told the newest later") \
    X(presence_announced, "messages about presence published")                \
    X(presence_heard, "messages about presence from other gateways")          \
    X(presence_ignored, "of these, past a bound, or about nobody known")      \
    X(tokens_refused, "tokens that were refused for good")                    \
    X(tokens_stale, "tokens instead of which another one may do")             \
    X(rooms_forbidden, "joins of a room that the token does not open")        \
    X(passes_expired, "members put out when their token expired")             \
    X(passes_revoked, "members put out when their token was revoked")         \
    X(sessions_superseded, "connections closed since their session lives elsewhere")

struct hub_stats {
#define X(name, help) uint64_t name;
    HUB_STATS(X)
#undef X
    size_t log_bytes, page_bytes;        /* now */
    size_t sends_waiting, pages_waiting; /* now: without an outcome; to be asked for, or asked */
    size_t queries_waiting;              /* now: for their turn to be asked */
    size_t send_bytes, ahead_bytes, outbox_bytes, inbox_bytes; /* now */
    size_t presence_waiting; /* now: rooms whose turn to tell is yet to come */
    size_t presence_bytes;   /* now: of other gateways' names */
    struct hub_counts by;
};

/* Keeps @world's functions and @settings by value, @timers by reference. Returns owned. */
struct hub *hub_new(const struct hub_settings *settings, const struct hub_world *world,
                    struct timers *timers);

/* Frees the hub; all clients must be closed and freed before. */
void hub_free(struct hub *hub);

/* Of all its clients' sessions; lives as long as the hub. */
const struct eio_settings *hub_eio_settings(const struct hub *hub);

/* What is counted, and what is so now. Borrowed; valid until the hub goes. */
const struct hub_stats *hub_stats(struct hub *hub);

/* Messages that were sent to the store and have no answer yet. */
size_t hub_sends_in_flight(const struct hub *hub);

/*
 * Opens a client whose session is carried by a transport of type @type; @transport is the edge's (client_transport() gives
 * it back). The edge carries client_session()'s bytes: see wire/eio.h.
 */
struct client *hub_client_open(struct hub *hub, void *transport, enum eio_transport type,
                               uint64_t now_ms);
struct eio_session *client_session(struct client *client);
void *client_transport(const struct client *client);

/* Of this gateway's clients, counted from 1: for logs. */
uint64_t client_number(const struct client *client);
struct client *client_of_session(struct eio_session *session);

/* Whether @client waits for an answer: to a message, or to a question for older ones. */
bool client_waits_for_answer(const struct client *client);

/* Frees a client whose session is not OPEN any more. The edge calls it when its transport is gone,
 * at a loop turn's end. */
void hub_client_free(struct hub *hub, struct client *client);

/*
 * Hands @client over to the gateway whose request is @to: appends a Handover to @out, and the client's session is
 * CLOSED. *@ret_follows: outcomes of what it has on its way come with world.forward(). False, with nothing changed,
 * unless the session is PROBED for a WebSocket elsewhere (eio_session_hand_over()).
 */
MUST_USE bool hub_hand_over(struct client *client, const struct contract_peer_key *to,
                            struct buf *out, bool *ret_follows, uint64_t now_ms);

/*
 * Takes over a client that another gateway has handed over: its session @sid is on @probe's WebSocket now, carried by
 * @transport. *@ret_awaits: outcomes are to come, for hub_on_forward(); should the other gateway die before the last, the
 * client's session must be closed. NULL, with nothing changed, when @handover makes no sense, or there is no place for its rooms.
 */
MUST_USE struct client *hub_take_over(struct hub *hub, void *transport,
                                      const char sid[EIO_SID_BYTES],
                                      const struct contract_handover *handover,
                                      struct eio_probe *probe, bool *ret_awaits, uint64_t now_ms);

enum hub_forward_result {
    HUB_FORWARD_AWAITS, /* there is more to come */
    HUB_FORWARD_LAST,   /* that was all */
    HUB_FORWARD_LOST,   /* some did not come, or made no sense: @client's session must be closed */
};

/* The next outcome for @client, whose hub_take_over() said that they come; NULL: it makes no sense. */
MUST_USE enum hub_forward_result hub_on_forward(struct client *client,
                                                const struct contract_moved_outcome *outcome,
                                                uint64_t now_ms);

/* Whose tokens are revoked: a user's, or one token, named by its id. */
enum hub_revoked { HUB_REVOKED_USER = 'u', HUB_REVOKED_TOKEN = 't' };

/*
 * Tokens of @name that were issued before @before_ms are no good from now on, until @until_ms (both since 1970): members who came
 * in with one are put out, and nobody comes in with one. Returns how many were put out.
 */
size_t hub_revoke(struct hub *hub, enum hub_revoked what, struct bytes name, uint64_t before_ms,
                  uint64_t until_ms, uint64_t now_ms);

/*
 * Puts out the members that fit all of @user, @session and @room that are not empty (one of the first two must not be), with a
 * DISCONNECT: their clients do not come back by themselves. Returns how many.
 */
size_t hub_kick(struct hub *hub, struct bytes user, struct bytes session, struct bytes room,
                uint64_t now_ms);

/* How many members @room has here. */
uint32_t hub_member_count(const struct hub *hub, struct bytes room);

/* From the room subjects. Takes @event. */
void hub_on_room_event(struct hub *hub, struct contract_room_event *event, uint64_t now_ms);

/* From the presence subjects; borrowed. */
void hub_on_presence(struct hub *hub, const struct contract_presence *news, uint64_t now_ms);

/* Answers; borrowed. @reply NULL: nobody was there to answer, or the answer made no sense. Unknown
 * requests are ignored. */
void hub_on_append_reply(struct hub *hub, uint64_t number,
                         const struct contract_append_reply *reply, uint64_t now_ms);
void hub_on_query_reply(struct hub *hub, uint64_t number, const struct contract_query_reply *reply,
                        uint64_t now_ms);

/*
 * NATS is back after it was gone, or broadcasts were dropped on their way here: whatever was in flight is sent again,
 * and all heads are checked.
 */
void hub_on_bus_restored(struct hub *hub, uint64_t now_ms);

/* At the end of a loop turn: flushes every client that has something to write. */
void hub_flush(struct hub *hub, uint64_t now_ms);

/* Whether hub_flush() left something for the next turn, which should then come at once. */
bool hub_has_work(const struct hub *hub);

#endif
