/*
 * transport.h - WebSockets: the sockets that libh2o hands over after the upgrade, and nothing else.
 *
 * Bytes that come in go to the client's session; what the session has goes out with one sendmsg(2) on the socket itself,
 * without a queue here: what the kernel does not take stays where it is until the socket can be written to again.
 *
 *             upgrade            session closes            all written                peer closed, or LINGER_MS
 *   (socket) ────────▶ OPEN ────────────────▶ CLOSING ────────────▶ LINGERING ────────────▶ DOOMED ──turn's end──▶ freed
 *                        └── socket error, end of file ─┴─── the same, or LINGER_MS ───────────▲
 *
 * CLOSING has a close frame, and what was in front of it, still to write: a peer that reads nothing is not waited for.
 * LINGERING has shut down its sending side and reads what still comes: closing at once would let the kernel answer unread
 * bytes with a reset, which can overtake the close frame.
 *
 * Thread      The loop's.
 * Invariants  1. A DOOMED transport touches its socket no more; it is freed by transports_reap() alone.
 *             2. transport_flush() calls eio_session_peek() and eio_session_advance(), nothing else of the hub.
 */
#ifndef PARLEY_EDGE_TRANSPORT_H
#define PARLEY_EDGE_TRANSPORT_H

#include "base/list.h"
#include "base/timers.h"
#include "hub/hub.h"
#include <h2o.h>

enum {
    TRANSPORT_LINGER_MS = 2000,
    /* of up to CLIENT_WRITE_BYTES each; then the others have their turn */
    TRANSPORT_WRITES_PER_TURN = 4,
};

/* All WebSockets of a gateway. */
struct transports {
    struct hub *hub;
    struct timers *timers;
    struct list open;
    struct list leaving; /* closing or lingering, in the order of their deadlines */
    struct list doomed;
    struct list unfinished; /* open, and have more to write than one turn takes */
    struct timer leave_timer;
    size_t open_count;   /* closing ones too: they end with what is owed to their peers */
    size_t socket_count; /* of all states: each is an open file */
    uint64_t bytes_in;
};

void transports_init(struct transports *transports, struct hub *hub, struct timers *timers);

/*
 * Makes a transport and a client of the hub for @socket, which the upgrade left with what the client sent behind its
 * request. Takes @socket.
 */
void transport_open(struct transports *transports, h2o_socket_t *socket);

/* struct hub_world's flush. */
void transport_flush(struct client *client);

/* At the end of a loop turn, after hub_flush(): frees what is doomed. */
void transports_reap(struct transports *transports);

/* Goes on with what was unfinished; before hub_flush(). Returns whether there was something. */
bool transports_go_on(struct transports *transports);

/* Closes up to @count of the open ones (WebSocket close code 1001), for draining. */
void transports_close_some(struct transports *transports, size_t count);

/* Dooms all that are left, for the gateway's end. */
void transports_doom_all(struct transports *transports);

#endif
