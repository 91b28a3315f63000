/*
 * cors.h - requests of pages from elsewhere: which origins (RFC 6454) may use Socket.IO here, and how browsers are told
 * that those may read what polling answers (Fetch standard, "CORS protocol").
 *
 * None is allowed by default, and a page of the same origin needs none of it. Browsers do not keep a foreign page from opening
 * a WebSocket, nor from sending a POST: it is refused here, or any page could speak in the name of whoever visits it
 * (RFC 6455, 10.2). What sends no Origin is no browser, and is not kept out by it.
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

/*
 * Whether the page that @req comes from may do so: it is allowed, or comes from the host and port that it asks (Host; the
 * scheme is not looked at, since TLS may end in front of here), or @req names no origin.
 */
bool cors_admits(const struct cors *cors, const h2o_req_t *req);

/* Adds the headers that @req's origin is to get, on whatever answer it gets. */
void cors_add_headers(const struct cors *cors, h2o_req_t *req);

/* Answers a preflight request (OPTIONS) with 204. Returns false, with nothing done, when @req is none. */
bool cors_serve_preflight(const struct cors *cors, h2o_req_t *req);

#endif
