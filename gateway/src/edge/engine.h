/*
 * engine.h - Engine.IO on libh2o: long-polling, WebSockets and the upgrade between them, for any server that has
 * sessions (the gateway's hub, eio-echo, sio-echo). It knows nothing of what the sessions say.
 *
 *   requests of a path ──▶ engine_serve() ──▶ callbacks.open(): a session ──▶ wire/eio.h
 *   the session's on_output, at a turn's end ──▶ engine_flush()
 *
 * A transport is what carries a session: first, perhaps, GETs and POSTs, then, perhaps, a WebSocket.
 *
 *                             the session is CLOSED
 *   OPEN (polling) ─────────────────────────────────────────────────────────────────────────────▶ DOOMED ─▶ freed
 *     │ upgraded        session closes          all written          peer closed, or LINGER_MS      ▲    at a turn's end
 *   OPEN (WebSocket) ──────────────▶ CLOSING ──────────▶ LINGERING ────────────────────────────────┤
 *                        └── socket error, end of file ────┴──── the same, or ENGINE_LINGER_MS ─────┘
 *
 * A WebSocket is written with one sendmsg(2) on the socket itself, without a queue here: what the kernel does not take
 * stays in the session until the socket can be written to again. CLOSING has a close frame, and what was in front of it,
 * still to write: a peer that reads nothing is not waited for. LINGERING has shut down its sending side and reads what
 * still comes: closing at once would let the kernel answer unread bytes with a reset, which can overtake the close frame.
 *
 * libh2o does not read a socket while it serves a request, so it does not see that a waiting GET was aborted. Those
 * sockets are watched in an epoll set of their own.
 *
 * With peers, other servers of the same kind, no request need find the server that has its session. A session's id
 * begins with the id of its *owner*. A request for somebody else's session is relayed to the owner, whose answer is
 * passed on; a WebSocket that upgrades one takes the session over, at "5". See relay.c and owner.c, and "Between
 * gateways" in parley.proto for what is said.
 *
 * Thread      The loop's.
 * Invariants  1. A DOOMED transport touches its socket and its session no more; engine_reap() alone frees it.
 *             2. engine_flush() calls eio_session_peek(), _advance() and _poll(), nothing else of the session's user.
 * Limits      A response to a GET carries about ENGINE_POLL_BYTES_MAX; a POST's body payload_bytes_max of the settings.
 */
#ifndef PARLEY_EDGE_ENGINE_H
#define PARLEY_EDGE_ENGINE_H

#include "addresses.h"
#include "cors.h"
#include "lag.h"
#include "proto/contract_peer.h"
#include "wire/eio_handshake.h"
#include "wire/eio_probe.h"
#include <h2o.h>

enum {
    ENGINE_LINGER_MS = 2000,
    /* What a WebSocket may be written at a time, rounded up to a whole peek; and of those that have more, how many go on
     * in one turn. So those who catch up with a lot hold up nobody else. */
    ENGINE_FLUSH_BYTES = 256 * 1024,
    ENGINE_GO_ON_PER_TURN = 16,
    ENGINE_POLL_BYTES_MAX = 256 * 1024,
    /* A peer is asked so often whether it still knows what we wait for, and is taken for dead after such a silence. */
    ENGINE_PEER_CHECK_MS = 1000,
    ENGINE_PEER_PATIENCE_MS = 5000,
    /* How long, and how many, sessions that went to a peer are remembered: later polls get code 3, not 1. */
    ENGINE_MOVED_KEPT_MS = 60000,
    ENGINE_MOVED_MAX = 65536,
    /* Bodies of relayed POSTs that are not all there; past it the newest is refused. */
    ENGINE_PEER_BODIES_MAX = 64,
    ENGINE_REFUSALS = EIO_ERROR_VERSION + 1,
};

struct engine;
struct transport;

struct engine_callbacks {
    void *user;
    /* A client wants a session: opens one that @transport is to carry. */
    struct eio_session *(*open)(void *user, struct transport *transport, enum eio_transport type,
                                uint64_t now_ms);
    /* The session is not OPEN any more, and nothing here knows it from now on. */
    void (*free)(void *user, struct eio_session *session);
};

