/*
 * cors.h - cross-origin requests (Fetch standard, "CORS protocol"): which origins may read what polling answers.
 *
 * Nothing is allowed by default: a page of the same origin needs none of it. WebSockets are not subject to it.
 */
#ifndef PARLEY_EDGE_CORS_H
#define PARLEY_EDGE_CORS_H

#include "base/bytes.h"
#include <h2o.h>

enum { CORS_ORIGINS_MAX = 64 };

struct cors {
    bool is_any; /* "*" */
    size_t count;
    char *origins[CORS_ORIGINS_MAX];
};

/*
 * Reads origins ("https://example.org:8443"), separated by commas, or "*", or nothing. Returns NULL, or a static sentence
 * that says what is wrong; @ret_cors is to be released either way.
 */
MUST_USE const char *cors_parse(const char *text, struct cors *ret_cors);
void cors_release(struct cors *cors);

/* Adds the headers that @req's origin is to get, on whatever answer it gets. */
void cors_add_headers(const struct cors *cors, h2o_req_t *req);

/* Answers a preflight request (OPTIONS) with 204. Returns false, with nothing done, when @req is none. */
bool cors_serve_preflight(const struct cors *cors, h2o_req_t *req);

#endif
