/*
 * server.h - an HTTP/1.1 server on libh2o, that carries pages and Socket.IO alike: a WebSocket begins as an HTTP request
 * of the same origin. HTTP/2 is off.
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_SERVER_H
#define PARLEY_EDGE_SERVER_H

#include "access_log.h"
#include "base/bytes.h"
#include "proxies.h"
#include "tls.h"

enum {
    /* Of those who come at the same moment, so many are let in by one turn of the loop; the others wait in the kernel's
     * row, and those who are here have their turn in between. */
    SERVER_ACCEPTS_PER_TURN = 64,

    /* Longest head of a request: its line and its fields, as HTTP/1.1 has them; more is answered with 431 (RFC 6585, section 5). libh2o
     * itself would take 400 KiB. */
    SERVER_HEAD_BYTES_MAX = 16 * 1024,

    /* What libh2o may keep of all requests that are not answered yet, heads and bodies, as it is looked at every SERVER_LOOK_MS: past
     * it, the oldest connections that have a share of it are closed. */
    SERVER_INPUT_BYTES_MAX = 64 * 1024 * 1024,
    SERVER_INPUT_SHARE_BYTES = 16 * 1024,
    SERVER_LOOK_MS = 250,
};

/* What serves the requests to a path and below it. */
struct server_route {
    const char *path; /* "/socket.io", or "/" for all that no other route serves */
    /* @rest is what is behind `path` of the request's path, normalized, without the query; begins with '/' or is empty. */
    void (*serve)(void *user, h2o_req_t *req, struct bytes rest);
    void *user;
};

struct server_settings {
    const char *host;
    int port; /* 0: any free one */
    enum access_log_format access_log;
    /*
     * Whose connections have to begin with a header of the PROXY protocol (proxy_header.h), which counts for all that asks for
     * the peer's address from then on. NULL: nobody's.
     */
    const struct proxies *proxies;
    struct tls *tls;       /* NULL: plain HTTP. Kept by reference */
    int64_t hsts_seconds;  /* of Strict-Transport-Security (RFC 6797), with TLS; 0: none */
    size_t body_bytes_max; /* of a request; libh2o answers more with 413 */
    /*
     * Sockets of clients, those that the routes took over by an upgrade included (`count_other_sockets`, with `user`): what
     * the system's files allow. More are closed as they come.
     */
    size_t sockets_max;
    size_t (*count_other_sockets)(void *user);
    void *user;
};

struct server;

/*
 * Listens. Keeps @routes by value. Returns NULL with a sentence in @ret_error that names HOST and PORT when that fails.
 */
MUST_USE struct server *server_new(h2o_loop_t *loop, const struct server_settings *settings,
                                   const struct server_route *routes, size_t route_count,
                                   struct buf *ret_error);

int server_port(const struct server *server);

/*
 * Begins to end: those who have connected already are let in, then nobody is any more; and every connection closes with the
 * answer that it gets next.
 */
void server_end(struct server *server);

/* Frees; the listener is closed if it was not. Runs the loop for that. Accepts NULL. */
void server_free(struct server *server);

struct server_stats {
    size_t sockets;                 /* open, that libh2o has */
    size_t requests;                /* being answered */
    uint64_t sockets_refused;       /* closed as they came: sockets_max */
    uint64_t accepts_paced;         /* turns that let in as many as one may */
    size_t input_bytes;             /* of SERVER_INPUT_BYTES_MAX, when it was looked at last */
    uint64_t requests_cut;          /* connections that were closed past it */
    uint64_t proxy_headers_refused; /* connections of `proxies` without one, or with a wrong one */
};

struct server_stats server_stats(const struct server *server);

#endif
