/*
 * engine_impl.h - what the engine's files share.
 *
 *   engine.c     requests: checks, refusals, handshakes, GET and POST
 *   transport.c  what carries a session: its waiting GET, or its WebSocket
 *   upgrade.c    WebSockets that came with a sid, until they are their session's
 *   relay.c      requests for sessions that peers own
 *   owner.c      requests of peers, for sessions that are ours
 *   watch.c      sockets of waiting requests, for aborts
 */
#ifndef PARLEY_EDGE_ENGINE_IMPL_H
#define PARLEY_EDGE_ENGINE_IMPL_H

#include "base/list.h"
#include "base/map.h"
#include "engine.h"
#include "raw_socket.h"
#include <h2o/http1.h>

enum transport_state { TRANSPORT_OPEN, TRANSPORT_CLOSING, TRANSPORT_LINGERING, TRANSPORT_DOOMED };

/* A request that waits, and whose peer may go away meanwhile. */
struct watched {
    h2o_req_t *req;
    void (*on_aborted)(struct watched *watched, uint64_t now_ms);
};

/* Whoever sent a request for a session of ours, and is to be answered once: a client, or a peer that relays it. */
struct asker {
    h2o_req_t *req;      /* NULL: a peer */
    struct asked *asked; /* its request; NULL: a client */
};

/* A GET that waits. */
struct poll {
    struct watched watched; /* where a client asks */
    struct asked *asked;    /* where a peer does */
    struct transport *transport;
};

struct transport {
    struct engine *engine;
    struct eio_session *session;
    struct raw_socket socket; /* the WebSocket; not open while polling */
    struct poll *get;         /* a GET that waits, while polling */
    union {
        uint32_t address;      /* OPEN: its share of its address (addresses.h) */
        uint32_t leaves_at_ms; /* of CLOSING and LINGERING; low bits of the clock */
    };
    uint8_t state; /* enum transport_state */
    bool came_from_peer;
    bool is_unfinished; /* in engine.unfinished */
    struct list link;   /* engine.open, unfinished, leaving or doomed */
    union {
        struct asked *claim; /* of an upgrade whose WebSocket is at a peer */
        uint64_t
            awaits; /* came_from_peer: number of the request that it came with, while that has more to tell; else 0 */
    };
};

/* There is one for each connection: what an idle one costs is measured (bench/README.md, "idle"). */
static_assert(sizeof(struct transport) <= 72, "a transport");

struct engine {
    h2o_loop_t *loop;
    struct engine_settings settings;
    struct engine_callbacks callbacks;
    struct map by_sid;             /* all transports */
    struct raw_sockets websockets; /* of transports ... */
    struct raw_sockets probes;     /* ... and of upgrades */
    struct list open;
    struct list leaving; /* closing or lingering, in the order of their deadlines */
    struct list doomed;
    struct list unfinished; /* like open, but have more to write than one turn takes */
    struct timer leave_timer;
    struct list upgrades;
    struct list dirty_upgrades;
    struct map asks;   /* relay.c: what peers are to answer, by number */
    struct list peers; /* relay.c: of whom something is asked now */
    struct timer check_timer;
    uint64_t last_number;
    size_t arriving;   /* relay.c: sessions of peers that may come here with an upgrade */
    struct map asked;  /* owner.c: what peers wait for, by their key */
    size_t body_count; /* of these, POSTs that are not all there */
    struct map moved;  /* owner.c: sessions that went to peers, by sid */
    struct list moved_by_time;
    int watch_fd;
    h2o_socket_t *watch;
    struct addresses addresses; /* of OPEN sessions, and of those that are to be */
    size_t open_count; /* sessions; closing ones too: they end with what is owed to their peers */
    bool is_draining;
    bool is_closed;
    struct engine_stats stats;
};

/* transport.c */

struct bytes transport_key(const void *transport);

extern const struct raw_socket_callbacks transport_socket_callbacks;

/* Makes a transport with a new session of @type. Takes @address, its share. @socket: NULL for polling. */
struct transport *transport_new(struct engine *engine, enum eio_transport type, uint32_t address,
                                h2o_socket_t *socket);

/* From here on the session is on @socket, which may have read already. Takes @socket. */
void transport_begin_websocket(struct transport *transport, h2o_socket_t *socket);

/* Ends it, whatever its session says; that is told at the turn's end. */
void transport_doom(struct transport *transport);

void transport_on_leave_due(struct timer *timer, uint64_t now_ms);

/* The GET of @asker waits from now on; there is none yet. */
void transport_wait(struct transport *transport, struct asker asker);

/* Ends the GET that waits, which was aborted, and so the session. */
void transport_on_get_aborted(struct transport *transport, uint64_t now_ms);

/* Answers the GET that waits with @payload. */
void transport_answer_get(struct transport *transport, struct bytes payload);

/*
 * Makes a transport with the session that a peer handed over, on @probe's WebSocket; takes @address, its share. NULL, with nothing
 * changed, when @handover makes no sense or has no place here, or the session is here already.
 */
struct transport *transport_take_over(struct engine *engine, const char sid[EIO_SID_BYTES],
                                      uint32_t address, struct bytes handover,
                                      struct eio_probe *probe, bool *ret_awaits);

