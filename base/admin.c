/* admin.c - a small libh2o HTTP server. */
#include "admin.h"

#include "http_connections.h"
#include "listener.h"
#include <stdlib.h>

/* Whoever looks in should not wait a loop turn for each that came before: turns are long when the process is busy. */
enum { ACCEPTS_PER_TURN = 8 };

struct admin {
    struct admin_callbacks callbacks;
    h2o_globalconf_t config;
    h2o_hostconf_t *hosts[2]; /* NULL-terminated, for libh2o */
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    struct http_connections connections;
    h2o_socket_t *listener;
    int port;
};

struct admin_handler {
    h2o_handler_t super;
    struct admin *admin;
};

static void respond(h2o_req_t *req, int status, const char *reason, const char *type,
                    struct bytes body)
{
    req->res.status = status;
    req->res.reason = reason;
    req->res.content_length = body.len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type, strlen(type));
    h2o_send_inline(req, body.data, body.len); /* copies */
}

static void respond_ready(struct admin *admin, h2o_req_t *req)
{
    struct buf reason = BUF_INIT;
    admin->callbacks.write_unready(admin->callbacks.user, &reason);
    if (reason.len == 0) {
        respond(req, 200, "OK", "text/plain; charset=utf-8", BYTES("ok\n"));
    } else {
        buf_append_char(&reason, '\n');
        respond(req, 503, "Service Unavailable", "text/plain; charset=utf-8", buf_bytes(&reason));
    }
    buf_release(&reason);
}

static void respond_metrics(struct admin *admin, h2o_req_t *req)
{
    struct buf text = BUF_INIT;
    admin->callbacks.write_metrics(admin->callbacks.user, &text);
    respond(req, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", buf_bytes(&text));
    buf_release(&text);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    struct admin *admin = ((struct admin_handler *)handler)->admin;
    /* No connection outlives its answer: scrapes are rare, and a drain has none to wait for. */
    req->http1_is_persistent = 0;
    struct bytes method = bytes_of(req->method.base, req->method.len);
    struct bytes path = bytes_of(req->path_normalized.base, req->path_normalized.len);
    if (admin->callbacks.serve_api != NULL && bytes_start_with(path, BYTES("/api/"))) {
        admin->callbacks.serve_api(admin->callbacks.user, req);
    } else if (!bytes_equal(method, BYTES("GET")) && !bytes_equal(method, BYTES("HEAD"))) {
        respond(req, 405, "Method Not Allowed", "text/plain", BYTES("GET and HEAD only\n"));
    } else if (bytes_equal(path, BYTES("/healthz"))) {
        respond(req, 200, "OK", "text/plain; charset=utf-8", BYTES("ok\n"));
    } else if (bytes_equal(path, BYTES("/readyz"))) {
        respond_ready(admin, req);
    } else if (bytes_equal(path, BYTES("/metrics"))) {
        respond_metrics(admin, req);
    } else {
        respond(req, 404, "Not Found", "text/plain", BYTES("/healthz, /readyz, /metrics\n"));
    }
    return 0;
}

static void on_connection(h2o_socket_t *listener, const char *error)
{
    struct admin *admin = listener->data;
    if (error != NULL) {
        return;
    }
    h2o_socket_t *socket;
    for (int i = 0; i < ACCEPTS_PER_TURN && (socket = h2o_evloop_socket_accept(listener)) != NULL;
         i++) {
        http_connections_add(&admin->connections, socket);
        h2o_accept(&admin->accept, socket);
    }
}

static void init_http(struct admin *admin, h2o_loop_t *loop)
{
    http_connections_init(&admin->connections);
    h2o_config_init(&admin->config);
    admin->config.http1.upgrade_to_http2 = 0;
    admin->config.max_request_entity_size = ADMIN_BODY_BYTES_MAX;
    admin->config.server_name = h2o_iovec_init(H2O_STRLIT("parley"));
    admin->hosts[0] = h2o_config_register_host(
        &admin->config, h2o_iovec_init(H2O_STRLIT("default")), 65535 /* any port */);
    h2o_pathconf_t *root = h2o_config_register_path(admin->hosts[0], "/", 0);
    struct admin_handler *handler =
        (struct admin_handler *)h2o_create_handler(root, sizeof(struct admin_handler));
    handler->super.on_req = on_request;
    handler->admin = admin;
    h2o_context_init(&admin->context, loop, &admin->config);
    admin->accept = (h2o_accept_ctx_t){.ctx = &admin->context, .hosts = admin->config.hosts};
}

struct admin *admin_new(h2o_loop_t *loop, const char *host, int port,
                        const struct admin_callbacks *callbacks, struct buf *ret_error)
{
    const char *reason;
    int bound_port = port;
    int fd = listener_open(host, &bound_port, &reason);
    if (fd < 0) {
        buf_append_format(ret_error,
                          "Cannot listen on %s port %d for the admin pages: %s. Set ADMIN_HOST and "
                          "ADMIN_PORT to an address and a port that are free.",
                          host, port, reason);
        return NULL;
    }
    struct admin *admin = mem_alloc_zeroed(sizeof(*admin));
    admin->callbacks = *callbacks;
    admin->port = bound_port;
    init_http(admin, loop);
    admin->listener = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    admin->listener->data = admin;
    h2o_socket_read_start(admin->listener, on_connection);
    return admin;
}

int admin_port(const struct admin *admin)
{
    return admin->port;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL) {
        return;
    }
    h2o_socket_close(admin->listener);
    http_connections_close(&admin->connections, admin->context.loop, &admin->context,
                           &admin->config);
    free(admin);
}
