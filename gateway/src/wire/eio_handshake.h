/*
 * eio_handshake.h - what is decided before a session is touched: queries, the checks of a request, how it is refused.
 *
 *     struct eio_request request = {.method = …, .origin = …, .is_upgrade = …, .is_allowed = …};
 *     eio_parse_query(query, &request.query);
 *     if (request.query.sid.len > 0)
 *         request.session = …look it up…;
 *     enum eio_error error = eio_check_request(&request);
 *     if (error != EIO_ERROR_NONE)
 *         … send what eio_refusal(error, request.is_upgrade) says …
 *     else if (request.query.sid.len == 0)
 *         … open a session, on a WebSocket if is_upgrade …
 *     else if (request.is_upgrade)
 *         … answer 101, then eio_probe_open() …
 *     else
 *         … eio_session_poll() for a GET, eio_session_post() for a POST …
 */
#ifndef PARLEY_WIRE_EIO_HANDSHAKE_H
#define PARLEY_WIRE_EIO_HANDSHAKE_H

#include "base/bytes.h"

enum eio_transport { EIO_POLLING, EIO_WEBSOCKET };

/* As the reference server numbers them. */
enum eio_error {
    EIO_ERROR_NONE = -1,
    EIO_ERROR_TRANSPORT = 0,
    EIO_ERROR_SID = 1,
    EIO_ERROR_METHOD = 2,
    EIO_ERROR_BAD_REQUEST = 3,
    EIO_ERROR_FORBIDDEN = 4,
    EIO_ERROR_VERSION = 5,
};

/* The parameters of a request's query string that matter here. Slices of the query; data NULL where absent. */
struct eio_query {
    struct bytes transport, sid, eio;
};

/* Of a parameter that is there more than once, the first counts. Escapes (%) are not resolved: no value needs any. */
void eio_parse_query(struct bytes query, struct eio_query *ret_query);

/* What the server knows of the session that a request's sid names. */
enum eio_sid_state {
    EIO_SID_UNKNOWN,   /* never was, or is CLOSED */
    EIO_SID_POLLING,   /* also where only another server knows, which checks again */
    EIO_SID_WEBSOCKET, /* on a WebSocket from the beginning, or upgraded */
};

struct eio_request {
    struct bytes method;
    struct eio_query query;
    struct bytes origin;        /* value of the Origin header, len 0 where absent */
    bool is_upgrade;            /* it asks for a WebSocket: "Upgrade: websocket" */
    bool is_allowed;            /* the server's policy lets this client in */
    enum eio_sid_state session; /* matters only where the query has a sid */
};

/*
 * What is wrong with @request, or EIO_ERROR_NONE: the reference's checks in the reference's order. An empty sid is
 * none. Beyond the reference, these are EIO_ERROR_BAD_REQUEST: a WebSocket upgrade that names transport=polling (the
 * reference says 101 and closes), and a session's request that is neither GET nor POST (the reference says 500). The policy
 * counts for a session's requests too; the reference asks for it at handshakes alone.
 */
enum eio_error eio_check_request(const struct eio_request *request);

/* "Transport unknown", "Session ID unknown", … as the reference server says it. */
const char *eio_error_message(enum eio_error error);

/* A response that refuses a request. All constants. */
struct eio_refusal {
    int status;
    const char *reason;
    const char *content_type;
    struct bytes body;
    bool closes_connection; /* with "Connection: close" */
};

/* How @error, which is not EIO_ERROR_NONE, is told: in JSON, or as bare text where a WebSocket was asked for. */
struct eio_refusal eio_refusal(enum eio_error error, bool is_upgrade);

#endif
