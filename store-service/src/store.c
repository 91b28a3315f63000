#include "store.h"

#include "announcer.h"
#include "append.h"
#include "base/map.h"
#include "expiry.h"
#include "limits.h"
#include "read.h"
#include "revoker.h"

#include <stdio.h>
#include <stdlib.h>

struct store {
    const struct store_config *config;
    struct lane_events events;
    struct shard_range shards;
    struct stats stats;
    struct pg_target *target;
    struct bus *bus;
    struct append_settings append_settings;
    struct read_settings read_settings;
    struct queue *write_queues; /* one for each write lane */
    struct queue read_queue;
    struct announcer_settings announcer_settings;
    struct expiry expiry;
    struct worker *announcer, *expirer; /* expirer NULL: messages are kept for ever */
    struct revoker_settings revoker_settings;
    struct worker *revoker;
    struct api api;      /* .worker NULL: there is none */
    struct lane **lanes; /* the write lanes, then the read lanes */
    size_t write_lanes, lane_count;
    bool receives, is_drained;
    atomic_bool is_draining; /* told in the main thread, while another one drains */
};

/* In a thread of the bus's or of nats.c's. */
static void on_connected(void *user)
{
    struct store *store = user;
    store->events.on_ready(store->events.user);
}

/* Rooms have their shares of a write lane. */
static void on_append(struct store *store, struct bus_request *request)
{
    size_t lane = request->shard % store->write_lanes; /* write lanes come first */
    if (lane_is_away(store->lanes[lane])) {
        stat_add(&store->stats.appends_unavailable, 1);
        append_refuse(store->bus, request, CONTRACT_UNAVAILABLE, "Postgres cannot be reached.");
        return;
    }
    request->entry.owner = map_hash(contract_peek_append_room(bus_payload(request)));
    enum queue_push_result result = queue_push(&store->write_queues[lane], &request->entry);
    if (result != QUEUE_TAKEN) {
        stat_add(&store->stats.appends_overloaded, 1);
        stat_add(&store->stats.appends_crowded, result == QUEUE_CROWDED);
        append_refuse(store->bus, request, CONTRACT_OVERLOADED,
                      result == QUEUE_CROWDED ? "Too many requests of this room wait."
                                              : "Too many requests wait.");
    }
}

static bool are_readers_away(const struct store *store)
{
    for (size_t i = store->write_lanes; i < store->lane_count; i++) {
        if (!lane_is_away(store->lanes[i])) {
            return false;
        }
    }
    return true;
}

/* Shards have their shares of the read lanes. */
static void on_read(struct store *store, struct bus_request *request)
{
    if (are_readers_away(store)) {
        stat_add(&store->stats.reads_unavailable, 1);
        read_refuse(store->bus, request, CONTRACT_UNAVAILABLE, "Postgres cannot be reached.");
        return;
    }
    request->entry.owner = request->shard;
    enum queue_push_result result = queue_push(&store->read_queue, &request->entry);
    if (result != QUEUE_TAKEN) {
        stat_add(&store->stats.reads_overloaded, 1);
        stat_add(&store->stats.reads_crowded, result == QUEUE_CROWDED);
        read_refuse(store->bus, request, CONTRACT_OVERLOADED,
                    result == QUEUE_CROWDED ? "Too many requests of this shard wait."
                                            : "Too many requests wait.");
    }
}

/* In a thread of nats.c's. Who cannot serve says so at once: another store may be well. */
static void on_request(void *user, struct bus_request *request)
{
    (request->subject == BUS_APPEND ? on_append : on_read)(user, request);
}

static void start_lane(struct store *store, const char *kind, size_t number,
                       struct lane_setup setup)
{
    char name[32];
    snprintf(name, sizeof(name), "%s-%zu", kind, number);
    setup.name = name;
    setup.target = store->target;
    setup.bytes_max = TRANSACTION_BYTES_MAX;
    setup.stats = &store->stats;
    store->lanes[store->lane_count++] = lane_new(&setup);
}

