/*
 * http_connections.h - the connections that libh2o's HTTP server holds for us.
 *
 * libh2o 2.2 has no way to close them, and aborts the process when a context is disposed of while one is open. So they
 * are remembered from accept to close, and at the end their sockets are shut down, which libh2o sees as their peers' going.
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_HTTP_CONNECTIONS_H
#define PARLEY_HTTP_CONNECTIONS_H

#include "list.h"
#include <h2o.h>

struct http_connections {
    struct list open;
    size_t count;
};

void http_connections_init(struct http_connections *connections);

/* Remembers @socket until it closes; before h2o_accept(). */
void http_connections_add(struct http_connections *connections, h2o_socket_t *socket);

/* Forgets @socket, which libh2o has handed back by h2o_http1_upgrade(): it costs nothing more, and is not closed here. */
void http_connections_forget(h2o_socket_t *socket);

/*
 * Returns how many bytes libh2o keeps of requests that are not all there, or not answered yet; from @share_bytes on, a connection
 * counts. Where that is more than @bytes_max, closes the oldest of those, as many as it takes, and adds their number to *@closed.
 */
size_t http_connections_bound_input(struct http_connections *connections, size_t bytes_max,
                                    size_t share_bytes, uint64_t *closed);

/*
 * Closes all and frees @context with its @config. Runs @loop for that: not to be called by a callback of the loop.
 * Should one not close, the memory is left to the end of the process.
 */
void http_connections_close(struct http_connections *connections, h2o_loop_t *loop,
                            h2o_context_t *context, h2o_globalconf_t *config);

#endif
