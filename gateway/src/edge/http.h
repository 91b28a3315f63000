/*
 * http.h - the few words that all of our libh2o handlers use: what a request says, and short answers.
 */
#ifndef PARLEY_EDGE_HTTP_H
#define PARLEY_EDGE_HTTP_H

#include "base/bytes.h"
#include <h2o.h>

/* Borrowed from the request, as all of these. */
static inline struct bytes http_bytes(h2o_iovec_t iovec)
{
    return bytes_of(iovec.base, iovec.len);
}

static inline struct bytes http_method(const h2o_req_t *req)
{
    return http_bytes(req->method);
}

/* Behind the '?'; empty where there is none. */
struct bytes http_query(const h2o_req_t *req);

/* The first header called @name (lower case); empty where there is none. */
struct bytes http_header(const h2o_req_t *req, struct bytes name);

bool http_is_websocket_upgrade(const h2o_req_t *req);

/* Whether the client takes gzip (Accept-Encoding). */
bool http_accepts_gzip(const h2o_req_t *req);

/* Adds a header to the answer. Keeps @name, which is lower case; copies @value. */
void http_add_header(h2o_req_t *req, const char *name, struct bytes value);

/* Answers. Keeps @reason, and @content_type unless it is NULL; copies @body. */
void http_respond(h2o_req_t *req, int status, const char *reason, const char *content_type,
                  struct bytes body);

/* Appends @content, compressed as gzip with zlib's @level. */
void http_gzip(struct bytes content, int level, struct buf *out);

#endif
