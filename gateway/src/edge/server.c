#include "server.h"

#include "base/http_connections.h"
#include "base/listener.h"
#include "wire/eio.h"
#include <h2o/http1.h>
#include <stdlib.h>
#include <strings.h>

enum {
    REQUEST_BODY_BYTES_MAX = 1000000,
    REQUEST_TIMEOUT_MS = 10000, /* for a request's head, and between requests */
    WEBSOCKET_VERSION = 13,
    WEBSOCKET_KEY_BYTES = 24, /* 16 bytes in base64 */
};

struct server {
    struct server_settings settings;
    struct assets *page, *client_bundles;
    struct transports *transports;
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct http_connections connections;
    h2o_hostconf_t *hosts[2];
    h2o_socket_t *listener;
    int port;
    bool is_draining;
    struct server_stats stats;
};

struct handler {
    h2o_handler_t super;
    struct server *server;
};

static struct bytes bytes_of_iovec(h2o_iovec_t iovec)
{
    return bytes_of(iovec.base, iovec.len);
}

static struct bytes header_by_name(const h2o_req_t *req, struct bytes name)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, name.data, name.len, SIZE_MAX);
    return at == -1 ? (struct bytes){0} : bytes_of_iovec(req->headers.entries[at].value);
}

static void respond(h2o_req_t *req, int status, const char *reason, const char *type,
                    struct bytes body)
{
    req->res.status = status;
    req->res.reason = reason;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type, strlen(type));
    req->res.content_length = body.len;
    h2o_send_inline(req, body.data, body.len);
}

/* --- Engine.IO's handshake --------------------------------------------------------------------------------------- */

static bool is_websocket_upgrade(const h2o_req_t *req)
{
    struct bytes upgrade = bytes_of_iovec(req->upgrade);
    return upgrade.len == 9 && strncasecmp(upgrade.data, "websocket", 9) == 0;
}

/* In the reference's order of checks; polling and upgrades of sessions are unknown transports and sessions as yet. */
static enum eio_error check_handshake(const h2o_req_t *req, const struct eio_query *query)
{
    if (!bytes_equal(query->transport, BYTES("websocket"))) {
        return EIO_ERROR_TRANSPORT;
    }
    if (query->sid.data != NULL) {
        return EIO_ERROR_SID;
    }
    if (!bytes_equal(bytes_of_iovec(req->method), BYTES("GET"))) {
        return EIO_ERROR_METHOD;
    }
    if (!is_websocket_upgrade(req)) {
        return EIO_ERROR_BAD_REQUEST;
    }
    return bytes_equal(query->eio, BYTES("4")) ? EIO_ERROR_NONE : EIO_ERROR_VERSION;
}

/* As the reference: JSON over HTTP; on a refused upgrade the message alone, and the connection closes. */
static void refuse_handshake(struct server *server, h2o_req_t *req, enum eio_error error)
{
    server->stats.refused_bad++;
    const char *message = eio_error_message(error);
    if (is_websocket_upgrade(req)) {
        req->http1_is_persistent = 0;
        respond(req, 400, "Bad Request", "text/html", bytes_of_string(message));
        return;
    }
    struct buf body = BUF_INIT;
    buf_append_format(&body, "{\"code\":%d,\"message\":\"%s\"}", (int)error, message);
    int status = error == EIO_ERROR_FORBIDDEN ? 403 : 400;
    respond(req, status, status == 403 ? "Forbidden" : "Bad Request", "application/json",
            buf_bytes(&body));
    buf_release(&body);
}

/* Refuses for now: clients come back by themselves from a failed handshake. */
static void refuse_unavailable(h2o_req_t *req, const char *why)
{
    req->http1_is_persistent = 0;
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("retry-after"), 0, NULL,
                          H2O_STRLIT("5"));
    respond(req, 503, "Service Unavailable", "text/plain; charset=utf-8", bytes_of_string(why));
}

static void on_upgraded(void *user, h2o_socket_t *socket, size_t request_len)
{
    struct server *server = user;
    if (socket != NULL) {
        h2o_buffer_consume(&socket->input, request_len);
        http_connections_forget(socket);
        server->stats.upgrades++;
        transport_open(server->transports, socket);
    }
}

