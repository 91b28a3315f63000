/*
 * request.h - a query to the store that is asked until it is answered.
 *
 * Embedded in what needs the answer. A query that was not answered in REQUEST_TIMEOUT_MS, or was
 * answered with "not now", is sent again, the same bytes under the same number: all queries are
 * harmless to repeat, and any answer is good.
 *
 * At most QUERIES_OF_SHARD_MAX queries of a shard wait for answers, so that what answers take is bounded; the others
 * wait for their turn, which those for whose sake it is asked take by where they come from: turns.h.
 */
#ifndef PARLEY_HUB_REQUEST_H
#define PARLEY_HUB_REQUEST_H

#include "base/list.h"
#include "base/timers.h"
#include "proto/contract.h"
#include "turns.h"

struct hub;

/* The hub's part of it. */
void requests_init(struct hub *hub);
void requests_release(struct hub *hub);

/* At a turn's end: asks what has waited for its turn, as far as others have ended. */
void requests_go_on(struct hub *hub, uint64_t now_ms);

struct request {
    struct hub *hub;
    struct timer timer;
    struct turn turn; /* of hub.query_shards */
    bool has_turn;
    uint64_t number; /* 0: nothing is asked */
    unsigned shard;
    uint32_t source;
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

/* Asks @query of @shard, for @source: client.source of who wants the answer; 0: the hub itself. Nothing must be asked yet. */
void request_start(struct request *request, unsigned shard, uint32_t source,
                   const struct contract_query *query, uint64_t now_ms);

/* Likewise, but asks for the first time in REQUEST_BACKOFF_MAX_MS: after an answer that was of no use, so that the same
 * is not asked for as fast as it is answered. */
void request_start_later(struct request *request, unsigned shard, uint32_t source,
                         const struct contract_query *query, uint64_t now_ms);

/* Stops asking; an answer that comes later is ignored. */
void request_cancel(struct request *request);

/* Somebody from @source waits for the answer, too: it is asked in that one's turn, where that comes sooner. */
void request_hasten(struct request *request, uint32_t source);

/* Asks again now, where something is asked that has had its turn. */
void request_hurry(struct request *request, uint64_t now_ms);

/* The wait after @backoff_ms in a row of failures. */
uint32_t request_next_backoff(uint32_t backoff_ms);

#endif
