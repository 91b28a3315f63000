/* websocket.c - the answer to a WebSocket's handshake. */
#include "engine_impl.h"
#include "http.h"

enum {
    WEBSOCKET_VERSION = 13,
    WEBSOCKET_KEY_BYTES = 24, /* 16 bytes in base64 */
};

bool websocket_accept(h2o_req_t *req, h2o_http1_upgrade_cb on_complete, void *user)
{
    struct bytes key = http_header(req, BYTES("sec-websocket-key"));
    uint64_t version = 0;
    if (!bytes_to_u64(http_header(req, BYTES("sec-websocket-version")), &version) ||
        version != WEBSOCKET_VERSION) {
        http_add_header(req, "sec-websocket-version", BYTES("13"));
        http_respond(req, 426, "Upgrade Required", "text/plain",
                     BYTES("WebSocket version 13 only\n"));
        return false;
    }
    if (key.len != WEBSOCKET_KEY_BYTES || req->version < 0x101) {
        req->http1_is_persistent = 0;
        http_respond(req, 400, "Bad Request", "text/html", BYTES("Bad request"));
        return false;
    }
    char accept[WS_ACCEPT_BYTES];
    ws_accept(key, accept);
    req->res.status = 101;
    req->res.reason = "Switching Protocols";
    http_add_header(req, "upgrade", BYTES("websocket"));
    http_add_header(req, "sec-websocket-accept", bytes_of(accept, WS_ACCEPT_BYTES));
    h2o_http1_upgrade(req, NULL, 0, on_complete, user);
    return true;
}
