/*
 * eio_handshake.c - what Engine.IO says before a session is there: queries, refusals, the open
 * packet.
 */
#include "eio.h"

void eio_write_open(struct buf *out, const struct eio_settings *settings,
                    const char sid[EIO_SID_BYTES], const char *upgrades)
{
    buf_append_format(out,
                      "{\"sid\":\"%.*s\",\"upgrades\":%s,\"pingInterval\":%u,\"pingTimeout\":%u,"
                      "\"maxPayload\":%u}",
                      EIO_SID_BYTES, sid, upgrades, settings->ping_interval_ms,
                      settings->ping_timeout_ms, settings->payload_bytes_max);
}

const char *eio_error_message(enum eio_error error)
{
    switch (error) {
    case EIO_ERROR_NONE: break;
    case EIO_ERROR_TRANSPORT: return "Transport unknown";
    case EIO_ERROR_SID: return "Session ID unknown";
    case EIO_ERROR_METHOD: return "Bad handshake method";
    case EIO_ERROR_BAD_REQUEST: return "Bad request";
    case EIO_ERROR_FORBIDDEN: return "Forbidden";
    case EIO_ERROR_VERSION: return "Unsupported protocol version";
    }
    ASSERT(!"an error that has a message");
    return "";
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
