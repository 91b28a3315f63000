/*
 * engine_impl.h - what the engine's files share.
 *
 *   engine.c     requests: checks, refusals, handshakes, GET and POST
 *   transport.c  what carries a session: its waiting GET, or its WebSocket
 *   upgrade.c    WebSockets that came with a sid, until they are their session's
 *   watch.c      sockets of waiting GETs, for aborts
 */
#ifndef PARLEY_EDGE_ENGINE_IMPL_H
#define PARLEY_EDGE_ENGINE_IMPL_H

#include "base/list.h"
#include "base/map.h"
#include "engine.h"
#include <h2o/http1.h>

enum transport_state { TRANSPORT_OPEN, TRANSPORT_CLOSING, TRANSPORT_LINGERING, TRANSPORT_DOOMED };

struct transport {
    struct engine *engine;
    struct eio_session *session;
    h2o_socket_t *socket;     /* the WebSocket; NULL while polling */
    h2o_req_t *get;           /* a GET that waits, while polling */
    struct list link;         /* engine.open, leaving or doomed */
    struct list unfinished;   /* engine.unfinished */
    uint64_t leaves_until_ms; /* of CLOSING and LINGERING */
    uint8_t state;            /* enum transport_state */
    bool is_blocked;          /* waits until the socket can be written to */
};

struct engine {
    h2o_loop_t *loop;
    struct engine_settings settings;
    struct engine_callbacks callbacks;
    struct map by_sid; /* all transports */
    struct list open;
    struct list leaving; /* closing or lingering, in the order of their deadlines */
    struct list doomed;
    struct list unfinished; /* open, and have more to write than one turn takes */
    struct timer leave_timer;
    struct list upgrades;
    struct list dirty_upgrades;
    int watch_fd;
    h2o_socket_t *watch;
    size_t open_count; /* sessions; closing ones too: they end with what is owed to their peers */
    bool is_draining;
    struct engine_stats stats;
};

/* transport.c */

struct bytes transport_key(const void *transport);

/* Makes a transport with a new session of @type. @socket: NULL for polling. */
struct transport *transport_new(struct engine *engine, enum eio_transport type,
                                h2o_socket_t *socket);

/* From here on the session is on @socket, which may have read already. Takes @socket. */
void transport_begin_websocket(struct transport *transport, h2o_socket_t *socket);

/* Ends it, whatever its session says; that is told at the turn's end. */
void transport_doom(struct transport *transport);

void transport_on_leave_due(struct timer *timer, uint64_t now_ms);

/* Ends the GET that waits, which was aborted, and so the session. */
void transport_on_get_aborted(struct transport *transport, uint64_t now_ms);

/* engine.c: answers a GET with @payload. */
void engine_answer_get(struct engine *engine, h2o_req_t *req, struct bytes payload);

/* upgrade.c */

/* A WebSocket that came for the session @sid. Takes @socket. */
void upgrade_new(struct engine *engine, const char sid[EIO_SID_BYTES], h2o_socket_t *socket);

/* Takes the socket of an UPGRADED probe, and has upgrade.c forget it. */
h2o_socket_t *upgrade_take_socket(struct eio_probe *probe);

/* At a turn's end. */
void upgrades_flush(struct engine *engine);

/* Ends all, for the engine's end. */
void upgrades_doom_all(struct engine *engine);

/* watch.c */

void watch_init(struct engine *engine);
void watch_release(struct engine *engine);

/* Tells transport_on_get_aborted() when the peer of @transport's waiting GET is gone; until watch_end(). */
void watch_begin(struct transport *transport);
void watch_end(struct transport *transport);

/* websocket.c: the bytes of a WebSocket, in both directions. */

enum websocket_write {
    WEBSOCKET_WRITTEN,
    WEBSOCKET_NOTHING_LEFT,
    WEBSOCKET_BLOCKED,
    WEBSOCKET_FAILED
};

/* One sendmsg(2) of @count pieces; *@ret_written says how many bytes went, unless WEBSOCKET_FAILED. */
enum websocket_write websocket_write(h2o_socket_t *socket, struct iovec *pieces, size_t count,
                                     size_t *ret_written);

/* Answers an upgrade request with 101 where it is well-formed: @on_complete gets the socket. False: a 4xx was sent. */
bool websocket_accept(h2o_req_t *req, h2o_http1_upgrade_cb on_complete, void *user);

#endif
