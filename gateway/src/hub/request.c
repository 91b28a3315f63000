#include "request.h"

#include "hub_impl.h"

static void send_query(struct request *request, uint64_t now_ms)
{
    struct hub *hub = request->hub;
    hub->stats.queries++;
    timers_set(hub->timers, &request->timer, now_ms + REQUEST_TIMEOUT_MS);
    hub->world.query(hub->world.user, request->shard, request->number,
                     buf_bytes(&request->payload));
}

static struct query_shard *shard_of(const struct request *request)
{
    return &request->hub->query_shards[request->shard];
}

static void ask(struct request *request, uint64_t now_ms)
{
    shard_of(request)->asked++;
    request->has_turn = true;
    send_query(request, now_ms);
}

static void ask_in_turn(struct request *request, uint64_t now_ms)
{
    struct query_shard *shard = shard_of(request);
    if (shard->asked < QUERIES_OF_SHARD_MAX && turns_are_empty(&shard->waiting)) {
        ask(request, now_ms);
    } else {
        request->hub->queries_waiting++;
        turns_add(&shard->waiting, &request->turn, request->source);
    }
}

static void on_due(struct timer *timer, uint64_t now_ms)
{
    struct request *request = CONTAINER_OF(timer, struct request, timer);
    (request->has_turn ? send_query : ask_in_turn)(request, now_ms);
}

void requests_init(struct hub *hub)
{
    for (size_t i = 0; i < CONTRACT_SHARDS; i++) {
        turns_init(&hub->query_shards[i].waiting);
        list_init(&hub->query_shards[i].heads_due);
    }
}

void requests_release(struct hub *hub)
{
    for (size_t i = 0; i < CONTRACT_SHARDS; i++) {
        turns_release(&hub->query_shards[i].waiting);
    }
}

static struct request *take_waiting(struct query_shard *shard)
{
    struct turn *turn = turns_take(&shard->waiting);
    if (turn == NULL) {
        return NULL;
    }
    struct request *request = CONTAINER_OF(turn, struct request, turn);
    request->hub->queries_waiting--;
    return request;
}

void requests_go_on(struct hub *hub, uint64_t now_ms)
{
    for (size_t i = 0; i < CONTRACT_SHARDS && hub->queries_waiting > 0; i++) {
        struct query_shard *shard = &hub->query_shards[i];
        struct request *request;
        while (shard->asked < QUERIES_OF_SHARD_MAX && (request = take_waiting(shard)) != NULL) {
            ask(request, now_ms);
        }
    }
}

void request_init(struct request *request, struct hub *hub,
                  void (*on_reply)(struct request *, const struct contract_query_reply *, uint64_t))
{
    *request = (struct request){.hub = hub, .on_reply = on_reply};
    timer_init(&request->timer, on_due);
    turn_init(&request->turn);
}

static void prepare(struct request *request, unsigned shard, uint32_t source,
                    const struct contract_query *query)
{
    ASSERT(!request_is_asked(request));
    request->number = ++request->hub->last_request;
    request->shard = shard;
    request->source = source;
    request->backoff_ms = REQUEST_BACKOFF_MIN_MS;
    contract_encode_query(&request->payload, query);
    map_add(&request->hub->requests, request);
}

void request_start(struct request *request, unsigned shard, uint32_t source,
                   const struct contract_query *query, uint64_t now_ms)
{
    prepare(request, shard, source, query);
    ask_in_turn(request, now_ms);
}

void request_start_later(struct request *request, unsigned shard, uint32_t source,
                         const struct contract_query *query, uint64_t now_ms)
{
    prepare(request, shard, source, query);
    timers_set(request->hub->timers, &request->timer, now_ms + REQUEST_BACKOFF_MAX_MS);
}

void request_cancel(struct request *request)
{
    if (request_is_asked(request)) {
        ASSERT(map_remove(&request->hub->requests, request_key(request)) == request);
        timers_clear(request->hub->timers, &request->timer);
        shard_of(request)->asked -= request->has_turn;
        request->has_turn = false;
        if (turn_is_waiting(&request->turn)) {
            turns_leave(&shard_of(request)->waiting, &request->turn);
            request->hub->queries_waiting--;
        }
        buf_release(&request->payload);
        request->number = 0;
    }
}

void request_hasten(struct request *request, uint32_t source)
{
    turns_hasten(&shard_of(request)->waiting, &request->turn, source);
}

void request_hurry(struct request *request, uint64_t now_ms)
{
    if (request->has_turn) {
        send_query(request, now_ms);
    }
}

uint32_t request_next_backoff(uint32_t backoff_ms)
{
    return MIN_OF(backoff_ms * 2, (uint32_t)REQUEST_BACKOFF_MAX_MS);
}

struct bytes request_key(const void *request)
{
    const uint64_t *number = &((const struct request *)request)->number;
    return bytes_of((const char *)number, sizeof(*number));
}

void hub_on_query_reply(struct hub *hub, uint64_t number, const struct contract_query_reply *reply,
                        uint64_t now_ms)
{
    struct request *request =
        map_get(&hub->requests, bytes_of((const char *)&number, sizeof(number)));
    if (request == NULL) {
        return; /* answered before, or nobody wants it any more */
    }
    if (reply != NULL && reply->status == CONTRACT_OK) {
        request_cancel(request);
        request->on_reply(request, reply, now_ms);
        return;
    }
    timers_set(hub->timers, &request->timer, now_ms + request->backoff_ms);
    request->backoff_ms = request_next_backoff(request->backoff_ms);
}
