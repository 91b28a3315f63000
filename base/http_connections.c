/* http_connections.c - a list node for each connection, tied to its socket by the socket's on_close. */
#include "http_connections.h"

#include <stdlib.h>
#include <sys/socket.h>

static_assert(H2O_VERSION_MAJOR == 2 && H2O_VERSION_MINOR == 2,
              "http_connections_close() frees what this version of libh2o leaks: does yours?");

/* A socket that was shut down closes in the loop turn after; more are for responses that are under way. */
enum { CLOSING_TURNS_MAX = 100, CLOSING_TURN_MS = 10 };

struct http_connection {
    struct http_connections *all;
    struct list link;
    h2o_socket_t *socket;
};

void http_connections_init(struct http_connections *connections)
{
    list_init(&connections->open);
    connections->count = 0;
}

static void on_close(void *user)
{
    struct http_connection *connection = user;
    list_leave(&connection->link);
    connection->all->count--;
    free(connection);
}

void http_connections_add(struct http_connections *connections, h2o_socket_t *socket)
{
    struct http_connection *connection = mem_alloc(sizeof(*connection));
    connection->all = connections;
    connection->socket = socket;
    connections->count++;
    list_init(&connection->link);
    list_append(&connections->open, &connection->link);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
}

void http_connections_forget(h2o_socket_t *socket)
{
    ASSERT(socket->on_close.cb == on_close);
    on_close(socket->on_close.data);
    socket->on_close.cb = NULL;
    socket->on_close.data = NULL;
}

/* libh2o sees it as the peer's going, by the next turn of the loop. */
static void cut(const struct http_connection *connection)
{
    shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

static size_t input_of(struct list *node, size_t share_bytes)
{
    size_t bytes = CONTAINER_OF(node, struct http_connection, link)->socket->input->size;
    return bytes >= share_bytes ? bytes : 0;
}

size_t http_connections_bound_input(struct http_connections *connections, size_t bytes_max,
                                    size_t share_bytes, uint64_t *closed)
{
    size_t bytes = 0;
    LIST_EACH (node, &connections->open) {
        bytes += input_of(node, share_bytes);
    }
    LIST_EACH (node, &connections->open) {
        if (bytes <= bytes_max) {
            break;
        }
        size_t of_this = input_of(node, share_bytes);
        if (of_this > 0) {
            cut(CONTAINER_OF(node, struct http_connection, link));
            bytes -= of_this;
            (*closed)++;
        }
    }
    return bytes;
}

void http_connections_close(struct http_connections *connections, h2o_loop_t *loop,
                            h2o_context_t *context, h2o_globalconf_t *config)
{
    /* Not by h2o_context_request_shutdown(): it sets a timer, and then the context cannot be disposed of. */
    LIST_EACH (node, &connections->open) {
        cut(CONTAINER_OF(node, struct http_connection, link));
    }
    for (int i = 0; i < CLOSING_TURNS_MAX && !list_is_empty(&connections->open); i++) {
        h2o_evloop_run(loop, CLOSING_TURN_MS);
    }
    if (list_is_empty(&connections->open)) {
        h2o_multithread_queue_t *queue = context->queue;
        h2o_context_dispose(context);
        free(queue); /* which libh2o 2.2 closes and forgets */
        h2o_config_dispose(config);
    }
}
