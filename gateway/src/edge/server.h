/*
 * server.h - the gateway's HTTP/1.1 server: the page at /, Socket.IO and its client's bundles at /socket.io/.
 *
 * One server carries both: a WebSocket begins as an HTTP request of the same origin. After the upgrade libh2o hands the
 * socket over (h2o_http1_upgrade) and keeps nothing of it. HTTP/2 is off.
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_SERVER_H
#define PARLEY_EDGE_SERVER_H

#include "access_log.h"
#include "assets.h"
#include "transport.h"

struct server_settings {
    const char *host;
    int port; /* 0: any free one */
    enum access_log_format access_log;
    size_t connections_max; /* WebSockets */
    /*
     * All sockets of clients, requests for the page too. What is more is closed as soon as it is accepted: left alone, a
     * connection that no file is free for would wake the loop for ever.
     */
    size_t sockets_max;
};

struct server;

/*
 * Listens. Keeps @assets, @client_assets and @transports by reference. Returns NULL with a sentence in @ret_error that
 * names HOST and PORT when that fails.
 */
MUST_USE struct server *server_new(h2o_loop_t *loop, const struct server_settings *settings,
                                   struct assets *page, struct assets *client_bundles,
                                   struct transports *transports, struct buf *ret_error);

int server_port(const struct server *server);

/* Stops to accept connections, and refuses new sessions with 503 on those that are there. */
void server_stop_listening(struct server *server);

/* Frees; the listener is closed if it was not. Accepts NULL. */
void server_free(struct server *server);

struct server_stats {
    uint64_t upgrades;
    uint64_t refused_full;     /* 503: CONNECTIONS_MAX */
    uint64_t refused_draining; /* 503 */
    uint64_t refused_bad;      /* 400 and the like */
    uint64_t sockets_refused;  /* closed at once: too many files */
    size_t http_sockets;       /* that are open now, and no WebSockets */
};

struct server_stats server_stats(const struct server *server);

#endif
