#include "service.h"

#include "stores.h"
#include "watch.h"

#include <stdlib.h>

enum { DOWN_MS_MAX = 2000 };

struct service {
    struct cluster *cluster;
    struct stores stores;
    size_t store_count;
    struct fake_service fake;
};

static struct fake_store *mirror_of(const struct service *service)
{
    return &service->cluster->world.store;
}

/* --- what stores and Postgres tell --- */

static void on_reply(void *user, uint64_t token, struct bytes payload)
{
    struct service *service = user;
    fake_world_answer(&service->cluster->world, token, payload);
}

static void on_publish(void *user, const struct contract_room_event *event)
{
    struct service *service = user;
    fake_world_publish(&service->cluster->world, event);
}

/* The row that is to come next in @room, of those that @xid wrote. NULL: there is none. */
static const struct pg_message *next_row(const struct pg_room *room, uint32_t xid, uint64_t id)
{
    for (size_t i = 0; i < room->message_count; i++) {
        if (room->messages[i].xmin == xid && room->messages[i].id == id) {
            return &room->messages[i];
        }
    }
    return NULL;
}

static void on_commit(void *user, uint32_t xid)
{
    struct service *service = user;
    struct fake_store *mirror = mirror_of(service);
    const struct pg_database *db = &service->stores.server.db;
    struct pg_view view = pg_view_now(db, 0);
    const struct pg_epoch *epoch = pg_newest_epoch(db, view);
    if (mirror->epoch != epoch->epoch) {
        bool is_first = mirror->epoch == mirror->first_epoch && db->epoch_count == 1;
        mirror->epoch = epoch->epoch;
        mirror->first_epoch = is_first ? epoch->epoch : mirror->first_epoch;
    }
    for (size_t i = 0; i < db->room_count; i++) {
        const struct pg_room_version *version = pg_room_version(db, view, db->rooms[i]);
        struct fake_room *room = fake_store_room(mirror, bytes_of_string(db->rooms[i]->name));
        const struct pg_message *row;
        while ((row = next_row(db->rooms[i], xid, room->head + 1)) != NULL) {
            fake_store_add(room, &row->texts, row->at_ms);
        }
        uint64_t head = version != NULL ? pg_head(db, view, db->rooms[i]) : 0;
        if (version != NULL && head != room->head) {
            fake_failed("the head of %s is %llu, and %zu messages lead up to it", room->name,
                        (unsigned long long)head, room->head);
        }
    }
}

static void on_promotion(void *user)
{
    struct service *service = user;
    struct fake_store *mirror = mirror_of(service);
    const struct pg_database *db = &service->stores.server.db;
    for (size_t i = 0; i < mirror->room_count; i++) {
        struct fake_room *room = &mirror->rooms[i];
        struct pg_view view = pg_view_now(db, 0);
        const struct pg_room *kept = pg_find_room(db, view, bytes_of_string(room->name));
        uint64_t head = kept != NULL ? pg_head(db, view, kept) : 0;
        fake_store_cut(mirror, room, MIN_OF(room->head, (size_t)head));
    }
    mirror->epoch++; /* whatever the next one is called: this one is over */
    watch_forget_lost(service->cluster);
}

/* --- what the world wants --- */

static bool service_request(void *user, bool is_append, uint64_t token, struct bytes payload)
{
    struct service *service = user;
    unsigned shard;
    if (is_append) {
        struct contract_append *append = contract_decode_append(payload);
        shard = contract_shard(append->room);
        contract_free(append);
    } else {
        struct contract_query *query = contract_decode_query(payload);
        shard = contract_shard(query->type == CONTRACT_RANGE ? query->range.room
                                                             : query->heads.rooms[0]);
        contract_free(query);
    }
    return stores_request(&service->stores, is_append ? STORE_APPEND : STORE_READ, shard, token,
                          payload);
}

/* Who is ready and had no turn at this moment has one at the next. */
static uint64_t service_next_ms(void *user)
{
    struct service *service = user;
    return MAX_OF(stores_next_ms(&service->stores), service->stores.now_ms + 1);
}

static void service_run(void *user)
{
    struct service *service = user;
    service->stores.now_ms = service->cluster->world.now_ms;
    while (stores_step(&service->stores) && cluster_draw(service->cluster, 4) != 0) {
    }
}

/* --- life and faults --- */

