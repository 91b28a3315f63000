/*
 * api.h - the server API's calls: what an application's server asks for, of the database and of all gateways. HTTP is api_http.h's.
 *
 *   api_submit() ──▶ a queue ──▶ the API's thread: parley_api() in Postgres, then perhaps the gateways ──▶ call.on_done()
 *
 * One call after the other, on a connection of its own, so that no call is in the way of messages.
 *
 * Thread  api_submit(): any. on_done(): the API's.
 * Limits  API_CALLS_MAX calls wait.
 */
#ifndef PARLEY_STORE_API_H
#define PARLEY_STORE_API_H

#include "bus.h"
#include "worker.h"

#include <pthread.h>

struct api_call {
    const char *name; /* of parley_api(), migrations/0012_api.sql; static */
    struct buf room, after, before, limit, body;
    /* Takes the call. In the API's thread. */
    void (*on_done)(struct api_call *call);
    int status;        /* of HTTP */
    struct buf answer; /* JSON */
    struct api_call *next;
};

void api_call_release(struct api_call *call);

/* Makes the answer an error's. */
void api_call_fail(struct api_call *call, int status, const char *code, const char *message);

struct api {
    struct bus *bus;
    struct stats *stats;
    struct worker *worker;
    pthread_mutex_t mutex; /* of the queue */
    struct api_call *first, **end;
    size_t count;
};

/* Starts it. @api must stay where it is. */
void api_init(struct api *api, struct bus *bus, struct stats *stats,
              const struct pg_target *target);

/* What waits, when its worker has ended, is answered 503. */
void api_release(struct api *api);

/* Takes @call, unless too many wait: then it is answered, in this thread. */
void api_submit(struct api *api, struct api_call *call);

#endif