static void upgrade(struct server *server, h2o_req_t *req)
{
    struct bytes key = header_by_name(req, BYTES("sec-websocket-key"));
    struct bytes version = header_by_name(req, BYTES("sec-websocket-version"));
    uint64_t version_number = 0;
    if (!bytes_to_u64(version, &version_number) || version_number != WEBSOCKET_VERSION) {
        server->stats.refused_bad++;
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("sec-websocket-version"), 0,
                              NULL, H2O_STRLIT("13"));
        respond(req, 426, "Upgrade Required", "text/plain", BYTES("WebSocket version 13 only\n"));
        return;
    }
    if (key.len != WEBSOCKET_KEY_BYTES || req->version < 0x101) {
        refuse_handshake(server, req, EIO_ERROR_BAD_REQUEST);
        return;
    }
    char *accept = h2o_mem_alloc_pool(&req->pool, WS_ACCEPT_BYTES);
    ws_accept(key, accept);
    req->res.status = 101;
    req->res.reason = "Switching Protocols";
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_UPGRADE, NULL, H2O_STRLIT("websocket"));
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("sec-websocket-accept"), 0,
                          NULL, accept, WS_ACCEPT_BYTES);
    h2o_http1_upgrade(req, NULL, 0, on_upgraded, server);
}

static void serve_engine(struct server *server, h2o_req_t *req)
{
    if (server->is_draining) {
        server->stats.refused_draining++;
        refuse_unavailable(req, "this gateway is shutting down; try another one\n");
        return;
    }
    if (server->transports->open_count >= server->settings.connections_max) {
        server->stats.refused_full++;
        refuse_unavailable(req, "too many connections; try again later\n");
        return;
    }
    struct bytes text = req->query_at == SIZE_MAX
                            ? (struct bytes){0}
                            : bytes_skip(bytes_of_iovec(req->path), req->query_at + 1);
    struct eio_query query;
    eio_parse_query(text, &query);
    enum eio_error error = check_handshake(req, &query);
    if (error != EIO_ERROR_NONE) {
        refuse_handshake(server, req, error);
    } else {
        upgrade(server, req);
    }
}

static int on_socket_io(h2o_handler_t *super, h2o_req_t *req)
{
    struct server *server = ((struct handler *)super)->server;
    struct bytes path = bytes_skip(bytes_of_iovec(req->path_normalized), sizeof("/socket.io") - 1);
    if (path.len == 0 || bytes_equal(path, BYTES("/"))) {
        serve_engine(server, req);
    } else if (!assets_serve(server->client_bundles, req, path)) {
        respond(req, 404, "Not Found", "text/plain", BYTES("no such file\n"));
    }
    return 0;
}

static int on_page(h2o_handler_t *super, h2o_req_t *req)
{
    struct server *server = ((struct handler *)super)->server;
    if (!assets_serve(server->page, req, bytes_of_iovec(req->path_normalized))) {
        respond(req, 404, "Not Found", "text/plain", BYTES("no such page\n"));
    }
    return 0;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static void on_connection(h2o_socket_t *listener, const char *error)
{
    struct server *server = listener->data;
    h2o_socket_t *socket;
    /* All that wait: a storm of clients should not need a loop turn each. */
    for (int i = 0;
         error == NULL && i < 64 && (socket = h2o_evloop_socket_accept(listener)) != NULL; i++) {
        if (server->connections.count + server->transports->socket_count >=
            server->settings.sockets_max) {
            server->stats.sockets_refused++;
            h2o_socket_close(socket);
        } else {
            http_connections_accept(&server->connections, &server->accept, socket);
        }
    }
}

static void add_handler(struct server *server, const char *path,
                        int (*on_req)(h2o_handler_t *, h2o_req_t *))
{
    h2o_pathconf_t *pathconf = h2o_config_register_path(server->hosts[0], path, 0);
    struct handler *handler = (struct handler *)h2o_create_handler(pathconf, sizeof(*handler));
    handler->super.on_req = on_req;
    handler->server = server;
    access_log_register(pathconf, server->settings.access_log);
}

static void init_http(struct server *server, h2o_loop_t *loop)
{
    h2o_globalconf_t *config = &server->config;
    http_connections_init(&server->connections);
    h2o_config_init(config);
    config->server_name = h2o_iovec_init(H2O_STRLIT("parley"));
    config->max_request_entity_size = REQUEST_BODY_BYTES_MAX;
    config->http1.req_timeout = REQUEST_TIMEOUT_MS;
    config->http1.upgrade_to_http2 = 0;
    server->hosts[0] =
        h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    add_handler(server, "/socket.io", on_socket_io);
    add_handler(server, "/", on_page);
    h2o_context_init(&server->context, loop, config);
    server->accept = (h2o_accept_ctx_t){.ctx = &server->context, .hosts = server->hosts};
}

struct server *server_new(h2o_loop_t *loop, const struct server_settings *settings,
                          struct assets *page, struct assets *client_bundles,
                          struct transports *transports, struct buf *ret_error)
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
    server->page = page;
    server->client_bundles = client_bundles;
    server->transports = transports;
    server->port = port;
    init_http(server, loop);
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
    server->is_draining = true;
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
    struct server_stats stats = server->stats;
    stats.http_sockets = server->connections.count;
    return stats;
}