static void *service_start(struct cluster *cluster)
{
    struct service *service = mem_alloc_zeroed(sizeof(*service));
    struct stores *stores = &service->stores;
    service->cluster = cluster;
    stores_init(stores, cluster_draw(cluster, 2) == 0);
    stores->dice = &cluster->dice;
    stores->now_ms = cluster->world.now_ms;
    stores->write_lanes = 1 + cluster_draw(cluster, STORE_WRITE_LANES_MAX);
    stores->transaction_messages_max = 1 + cluster_draw(cluster, 24);
    stores->on_reply = on_reply;
    stores->on_publish = on_publish;
    stores->user = service;
    stores->server.db.on_commit = on_commit;
    stores->server.db.on_promotion = on_promotion;
    stores->server.db.user = service;
    service->store_count = 1 + cluster_draw(cluster, STORES_MAX);
    for (size_t i = 0; i < service->store_count; i++) {
        stores_start(stores, i);
    }
    service->fake = (struct fake_service){.request = service_request,
                                          .next_ms = service_next_ms,
                                          .run = service_run,
                                          .user = service};
    cluster->world.service = &service->fake;
    return service;
}

static void service_stop(void *user)
{
    struct service *service = user;
    service->cluster->world.service = NULL;
    stores_release(&service->stores);
    free(service);
}

static void service_heal(void *user)
{
    struct service *service = user;
    pg_server_thaw(&service->stores.server);
    for (size_t i = 0; i < service->store_count; i++) {
        if (service->stores.processes[i] == NULL) {
            stores_start(&service->stores, i);
        }
        stores_freeze(&service->stores, i, false);
    }
}

static bool has(const struct service *service, int fault)
{
    return !service->cluster->schedule->without[fault];
}

static void befall_store(struct service *service, size_t number, bool is_kill)
{
    struct stores *stores = &service->stores;
    bool is_running = stores->processes[number] != NULL;
    if (is_kill && has(service, FAULT_STORE)) {
        cluster_say(service->cluster, is_running ? "kill store" : "start store", number);
        if (is_running) {
            stores_kill(stores, number);
        } else {
            stores_start(stores, number);
        }
    } else if (!is_kill && is_running && has(service, FAULT_LATE)) {
        bool is_frozen = !stores_is_frozen(stores, number);
        cluster_say(service->cluster, is_frozen ? "freeze store" : "thaw store", number);
        stores_freeze(stores, number, is_frozen);
    }
}

static void befall_backend(struct service *service, size_t nth, uint64_t kind)
{
    struct pg_server *server = &service->stores.server;
    if (!has(service, SERVICE_FAULT_BACKENDS)) {
        return;
    }
    cluster_say(service->cluster, "a fault of backends, of the kind", kind);
    switch (kind) {
    case 0: pg_server_kill_backend(server, nth); break;
    case 1: pg_server_break_connection(server, nth); break;
    case 2: pg_server_cut_connection(server, nth, service->stores.now_ms); break;
    case 3: pg_server_thaw(server); break;
    default: pg_server_freeze_backend(server, nth); break;
    }
}

static void befall_postgres(struct service *service, uint64_t kind, size_t extra, uint64_t down_ms)
{
    struct pg_server *server = &service->stores.server;
    uint64_t now_ms = service->stores.now_ms;
    if (kind == 0 && has(service, SERVICE_FAULT_CRASHES)) {
        cluster_say(service->cluster, "Postgres crashes, and is back after", down_ms);
        pg_server_crash(server, now_ms + down_ms);
    } else if (kind == 1 && has(service, FAULT_FAILOVERS)) {
        cluster_say(service->cluster, "the standby takes over, with", extra);
        pg_server_promote(server, extra, now_ms + down_ms);
    } else if (kind == 2 && has(service, SERVICE_FAULT_STANDBY)) {
        server->is_standby_frozen = !server->is_standby_frozen;
    }
}

static void service_befall(void *user)
{
    struct service *service = user;
    struct cluster *cluster = service->cluster;
    uint64_t dice = cluster_draw(cluster, 20), nth = cluster_draw(cluster, 4);
    uint64_t kind = cluster_draw(cluster, 6), down_ms = cluster_draw(cluster, DOWN_MS_MAX);
    size_t number = cluster_draw(cluster, service->store_count);
    service->stores.now_ms = cluster->world.now_ms;
    if (dice < 10) {
        befall_store(service, number, dice < 5);
    } else if (dice < 18) {
        befall_backend(service, nth, kind);
    } else {
        befall_postgres(service, kind % 3, nth, down_ms);
    }
}

const struct cluster_service SERVICE = {
    .start = service_start,
    .befall = service_befall,
    .heal = service_heal,
    .stop = service_stop,
};
