#include "server.h"

#include "base/http_connections.h"
#include "base/listener.h"
#include "http.h"
#include "proxy_header.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    /* For a header of the PROXY protocol, a TLS handshake, a request's head, and between requests. */
    REQUEST_TIMEOUT_MS = 10000,
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
    uint64_t proxy_headers_refused;
    h2o_timeout_t look_timeout;
    h2o_timeout_entry_t look; /* linked while there are connections */
    size_t input_bytes;
    uint64_t requests_cut;
};

/* A connection from a balancer, until that has said where it comes from. */
struct passed_on {
    struct server *server;
    h2o_socket_t *socket;
    h2o_timeout_entry_t deadline;
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

static size_t head_bytes(const h2o_req_t *req)
{
    size_t bytes = req->method.len + req->path.len + sizeof("  HTTP/1.1\r\n\r\n") - 1;
    bytes += sizeof("host: \r\n") - 1 + req->authority.len; /* which libh2o keeps apart */
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        bytes += header->name->len + header->value.len + sizeof(": \r\n") - 1;
    }
    return bytes;
}

static int on_request(h2o_handler_t *super, h2o_req_t *req)
{
    struct server *server = ((struct handler *)super)->server;
    struct being_answered *answered =
        h2o_mem_alloc_shared(&req->pool, sizeof(*answered), on_request_end);
    answered->server = server;
    server->requests++;
    if (head_bytes(req) > SERVER_HEAD_BYTES_MAX) {
        req->http1_is_persistent = 0;
        http_respond(req, 431, "Request Header Fields Too Large", "text/plain",
                     BYTES("the request's head is longer than 16 KiB\n"));
        return 0;
    }
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

static void look_later(struct server *server)
{
    if (!h2o_timeout_is_linked(&server->look) && server->connections.count > 0) {
        h2o_timeout_link(server->context.loop, &server->look_timeout, &server->look);
    }
}

static void on_look(h2o_timeout_entry_t *look)
{
    struct server *server = CONTAINER_OF(look, struct server, look);
    server->input_bytes =
        http_connections_bound_input(&server->connections, SERVER_INPUT_BYTES_MAX,
                                     SERVER_INPUT_SHARE_BYTES, &server->requests_cut);
    look_later(server);
}

static void begin_http(struct server *server, h2o_socket_t *socket)
{
    const struct tls *tls = server->settings.tls;
    server->accept.ssl_ctx = tls != NULL ? tls_context(tls) : NULL;
    h2o_accept(&server->accept, socket);
}

static void passed_on_end(struct passed_on *passed_on)
{
    h2o_timeout_unlink(&passed_on->deadline);
    free(passed_on);
}

static void passed_on_close(struct passed_on *passed_on)
{
    h2o_socket_t *socket = passed_on->socket;
    passed_on_end(passed_on);
    h2o_socket_close(socket);
}

static void passed_on_refuse(struct passed_on *passed_on)
{
    passed_on->server->proxy_headers_refused++;
    passed_on_close(passed_on);
}

static void on_proxy_header_late(h2o_timeout_entry_t *deadline)
{
    passed_on_refuse(CONTAINER_OF(deadline, struct passed_on, deadline));
}

static void on_proxy_header(h2o_socket_t *socket, const char *error)
{
    struct passed_on *passed_on = socket->data;
    struct server *server = passed_on->server;
    struct sockaddr_storage peer;
    size_t len;
    enum proxy_header header =
        proxy_header_read(bytes_of(socket->input->bytes, socket->input->size), &len, &peer);
    if (error != NULL) {
        passed_on_close(passed_on); /* who only looks whether the port is open */
    } else if (header == PROXY_HEADER_WRONG) {
        passed_on_refuse(passed_on);
    } else if (header == PROXY_HEADER_WHOLE) {
        h2o_socket_read_stop(socket);
        passed_on_end(passed_on);
        h2o_buffer_consume(&socket->input, len);
        if (peer.ss_family != AF_UNSPEC) {
            h2o_socket_setpeername(socket, (struct sockaddr *)&peer, sizeof(peer));
        }
        begin_http(server, socket);
    }
}

static void await_proxy_header(struct server *server, h2o_socket_t *socket)
{
    struct passed_on *passed_on = mem_alloc_zeroed(sizeof(*passed_on));
    passed_on->server = server;
    passed_on->socket = socket;
    passed_on->deadline.cb = on_proxy_header_late;
    h2o_timeout_link(server->context.loop, &server->context.handshake_timeout,
                     &passed_on->deadline);
    socket->data = passed_on;
    h2o_socket_read_start(socket, on_proxy_header);
}

static void let_in(struct server *server, h2o_socket_t *socket)
{
    const struct proxies *proxies = server->settings.proxies;
    http_connections_add(&server->connections, socket);
    look_later(server);
    if (proxies != NULL && proxies_trust_peer(proxies, socket)) {
        await_proxy_header(server, socket);
    } else {
        begin_http(server, socket);
    }
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
            let_in(server, socket);
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
    h2o_timeout_init(loop, &server->look_timeout, SERVER_LOOK_MS);
    server->look.cb = on_look;
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
    h2o_loop_t *loop = server->context.loop;
    h2o_timeout_unlink(&server->look);
    h2o_timeout_dispose(loop, &server->look_timeout);
    http_connections_close(&server->connections, loop, &server->context, &server->config);
    free(server);
}

struct server_stats server_stats(const struct server *server)
{
    return (struct server_stats){
        .sockets = server->connections.count,
        .requests = server->requests,
        .sockets_refused = server->sockets_refused,
        .accepts_paced = server->accepts_paced,
        .input_bytes = server->input_bytes,
        .requests_cut = server->requests_cut,
        .proxy_headers_refused = server->proxy_headers_refused,
    };
}