/* engine.c */

enum verdict {
    VERDICT_PAYLOAD, /* of a GET */
    VERDICT_POSTED,
    VERDICT_BAD_REQUEST,
    VERDICT_UNKNOWN,
    VERDICT_TOO_LARGE,
};

/* Answers a request; @payload is of VERDICT_PAYLOAD. */
void engine_answer(struct engine *engine, struct asker asker, enum verdict verdict,
                   struct bytes payload);

/* Likewise, a client's. */
void engine_respond(struct engine *engine, h2o_req_t *req, enum verdict verdict,
                    struct bytes payload);

/* Serves a GET or a POST for the session of @transport. */
void engine_serve_get(struct transport *transport, struct asker asker);
void engine_serve_post(struct transport *transport, struct asker asker, struct bytes body,
                       bool is_octet_stream);

/*
 * Whether a session may begin here: *@ret_address is its share of the address that @req comes from, to be given back.
 * Otherwise @req was refused with 503.
 */
MUST_USE bool engine_may_open(struct engine *engine, h2o_req_t *req, uint32_t *ret_address);

/* What is known here of the session @sid, with its transport where it is here. */
enum eio_sid_state engine_find(struct engine *engine, struct bytes sid,
                               struct transport **ret_transport);

/* relay.c */

struct ask;
struct upgrade;

void relay_init(struct engine *engine);
void relay_release(struct engine *engine);

/* Nobody is waited for any more: all fails. */
void relay_fail_all(struct engine *engine);

/* Whether @sid names a session that a peer opened. */
bool relay_is_elsewhere(const struct engine *engine, struct bytes sid);

/* Relays the request to the session's owner; the answer comes later. */
void relay_get(struct engine *engine, h2o_req_t *req, struct bytes sid);
void relay_post(struct engine *engine, h2o_req_t *req, struct bytes sid, bool is_octet_stream);

/* Asks the session's owner whether this WebSocket upgrade may begin. */
void relay_upgrade(struct engine *engine, h2o_req_t *req, struct bytes sid);

/* Asks more about the upgrade of @ask: CONTRACT_PEER_PROBE or _MOVE. */
void relay_go_on(struct ask *ask, enum contract_peer_request_type type);

/* Nobody waits for @ask any more: frees it, and tells the owner. */
void relay_cancel(struct ask *ask);

/* The session that came with @ask is over: nothing of it is awaited any more. Nothing happens when that came. */
void relay_forget_moved(struct engine *engine, uint64_t number);

/* Has the owners answer the GETs that wait here. */
void relay_let_go(struct engine *engine);

/* owner.c */

void owner_init(struct engine *engine);
void owner_release(struct engine *engine);

/* Answers @asked, and forgets it. */
void owner_answer(struct engine *engine, struct asked *asked, enum verdict verdict,
                  struct bytes payload);

/* The session of @transport takes no WebSocket of a peer any more. Nothing happens when it has none. */
void owner_end_claim(struct transport *transport);

/* Whether @sid went from here to a peer. */
bool owner_has_moved(struct engine *engine, struct bytes sid);

/* upgrade.c */

/* A WebSocket that came for the session @sid. Takes @socket. */
void upgrade_new(struct engine *engine, const char sid[EIO_SID_BYTES], h2o_socket_t *socket);

/*
 * A WebSocket for a session of a peer, which agreed to it; @ask NULL: it did not, and the WebSocket is closed. Takes
 * @socket; upgrade_start() reads from it.
 */
struct upgrade *upgrade_new_elsewhere(struct engine *engine, struct ask *ask, h2o_socket_t *socket);
void upgrade_start(struct upgrade *upgrade);

/* What the owner says. */
void upgrade_on_probed(struct upgrade *upgrade);
void upgrade_on_over(struct upgrade *upgrade); /* forgets its ask */
/* Returns the session's transport, or NULL when that could not be; forgets its ask. */
struct transport *upgrade_on_moved(struct upgrade *upgrade, const char sid[EIO_SID_BYTES],
                                   uint32_t address, struct bytes handover, bool *ret_awaits);

/* Moves the socket of an UPGRADED or MOVING probe to @transport, and has upgrade.c forget it. */
void upgrade_move_socket(struct eio_probe *probe, struct transport *transport);

extern const struct raw_socket_callbacks upgrade_socket_callbacks;

/* At a turn's end. */
void upgrades_flush(struct engine *engine);

/* Ends all, for the engine's end. */
void upgrades_doom_all(struct engine *engine);

/* watch.c */

void watch_init(struct engine *engine);
void watch_release(struct engine *engine);

/* Tells watched->on_aborted() when the client of @watched is gone; until watch_end(). */
void watch_begin(struct engine *engine, struct watched *watched);
void watch_end(struct engine *engine, struct watched *watched);

/* websocket.c */

/* Answers an upgrade request with 101 where it is well-formed: @on_complete gets the socket. False: a 4xx was sent. */
bool websocket_accept(h2o_req_t *req, h2o_http1_upgrade_cb on_complete, void *user);

#endif
