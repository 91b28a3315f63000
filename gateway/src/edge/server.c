#include "server.h"

#include "base/http_connections.h"
#include "base/listener.h"
#include "http.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    REQUEST_TIMEOUT_MS = 10000, /* for a TLS handshake, a request's head, and between requests */
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
    bool is_ending;
    char hsts[48]; /* "": none */
    size_t requests;
    uint64_t sockets_refused;
    uint64_t accepts_paced;
};

struct handler {
    h2o_handler_t super;
    struct server *server;
    struct server_route route;
};

struct filter {
    h2o_filter_t super;
    const struct server *server;
};

/* Lives in a request's pool, and so as long as the request. */
struct being_answered {
    struct server *server;
};

static void on_request_end(void *answered)
{
    ((struct being_answered *)answered)->server->requests--;
}

static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    struct server *server = ((struct handler *)super)->server;
    struct being_answered *answered =
        h2o_mem_alloc_shared(&req->pool, sizeof(*answered), on_request_end);
    answered->server = server;
    server->requests++;
    const struct server_route *route = &((struct handler *)super)->route;
    bool is_root = strcmp(route->path, "/") == 0;
    route->serve(route->user, req,
                 bytes_skip(http_bytes(req->path_normalized), is_root ? 0 : strlen(route->path)));
    return 0;
}

/* When an answer begins, which may be long after its request came. */
static void on_answer(h2o_filter_t *super, h2o_req_t *req, h2o_ostream_t **slot)
{
    const struct server *server = ((struct filter *)super)->server;
    if (server->is_ending) {
        req->http1_is_persistent = 0; /* says "connection: close", and closes */
    }
    if (server->hsts[0] != '\0') {
        h2o_add_header_by_str(&req->pool, &req->res.headers,
                              H2O_STRLIT("strict-transport-security"), 0, NULL, server->hsts,
                              strlen(server->hsts));
    }
    h2o_setup_next_ostream(req, slot);
}

/* Lets in up to @count of those who wait for it. Returns how many did. */
static size_t accept_some(struct server *server, size_t count)
{
    size_t accepted = 0;
    h2o_socket_t *socket;
    while (accepted < count && (socket = h2o_evloop_socket_accept(server->listener)) != NULL) {
        const struct server_settings *settings = &server->settings;
        accepted++;
        if (server->connections.count + settings->count_other_sockets(settings->user) >=
            settings->sockets_max) {
            /* Not left in the queue: accept(2) would fail, and the listener stay readable for ever. */
            server->sockets_refused++;
            h2o_socket_close(socket);
        } else {
            server->accept.ssl_ctx = settings->tls != NULL ? tls_context(settings->tls) : NULL;
            server->accept.expect_proxy_line =
                settings->proxy_lines != NULL && proxies_trust_peer(settings->proxy_lines, socket);
            http_connections_accept(&server->connections, &server->accept, socket);
        }
    }
    return accepted;
}

static void on_connection(h2o_socket_t *listener, const char *error)
{
    if (error == NULL) {
        struct server *server = listener->data;
        server->accepts_paced +=
            accept_some(server, SERVER_ACCEPTS_PER_TURN) == SERVER_ACCEPTS_PER_TURN;
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
    config->handshake_timeout = REQUEST_TIMEOUT_MS;
    config->http1.upgrade_to_http2 = 0;
    server->hosts[0] =
        h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    for (size_t i = 0; i < route_count; i++) {
        h2o_pathconf_t *path = h2o_config_register_path(server->hosts[0], routes[i].path, 0);
        struct handler *handler = (struct handler *)h2o_create_handler(path, sizeof(*handler));
        handler->super.on_req = on_request;
        handler->server = server;
        handler->route = routes[i];
        struct filter *filter = (struct filter *)h2o_create_filter(path, sizeof(*filter));
        filter->super.on_setup_ostream = on_answer;
        filter->server = server;
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
    if (settings->tls != NULL && settings->hsts_seconds > 0) {
        snprintf(server->hsts, sizeof(server->hsts), "max-age=%lld",
                 (long long)settings->hsts_seconds);
    }
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

static void stop_listening(struct server *server)
{
    if (server->listener != NULL) {
        h2o_socket_close(server->listener);
        server->listener = NULL;
    }
}

void server_end(struct server *server)
{
    server->is_ending = true;
    if (server->listener != NULL) {
        accept_some(server, SIZE_MAX); /* the kernel would reset those that wait for it */
    }
    stop_listening(server);
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    stop_listening(server);
    http_connections_close(&server->connections, server->context.loop, &server->context,
                           &server->config);
    free(server);
}

struct server_stats server_stats(const struct server *server)
{
    return (struct server_stats){
        .sockets = server->connections.count,
        .requests = server->requests,
        .sockets_refused = server->sockets_refused,
        .accepts_paced = server->accepts_paced,
    };
}
