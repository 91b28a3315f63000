/*
 * request.h - a query to the store that is asked until it is answered.
 *
 * Embedded in what needs the answer. A query that was not answered in REQUEST_TIMEOUT_MS, or was
 * answered with "not now", is sent again, the same bytes under the same number: all queries are
 * harmless to repeat, and any answer is good.
 */
#ifndef PARLEY_HUB_REQUEST_H
#define PARLEY_HUB_REQUEST_H

#include "base/timers.h"
#include "proto/contract.h"

struct hub;

struct request {
    struct hub *hub;
    struct timer timer;
    uint64_t number; /* 0: nothing is asked */
    unsigned shard;
    uint32_t backoff_ms;
    struct buf payload;
    /* The answer, whose status is CONTRACT_OK. The request is over and may be started again. */
    void (*on_reply)(struct request *request, const struct contract_query_reply *reply,
                     uint64_t now_ms);
};

void request_init(struct request *request, struct hub *hub,
                  void (*on_reply)(struct request *, const struct contract_query_reply *,
                                   uint64_t));

static inline bool request_is_asked(const struct request *request)
{
    return request->number != 0;
}

/* Asks @query of @shard. Nothing must be asked yet. */
void request_start(struct request *request, unsigned shard, const struct contract_query *query,
                   uint64_t now_ms);

/* Likewise, but asks for the first time in REQUEST_BACKOFF_MAX_MS: after an answer that was of no use, so that the same
 * is not asked for as fast as it is answered. */
void request_start_later(struct request *request, unsigned shard,
                         const struct contract_query *query, uint64_t now_ms);

/* Stops asking; an answer that comes later is ignored. */
void request_cancel(struct request *request);

/* Asks again now, where something is asked. */
void request_hurry(struct request *request, uint64_t now_ms);

/* The wait after @backoff_ms in a row of failures. */
uint32_t request_next_backoff(uint32_t backoff_ms);

#endif
