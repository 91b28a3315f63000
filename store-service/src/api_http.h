/*
 * api_http.h - the server API over HTTP, on the admin port, below /api/v1/; openapi.json describes it.
 *
 * Every call needs `Authorization: Bearer API_KEY`. An answer is JSON, and so is an error: {"code", "message"}.
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_STORE_API_HTTP_H
#define PARLEY_STORE_API_HTTP_H

#include "api.h"

#include <h2o.h>

struct api_http;

/* @api NULL, or @key empty: there is no API, and requests are told so. Keeps @key by reference. Returns owned. */
MUST_USE struct api_http *api_http_new(h2o_loop_t *loop, struct api *api, const char *key);

/* Serves a request whose path begins with "/api/". */
void api_http_serve(struct api_http *http, h2o_req_t *req);

/* The API's thread has ended; what it answered last is dropped. Accepts NULL. */
void api_http_free(struct api_http *http);

#endif