/* Where sessions may be on other servers, too. All slices borrow. */
struct engine_peers {
    void *user;
    char id[CONTRACT_GATEWAY_ID_BYTES]; /* of this server: its sessions' ids begin with it */
    /* Sends a PeerRequest to @peer, or a PeerAnswer to whoever asks with @key. Either may get lost. */
    void (*ask)(void *user, const char peer[CONTRACT_GATEWAY_ID_BYTES], uint64_t number,
                struct bytes payload);
    void (*answer)(void *user, const struct contract_peer_key *key, struct bytes payload);
    /* As hub_hand_over(). */
    bool (*hand_over)(void *user, struct eio_session *session, const struct contract_peer_key *to,
                      struct buf *out, bool *ret_follows, uint64_t now_ms);
    /* Opens the session that @handover tells of on @probe's WebSocket, carried by @transport; NULL: it makes no sense.
     * *@ret_awaits: something is to come for on_forward(). */
    struct eio_session *(*take_over)(void *user, struct transport *transport,
                                     const char sid[EIO_SID_BYTES], struct bytes handover,
                                     struct eio_probe *probe, bool *ret_awaits, uint64_t now_ms);
    /* The last owner of @session sends what engine_forward() was given there. Returns whether there is more to come. */
    bool (*on_forward)(void *user, struct eio_session *session, struct bytes payload,
                       uint64_t now_ms);
};

struct engine_settings {
    const struct engine_peers *peers; /* NULL: all sessions are here. Kept by reference */
    const struct eio_settings *eio;   /* of the sessions; kept by reference */
    struct timers *timers;
    const struct cors *cors;          /* kept by reference */
    size_t connections_max;           /* sessions at a time; more are refused with 503 */
    uint32_t address_connections_max; /* likewise, of one address; 0: no limit */
    const struct proxies *proxies;    /* kept by reference; matters where there is that limit */
    const struct lag
        *lag; /* new ones are refused while it is an overload; NULL: never. Kept by reference */
};

/* Returns owned. */
struct engine *engine_new(h2o_loop_t *loop, const struct engine_settings *settings,
                          const struct engine_callbacks *callbacks);

/*
 * Ends all sessions, and answers all that waits; what comes from now on is refused. It may come until the HTTP server
 * and the bus are gone, which have the loop run once more: engine_free() is for then. Accepts NULL.
 */
void engine_close(struct engine *engine);

/* Frees; closes it first, where need be. Accepts NULL. */
void engine_free(struct engine *engine);

/* Serves a request of the engine's path. */
void engine_serve(struct engine *engine, h2o_req_t *req);

/* New sessions are refused with 503 from now on, and other servers' long polls that wait here are let go. */
void engine_refuse_sessions(struct engine *engine);

/* What peers say; borrowed. @answer NULL: there is no such server, or it makes no sense. */
void engine_on_peer_request(struct engine *engine, const struct contract_peer_request *request);
void engine_on_peer_answer(struct engine *engine, uint64_t number,
                           const struct contract_peer_answer *answer);

/* Sends @payload after a session that was handed over to @to; nothing follows when @is_last. */
void engine_forward(struct engine *engine, const struct contract_peer_key *to, struct bytes payload,
                    bool is_last);

/* The session of @transport has something to write, or has ended. Once a turn is enough. */
void engine_flush(struct transport *transport);

/*
 * Writes @len bytes to the session's WebSocket, past the session, which must be OPEN and have nothing to write. Returns how
 * many the socket took; 0, too, where there is none, or where it has yet to write something else, or is broken:
 * engine_flush() sees to that.
 */
size_t engine_write(struct transport *transport, const char *data, size_t len);

/* The session's callback on_upgraded: @probe's WebSocket is @transport's. */
void engine_on_upgraded(struct transport *transport, struct eio_probe *probe);

/* A number for the address that the session of @transport comes from (addresses.h); 0: not known. */
uint32_t engine_source(const struct transport *transport);

/* Once a turn: goes on with some of those that one turn was not enough for. */
void engine_go_on(struct engine *engine);

/* Whether there are more of them: the next turn should come at once. */
bool engine_has_work(const struct engine *engine);

/* At a turn's end: frees what is doomed. */
void engine_reap(struct engine *engine);

size_t engine_open_count(const struct engine *engine);

/* Requests of clients that peers have yet to answer. */
size_t engine_relayed_count(const struct engine *engine);

/*
 * Closes up to @count sessions (WebSocket close code 1001), for draining, the oldest first; but none that @is_spared
 * (NULL: all may be closed) says of.
 */
void engine_close_some(struct engine *engine, size_t count,
                       bool (*is_spared)(struct eio_session *session));

struct engine_stats {
    uint64_t opened_polling, opened_websocket, upgraded;
    uint64_t refused_full, refused_address, refused_draining, refused_overloaded; /* 503 */
    uint64_t refused_too_large;                                                   /* 413 */
    uint64_t refused[ENGINE_REFUSALS]; /* 400 and the like, by enum eio_error */
    uint64_t aborted_polls;
    uint64_t relayed,
        relays_failed; /* requests for sessions of peers: sent there; of these, without an answer */
    uint64_t taken_over, handed_over;
    uint64_t bytes_in;
    size_t websockets;         /* open now, each a file */
    size_t websocket_sessions; /* now: those that carry a session, no upgrades on their way */
    size_t websockets_blocked; /* now: with more to write than their peers read */
};

struct engine_stats engine_stats(const struct engine *engine);

#endif
