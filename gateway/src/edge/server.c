#include "server.h"

#include "base/http_connections.h"
#include "base/listener.h"
#include "http.h"
#include <stdlib.h>

enum {
    REQUEST_TIMEOUT_MS = 10000, /* for a request's head, and between requests */
    ACCEPTS_PER_TURN = 64,      /* a storm of clients should not need a loop turn each */
};

struct server {
    struct server_settings settings;
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct http_connections connections;
    h2o_hostconf_t *hosts[2];
    h2o_socket_t *listener;
    int port;
    uint64_t sockets_refused;
};

struct handler {
    h2o_handler_t super;
    struct server_route route;
};

static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    const struct server_route *route = &((struct handler *)super)->route;
    bool is_root = strcmp(route->path, "/") == 0;
    route->serve(route->user, req,
                 bytes_skip(http_bytes(req->path_normalized), is_root ? 0 : strlen(route->path)));
    return 0;
}

static void on_connection(h2o_socket_t *listener, const char *error)
{
    struct server *server = listener->data;
    h2o_socket_t *socket;
    for (int i = 0; error == NULL && i < ACCEPTS_PER_TURN &&
                    (socket = h2o_evloop_socket_accept(listener)) != NULL;
         i++) {
        const struct server_settings *settings = &server->settings;
        if (server->connections.count + settings->count_other_sockets(settings->user) >=
            settings->sockets_max) {
            /* Not left in the queue: accept(2) would fail, and the listener stay readable for ever. */
            server->sockets_refused++;
            h2o_socket_close(socket);
        } else {
            http_connections_accept(&server->connections, &server->accept, socket);
        }
    }
}

static void init_http(struct server *server, h2o_loop_t *loop, const struct server_route *routes,
                      size_t route_count)
{
    h2o_globalconf_t *config = &server->config;
    http_connections_init(&server->connections);
    h2o_config_init(config);
    config->server_name = h2o_iovec_init(H2O_STRLIT("parley"));
    config->max_request_entity_size = server->settings.body_bytes_max;
    config->http1.req_timeout = REQUEST_TIMEOUT_MS;
    config->http1.upgrade_to_http2 = 0;
    server->hosts[0] =
        h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    for (size_t i = 0; i < route_count; i++) {
        h2o_pathconf_t *path = h2o_config_register_path(server->hosts[0], routes[i].path, 0);
        struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof(*handler));
        handler->super.on_req = on_request;
        handler->route = routes[i];
        access_log_register(path, server->settings.access_log);
    }
    h2o_context_init(&server->context, loop, config);
    server->accept = (h2o_accept_ctx_t){.ctx = &server->context, .hosts = server->hosts};
}

struct server *server_new(h2o_loop_t *loop, const struct server_settings *settings,
                          const struct server_route *routes, size_t route_count,
                          struct buf *ret_error)
{
    const char *reason = NULL;
    int port = settings->port;
    int fd = listener_open(settings->host, &port, &reason);
    if (fd < 0) {
        buf_append_format(ret_error,
                          "HOST and PORT: cannot listen on %s port %d (%s); choose another PORT",
                          settings->host, settings->port, reason);
        return NULL;
    }
    struct server *server = mem_alloc_zeroed(sizeof(*server));
    server->settings = *settings;
    server->port = port;
    init_http(server, loop, routes, route_count);
    server->listener = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    server->listener->data = server;
    h2o_socket_read_start(server->listener, on_connection);
    return server;
}

int server_port(const struct server *server)
{
    return server->port;
}

void server_stop_listening(struct server *server)
{
    if (server->listener != NULL) {
        h2o_socket_close(server->listener);
        server->listener = NULL;
    }
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    server_stop_listening(server);
    http_connections_close(&server->connections, server->context.loop, &server->context,
                           &server->config);
    free(server);
}

struct server_stats server_stats(const struct server *server)
{
    return (struct server_stats){
        .sockets = server->connections.count,
        .sockets_refused = server->sockets_refused,
    };
}