static void start_lanes(struct store *store, const struct lane_events *events)
{
    size_t read_lanes = (size_t)store->config->read_lanes;
    store->lanes = mem_alloc((store->write_lanes + read_lanes) * sizeof(struct lane *));
    for (size_t i = 0; i < store->write_lanes; i++) {
        start_lane(store, "write", i,
                   (struct lane_setup){
                       .appends = true,
                       .queue = &store->write_queues[i],
                       .requests_max = (size_t)store->config->transaction_messages_max,
                       .on_requests = append_on_requests,
                       .user = &store->append_settings,
                       .events = *events,
                       .busy_us = &store->stats.write_busy_us,
                   });
    }
    for (size_t i = 0; i < read_lanes; i++) {
        start_lane(store, "read", i,
                   (struct lane_setup){
                       .queue = &store->read_queue,
                       .requests_max = READ_REQUESTS_MAX,
                       .on_requests = read_on_requests,
                       .user = &store->read_settings,
                       .events = *events,
                       .busy_us = &store->stats.read_busy_us,
                   });
    }
}

static void start_workers(struct store *store)
{
    store->announcer_settings =
        (struct announcer_settings){.bus = store->bus, .stats = &store->stats};
    store->announcer = announcer_new(&store->announcer_settings, store->target);
    if (store->config->retention_days > 0) {
        store->expiry = (struct expiry){
            .keep_days = (uint64_t)store->config->retention_days,
            .stats = &store->stats,
        };
        store->expirer = expiry_new(&store->expiry, store->target);
    }
    store->revoker_settings = (struct revoker_settings){.bus = store->bus, .stats = &store->stats};
    store->revoker = revoker_new(&store->revoker_settings, store->target);
    if (store->config->api_key[0] != '\0') {
        api_init(&store->api, store->bus, &store->stats, store->target);
    }
}

static void init_queues(struct store *store)
{
    size_t entries_max = (size_t)store->config->lane_requests_max;
    size_t bytes_max = (size_t)store->config->lane_bytes_max;
    store->write_lanes = (size_t)store->config->write_lanes;
    store->write_queues = mem_alloc_zeroed(store->write_lanes * sizeof(struct queue));
    for (size_t i = 0; i < store->write_lanes; i++) {
        queue_init(&store->write_queues[i], entries_max, bytes_max);
    }
    queue_init(&store->read_queue, entries_max, bytes_max);
}

struct store *store_new(const struct store_config *config, const struct lane_events *events,
                        struct buf *ret_error)
{
    struct store *store = mem_alloc_zeroed(sizeof(*store));
    store->config = config;
    store->events = *events;
    init_queues(store);
    size_t key_len = strlen(config->api_key);
    if (key_len > 0 && key_len < API_KEY_BYTES_MIN) {
        buf_append_bytes(ret_error,
                         BYTES("API_KEY has less than 16 characters, which can be guessed: "
                               "take some that are random, as from openssl rand -hex 32."));
        store_free(store);
        return NULL;
    }
    if (!shard_range_parse(config->shards, &store->shards, ret_error)) {
        store_free(store);
        return NULL;
    }
    store->target = pg_target_new(config->database_url, ret_error);
    if (store->target == NULL) {
        store_free(store);
        return NULL;
    }
    struct bus_callbacks callbacks = {
        .on_request = on_request, .on_connected = on_connected, .user = store};
    struct nats_settings nats = NATS_SETTINGS_OF(config);
    store->bus = bus_new(&nats, &callbacks, &store->stats, ret_error);
    if (store->bus == NULL) {
        store_free(store);
        return NULL;
    }
    store->append_settings = (struct append_settings){
        .bus = store->bus,
        .stats = &store->stats,
        .transaction_messages_max = (size_t)config->transaction_messages_max,
    };
    store->read_settings = (struct read_settings){.bus = store->bus, .stats = &store->stats};
    start_lanes(store, events);
    start_workers(store);
    return store;
}

static unsigned connected_lanes(const struct store *store)
{
    unsigned connected = 0;
    for (size_t i = 0; i < store->lane_count; i++) {
        connected += lane_is_connected(store->lanes[i]);
    }
    return connected;
}

