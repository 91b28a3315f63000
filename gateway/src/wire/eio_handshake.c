/*
 * eio_handshake.c - what Engine.IO says before a session is there: queries, checks, refusals, the
 * open packet.
 */
#include "eio_handshake.h"
#include "eio_impl.h"

void eio_write_open(struct buf *out, const struct eio_settings *settings,
                    const char sid[EIO_SID_BYTES], enum eio_transport transport)
{
    const char *upgrades = transport == EIO_POLLING ? "[\"websocket\"]" : "[]";
    buf_append_format(out,
                      "{\"sid\":\"%.*s\",\"upgrades\":%s,\"pingInterval\":%u,\"pingTimeout\":%u,"
                      "\"maxPayload\":%u}",
                      EIO_SID_BYTES, sid, upgrades, settings->ping_interval_ms,
                      settings->ping_timeout_ms, settings->payload_bytes_max);
}

struct error_text {
    const char *message;
    const char *json;
};

static const struct error_text *text_of(enum eio_error error)
{
#define TEXT(code, message)                                         \
    {                                                               \
        message, "{\"code\":" #code ",\"message\":\"" message "\"}" \
    }
    static const struct error_text TEXTS[] = {
        TEXT(0, "Transport unknown"),
        TEXT(1, "Session ID unknown"),
        TEXT(2, "Bad handshake method"),
        TEXT(3, "Bad request"),
        TEXT(4, "Forbidden"),
        TEXT(5, "Unsupported protocol version"),
    };
#undef TEXT
    static_assert(COUNT_OF(TEXTS) == EIO_ERROR_VERSION + 1, "a text for each error");
    ASSERT(error >= EIO_ERROR_TRANSPORT && error <= EIO_ERROR_VERSION);
    return &TEXTS[error];
}

const char *eio_error_message(enum eio_error error)
{
    return text_of(error)->message;
}

/* Cuts @text at the first @separator: returns what is before it, and leaves what is behind it in
 * *@text. */
static struct bytes cut(struct bytes *text, char separator)
{
    struct bytes all = *text;
    const char *at = all.len > 0 ? memchr(all.data, separator, all.len) : NULL;
    if (at == NULL) {
        *text = (struct bytes){0};
        return all;
    }
    size_t before = (size_t)(at - all.data);
    *text = bytes_skip(all, before + 1);
    return bytes_of(all.data, before);
}

void eio_parse_query(struct bytes query, struct eio_query *ret_query)
{
    *ret_query = (struct eio_query){0};
    const struct {
        struct bytes name;
        struct bytes *value;
    } parameters[] = {
        {BYTES("transport"), &ret_query->transport},
        {BYTES("sid"), &ret_query->sid},
        {BYTES("EIO"), &ret_query->eio},
    };
    while (query.len > 0) {
        struct bytes value = cut(&query, '&');
        struct bytes name = cut(&value, '=');
        if (value.data == NULL) {
            value = BYTES(""); /* present, but empty */
        }
        for (size_t i = 0; i < COUNT_OF(parameters); i++) {
            if (parameters[i].value->data == NULL && bytes_equal(name, parameters[i].name)) {
                *parameters[i].value = value;
            }
        }
    }
}

/* field-value of RFC 9110, section 5.5: no control characters but the tab. */
static bool is_header_value(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) {
            return false;
        }
    }
    return true;
}

static bool fits_session(const struct eio_request *request, enum eio_transport transport)
{
    bool is_known_method =
        bytes_equal(request->method, BYTES("GET")) || bytes_equal(request->method, BYTES("POST"));
    return request->is_upgrade ||
           (request->session == EIO_SID_POLLING && transport == EIO_POLLING && is_known_method);
}

static enum eio_error check_session(const struct eio_request *request, enum eio_transport transport)
{
    if (request->session == EIO_SID_UNKNOWN) {
        return EIO_ERROR_SID;
    }
    if (!fits_session(request, transport)) {
        return EIO_ERROR_BAD_REQUEST;
    }
    return request->is_allowed ? EIO_ERROR_NONE : EIO_ERROR_FORBIDDEN;
}

static enum eio_error check_handshake(const struct eio_request *request,
                                      enum eio_transport transport)
{
    if (!bytes_equal(request->method, BYTES("GET"))) {
        return EIO_ERROR_METHOD;
    }
    if (transport == EIO_WEBSOCKET && !request->is_upgrade) {
        return EIO_ERROR_BAD_REQUEST;
    }
    if (!request->is_allowed) {
        return EIO_ERROR_FORBIDDEN;
    }
    return bytes_equal(request->query.eio, BYTES("4")) ? EIO_ERROR_NONE : EIO_ERROR_VERSION;
}

enum eio_error eio_check_request(const struct eio_request *request)
{
    enum eio_transport transport = EIO_WEBSOCKET;
    if (bytes_equal(request->query.transport, BYTES("polling"))) {
        transport = EIO_POLLING;
    } else if (!bytes_equal(request->query.transport, BYTES("websocket"))) {
        return EIO_ERROR_TRANSPORT;
    }
    if (!is_header_value(request->origin)) {
        return EIO_ERROR_BAD_REQUEST;
    }
    enum eio_error error = request->query.sid.len > 0 ? check_session(request, transport)
                                                      : check_handshake(request, transport);
    bool is_odd = request->is_upgrade && transport == EIO_POLLING;
    return error == EIO_ERROR_NONE && is_odd ? EIO_ERROR_BAD_REQUEST : error;
}

struct eio_refusal eio_refusal(enum eio_error error, bool is_upgrade)
{
    if (is_upgrade) {
        return (struct eio_refusal){
            .status = 400,
            .reason = "Bad Request",
            .content_type = "text/html",
            .body = bytes_of_string(eio_error_message(error)),
            .closes_connection = true,
        };
    }
    bool is_forbidden = error == EIO_ERROR_FORBIDDEN;
    return (struct eio_refusal){
        .status = is_forbidden ? 403 : 400,
        .reason = is_forbidden ? "Forbidden" : "Bad Request",
        .content_type = "application/json",
        .body = bytes_of_string(text_of(error)->json),
    };
}
