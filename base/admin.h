/*
 * admin.h - the admin port of both services: /healthz, /readyz, /metrics over plain HTTP/1.1, on a libh2o loop; and what a service
 * serves below /api/.
 *
 * Thread  The loop's; the callbacks are called there.
 */
#ifndef PARLEY_ADMIN_H
#define PARLEY_ADMIN_H

#include "bytes.h"
#include <h2o.h>

struct admin_callbacks {
    /* Appends one sentence why the process is not ready (503); appends nothing when it is (200). */
    void (*write_unready)(void *user, struct buf *out);
    /* Appends the metrics in Prometheus text format. */
    void (*write_metrics)(void *user, struct buf *out);
    /* Serves a request whose path begins with "/api/"; NULL: there is nothing. */
    void (*serve_api)(void *user, h2o_req_t *req);
    void *user;
};

enum { ADMIN_BODY_BYTES_MAX = 512 * 1024 };

struct admin;

/*
 * Listens on @host:@port (0: any free port; admin_port() tells). Returns NULL with a sentence in @ret_error that names
 * ADMIN_HOST and ADMIN_PORT when that fails. Keeps @callbacks' members by value.
 */
MUST_USE struct admin *admin_new(h2o_loop_t *loop, const char *host, int port,
                                 const struct admin_callbacks *callbacks, struct buf *ret_error);
int admin_port(const struct admin *admin);

/*
 * Stops listening, closes what is open and frees. Runs the loop for that: not to be called by a callback of the loop.
 * Accepts NULL.
 */
void admin_free(struct admin *admin);

#endif