bool store_can_receive(const struct store *store)
{
    return bus_is_connected(store->bus) && connected_lanes(store) > 0;
}

bool store_receive(struct store *store, struct buf *ret_error)
{
    ASSERT(!store->receives);
    store->receives = bus_receive(store->bus, store->shards, ret_error);
    return store->receives;
}

void store_drain(struct store *store)
{
    atomic_store(&store->is_draining, true);
    /* From the outside in: no new request, no waiting request, no lane, and only then the way out for replies. */
    if (store->bus != NULL) {
        bus_stop_receiving(store->bus);
    }
    for (size_t i = 0; i < store->write_lanes; i++) {
        queue_close(&store->write_queues[i]);
    }
    queue_close(&store->read_queue);
    worker_end(store->announcer);
    worker_end(store->expirer);
    worker_end(store->revoker);
    worker_end(store->api.worker);
    for (size_t i = 0; i < store->lane_count; i++) {
        lane_join(store->lanes[i]);
    }
    worker_join(store->announcer);
    worker_join(store->expirer);
    worker_join(store->revoker);
    worker_join(store->api.worker);
    if (store->bus != NULL) {
        bus_flush(store->bus);
    }
    store->is_drained = true;
}

void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (!store->is_drained) {
        store_drain(store);
    }
    for (size_t i = 0; i < store->lane_count; i++) {
        lane_free(store->lanes[i]);
    }
    worker_free(store->announcer);
    worker_free(store->expirer);
    worker_free(store->revoker);
    if (store->api.worker != NULL) {
        api_release(&store->api);
    }
    bus_free(store->bus);
    for (size_t i = 0; i < store->write_lanes; i++) {
        queue_release(&store->write_queues[i]);
    }
    queue_release(&store->read_queue);
    pg_target_free(store->target);
    free(store->write_queues);
    free(store->lanes);
    free(store);
}

struct api *store_api(struct store *store)
{
    return store->api.worker != NULL ? &store->api : NULL;
}

/* For people and for Prometheus. */

void store_write_unready(struct store *store, struct buf *out)
{
    if (bus_is_too_small(store->bus)) {
        buf_append_bytes(out,
                         BYTES("The NATS of NATS_URL takes too little: raise its max_payload. "));
    } else if (!bus_is_connected(store->bus)) {
        buf_append_bytes(out, BYTES("There is no connection to the NATS of NATS_URL. "));
    }
    unsigned connected = connected_lanes(store);
    if (connected < store->lane_count) {
        buf_append_format(out,
                          "%zu of %zu lanes have no connection to the Postgres of DATABASE_URL: ",
                          store->lane_count - connected, store->lane_count);
        for (size_t i = 0; i < store->lane_count; i++) {
            if (!lane_is_connected(store->lanes[i])) {
                lane_write_trouble(store->lanes[i], out);
                break; /* the others' is the same, as good as always */
            }
        }
    } else if (!store->receives) {
        buf_append_bytes(out, BYTES("Requests are not taken yet."));
    }
}

void store_write_metrics(struct store *store, struct buf *out)
{
    struct queue_load reads = queue_load(&store->read_queue);
    struct stats_gauges gauges = {
        .read_requests_waiting = reads.count,
        .read_bytes_waiting = reads.bytes,
        .read_requests_max = store->read_queue.entries_max,
        .read_bytes_max = store->read_queue.bytes_max,
        .write_lanes = (unsigned)store->write_lanes,
        .read_lanes = (unsigned)(store->lane_count - store->write_lanes),
        .lanes_connected = connected_lanes(store),
        .nats_is_connected = bus_is_connected(store->bus),
        .receives = store->receives && !atomic_load(&store->is_draining),
    };
    for (size_t i = 0; i < store->write_lanes; i++) {
        struct queue_load appends = queue_load(&store->write_queues[i]);
        gauges.append_requests_waiting += appends.count;
        gauges.append_bytes_waiting += appends.bytes;
        gauges.append_requests_max += store->write_queues[i].entries_max;
        gauges.append_bytes_max += store->write_queues[i].bytes_max;
    }
    stats_write(&store->stats, &gauges, out);
}
