#include "cors.h"

#include "http.h"
#include <stdlib.h>
#include <strings.h>

/* Whether @text is scheme://host[:port] and nothing more. */
static bool is_origin(struct bytes text)
{
    const char *scheme_end = text.len == 0 ? NULL : memmem(text.data, text.len, "://", 3);
    if (scheme_end == NULL || scheme_end == text.data) {
        return false;
    }
    struct bytes host = bytes_skip(text, (size_t)(scheme_end + 3 - text.data));
    return host.len > 0 && memchr(host.data, '/', host.len) == NULL;
}

const char *cors_parse(const char *text, struct cors *ret_cors)
{
    *ret_cors = (struct cors){0};
    if (strcmp(text, "*") == 0) {
        ret_cors->is_any = true;
        return NULL;
    }
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, ", ");
        if (len > 0) {
            if (!is_origin(bytes_of(at, len))) {
                return "an origin is a scheme and a host, as in https://example.org, without a "
                       "path";
            }
            if (ret_cors->count == CORS_ORIGINS_MAX) {
                return "there may be at most 64 origins";
            }
            ret_cors->origins[ret_cors->count++] = mem_copy_string(at, len);
        }
        at += len;
        at += strspn(at, ", ");
    }
    return NULL;
}

void cors_release(struct cors *cors)
{
    for (size_t i = 0; i < cors->count; i++) {
        free(cors->origins[i]);
    }
}

static bool allows(const struct cors *cors, struct bytes origin)
{
    for (size_t i = 0; i < cors->count; i++) {
        if (bytes_equal(origin, bytes_of_string(cors->origins[i]))) {
            return true;
        }
    }
    return false;
}

/* What is behind "://"; empty for an opaque origin ("null"). */
static struct bytes authority_of(struct bytes origin)
{
    const char *scheme_end = memmem(origin.data, origin.len, "://", 3);
    return scheme_end == NULL ? (struct bytes){0}
                              : bytes_skip(origin, (size_t)(scheme_end + 3 - origin.data));
}

/* @authority without the port that @origin's scheme has anyway: browsers leave it out of Origin, others not of Host. */
static struct bytes without_default_port(struct bytes authority, struct bytes origin)
{
    struct bytes port = bytes_start_with(origin, BYTES("https:")) ? BYTES(":443") : BYTES(":80");
    bool has_it = authority.len > port.len &&
                  bytes_equal(bytes_skip(authority, authority.len - port.len), port);
    return has_it ? bytes_of(authority.data, authority.len - port.len) : authority;
}

static bool is_same_host(struct bytes origin, struct bytes host)
{
    struct bytes a = without_default_port(authority_of(origin), origin),
                 b = without_default_port(host, origin);
    return a.len > 0 && a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

bool cors_admits(const struct cors *cors, const h2o_req_t *req)
{
    struct bytes origin = http_header(req, BYTES("origin"));
    return origin.len == 0 || cors->is_any || allows(cors, origin) ||
           is_same_host(origin, http_bytes(req->authority));
}

void cors_add_headers(const struct cors *cors, h2o_req_t *req)
{
    struct bytes origin = http_header(req, BYTES("origin"));
    if (cors->is_any) {
        http_add_header(req, "access-control-allow-origin", BYTES("*"));
        return;
    }
    if (cors->count > 0) {
        http_add_header(req, "vary", BYTES("Origin"));
    }
    if (origin.len > 0 && allows(cors, origin)) {
        http_add_header(req, "access-control-allow-origin", origin);
        http_add_header(req, "access-control-allow-credentials", BYTES("true"));
    }
}

bool cors_serve_preflight(const struct cors *cors, h2o_req_t *req)
{
    bool is_preflight =
        bytes_equal(http_method(req), BYTES("OPTIONS")) && (cors->is_any || cors->count > 0);
    if (!is_preflight) {
        return false;
    }
    cors_add_headers(cors, req);
    http_add_header(req, "access-control-allow-methods", BYTES("GET,HEAD,PUT,PATCH,POST,DELETE"));
    struct bytes asked = http_header(req, BYTES("access-control-request-headers"));
    if (asked.len > 0) {
        http_add_header(req, "access-control-allow-headers", asked);
    }
    http_respond(req, 204, "No Content", NULL, (struct bytes){0});
    return true;
}
