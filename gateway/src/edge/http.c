#include "http.h"

#include <strings.h>
#include <zlib.h>

struct bytes http_query(const h2o_req_t *req)
{
    return req->query_at == SIZE_MAX ? (struct bytes){0}
                                     : bytes_skip(http_bytes(req->path), req->query_at + 1);
}

struct bytes http_header(const h2o_req_t *req, struct bytes name)
{
    for (size_t i = 0; i < req->headers.size; i++) {
        if (bytes_equal(http_bytes(*req->headers.entries[i].name), name)) {
            return http_bytes(req->headers.entries[i].value);
        }
    }
    return (struct bytes){0};
}

bool http_is_websocket_upgrade(const h2o_req_t *req)
{
    return req->upgrade.len == 9 && strncasecmp(req->upgrade.base, "websocket", 9) == 0;
}

/* Whether @weight, what stands behind a coding, is ";q=0": not acceptable (RFC 9110, 12.4.2). */
static bool is_refusal(struct bytes weight)
{
    static const char pattern[] = ";q=0";
    size_t matched = 0, i = 0;
    for (; i < weight.len && weight.data[i] != ',' && matched < sizeof(pattern) - 1; i++) {
        if (weight.data[i] != ' ' && weight.data[i] != '\t') {
            if (weight.data[i] != pattern[matched++]) {
                return false;
            }
        }
    }
    /* "0.000" is nothing as well. */
    for (; i < weight.len && weight.data[i] != ','; i++) {
        if (weight.data[i] >= '1' && weight.data[i] <= '9') {
            return false;
        }
    }
    return matched == sizeof(pattern) - 1;
}

bool http_accepts_gzip(const h2o_req_t *req)
{
    struct bytes accepted = http_header(req, BYTES("accept-encoding"));
    const char *gzip = accepted.len == 0 ? NULL : memmem(accepted.data, accepted.len, "gzip", 4);
    return gzip != NULL &&
           !is_refusal(bytes_skip(accepted, (size_t)(gzip - accepted.data) + sizeof("gzip") - 1));
}

void http_add_header(h2o_req_t *req, const char *name, struct bytes value)
{
    h2o_iovec_t copy = h2o_strdup(&req->pool, value.data, value.len);
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, copy.base,
                          copy.len);
}

void http_respond(h2o_req_t *req, int status, const char *reason, const char *content_type,
                  struct bytes body)
{
    req->res.status = status;
    req->res.reason = reason;
    req->res.content_length = body.len;
    if (content_type != NULL) {
        h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
                       strlen(content_type));
    }
    h2o_send_inline(req, body.len > 0 ? body.data : "", body.len);
}

void http_gzip(struct bytes content, int level, struct buf *out)
{
    z_stream stream = {0};
    int window_bits_gzip = 15 + 16;
    ASSERT(deflateInit2(&stream, level, Z_DEFLATED, window_bits_gzip, 8, Z_DEFAULT_STRATEGY) ==
           Z_OK);
    size_t bound = deflateBound(&stream, content.len);
    stream.next_in = (Bytef *)(uintptr_t)content.data;
    stream.avail_in = (uInt)content.len;
    stream.next_out = (Bytef *)buf_reserve(out, bound);
    stream.avail_out = (uInt)bound;
    ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out->len += stream.total_out;
    deflateEnd(&stream);
}
