#include "cluster.h"

#include "base/sim/seeded_random.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STEP_MS_MAX = 60,
    RETRY_AFTER_MS_MIN = 500,
    RETRY_AFTER_MS_MAX = 12000, /* who heals has time for it */
    DEADLINE_MS_MIN = 300,
    DEADLINE_MS_MAX = 3000,
    LATE_MS_MAX = 10000,
    PRESENCE_REFRESH_MS = 2000,
    BURST_AFTER_MS_MAX = 5000,
    RETRIES_S = 20,         /* so long, everyone has reason to say something again */
    SERVICE_RETRIES_S = 45, /* ... where a connection's end may take 11 s to be noticed */
    HEAL_MS = 70000,        /* the longest time between two checks of a room's head, and a bit */
};

const char *cluster_namespace(unsigned room)
{
    static const char *const namespaces[CLUSTER_ROOMS_MAX] = {"/", "/a", "/b"};
    ASSERT(room < COUNT_OF(namespaces));
    return namespaces[room];
}

const char *cluster_room_name(unsigned room)
{
    return room == 0 ? "lobby" : cluster_namespace(room) + 1;
}

void cluster_say(const struct cluster *cluster, const char *what, unsigned long long n)
{
    if (cluster->is_verbose) {
        printf("%8llu ms  %s %llu\n", (unsigned long long)cluster->world.now_ms, what, n);
    }
}

/* 0 .. @below - 1, of this step's dice */
uint64_t cluster_draw(struct cluster *cluster, uint64_t below)
{
    return seeded_random_below(&cluster->dice, below);
}

static bool chance(struct cluster *cluster, unsigned percent)
{
    return cluster_draw(cluster, 100) < percent;
}

static bool has(const struct cluster *cluster, enum cluster_fault fault)
{
    return !cluster->schedule->without[fault];
}

/* The dice of step @number; those of -1 make the cluster. */
static void throw_dice(struct cluster *cluster, int number)
{
    cluster->dice = schedule_dice(cluster->schedule, number);
}

/* --- people --- */

bool cluster_wants_presence(const struct cluster *cluster, const struct person *person)
{
    return (person - cluster->people) % 2 == 1;
}

static void connect_person(struct cluster *cluster, struct person *person, bool is_back)
{
    struct fake_gateway *gateway =
        &cluster->world.gateways[cluster_draw(cluster, cluster->gateway_count)];
    if (gateway->hub == NULL) {
        return;
    }
    if (chance(cluster, 40)) {
        fake_client_connect_polling(person->client, gateway);
    } else {
        fake_client_connect(person->client, gateway);
    }
    for (unsigned r = 0; r < cluster->room_count; r++) {
        if (is_back) {
            fake_client_rejoin(person->client, cluster_namespace(r));
        } else {
            char auth[80];
            snprintf(auth, sizeof(auth), "\"serverOffset\":0%s%s",
                     chance(cluster, 30) ? ",\"echo\":false" : "",
                     cluster_wants_presence(cluster, person) ? ",\"presence\":true" : "");
            fake_client_join(person->client, cluster_namespace(r), auth);
        }
    }
}

static void say_typing(struct fake_client *client, const char *namespace, bool is_typing)
{
    bool is_lobby = strcmp(namespace, "/") == 0;
    fake_client_say(client, "2%s%s[\"chat typing\",{\"typing\":%s}]", is_lobby ? "" : namespace,
                    is_lobby ? "" : ",", is_typing ? "true" : "false");
}

static void attempt(struct cluster *cluster, struct person *person, struct wish *wish)
{
    struct fake_client *client = person->client;
    const char *namespace = cluster_namespace(wish->room);
    char client_id[96];
    if (client->client == NULL || !fake_client_place(client, namespace)->is_joined ||
        client->send_count == FAKE_SENDS_MAX) {
        return;
    }
    snprintf(client_id, sizeof(client_id), "%s-%016llu", client->username,
             (unsigned long long)wish->number);
    wish->send = client->send_count;
    wish->sent_at_ms = cluster->world.now_ms;
    wish->last_attempt = ++person->attempts;
    if (wish->first_attempt == 0) {
        wish->first_attempt = wish->last_attempt;
        wish->connection = client->connection;
        wish->is_on_one_connection = true;
        wish->epoch = cluster->world.store.epoch;
    }
    wish->is_on_one_connection &= wish->connection == client->connection;
    fake_client_send(client, namespace, wish->content, client_id);
    say_typing(client, namespace, wish->number % 3 != 0); /* the next one, already */
}

static void write_something(struct cluster *cluster, struct person *person)
{
    person->wishes =
        mem_resize(person->wishes, (person->wish_count + 1) * sizeof(person->wishes[0]));
    struct wish *wish = &person->wishes[person->wish_count++];
    *wish = (struct wish){
        .number = person->wish_count,
        .send = SIZE_MAX,
        .room = (unsigned)cluster_draw(cluster, cluster->room_count),
    };
    int len = snprintf(wish->content, sizeof(wish->content), "%s %zu ", person->client->username,
                       person->wish_count);
    size_t padding = chance(cluster, 20) ? cluster_draw(cluster, CLUSTER_TEXT_BYTES_MAX) : 0;
    memset(wish->content + len, 'x', padding);
    wish->content[(size_t)len + padding] = '\0';
    attempt(cluster, person, wish);
}

static void write_some(struct cluster *cluster, struct person *person)
{
    for (uint64_t n = 1 + cluster_draw(cluster, 4); n > 0; n--) {
        write_something(cluster, person);
    }
}

static bool is_acked(const struct person *person, const struct wish *wish)
{
    return wish->send != SIZE_MAX && person->client->sends[wish->send].acked_as != 0;
}

static void settle_wishes(struct cluster *cluster, struct person *person)
{
    for (size_t i = 0; i < person->wish_count; i++) {
        struct wish *wish = &person->wishes[i];
        if (wish->is_settled) {
            continue;
        }
        if (is_acked(person, wish)) {
            wish->is_settled = true;
        } else if (cluster->world.now_ms >= wish->sent_at_ms + cluster->retry_after_ms) {
            attempt(cluster, person, wish);
        }
    }
}

static void come_back(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->people_count; i++) {
        struct person *person = &cluster->people[i];
        if (person->client->client == NULL && cluster->world.now_ms >= person->comes_back_at_ms) {
            person->comes_back_at_ms = cluster->world.now_ms + cluster_draw(cluster, 500);
            connect_person(cluster, person, true);
        }
        settle_wishes(cluster, person);
    }
}

static void drop(struct cluster *cluster, struct person *person)
{
    if (has(cluster, FAULT_DROPS)) {
        fake_client_drop(person->client);
        person->comes_back_at_ms = cluster->world.now_ms + cluster_draw(cluster, 2000);
    }
}

/* A client that polls goes on with a WebSocket to another gateway, in the middle of what it says. */
static void upgrade_elsewhere(struct cluster *cluster, struct person *person)
{
    struct fake_client *client = person->client;
    struct fake_gateway *gateway =
        &cluster->world.gateways[cluster_draw(cluster, cluster->gateway_count)];
    bool may_move = client->client != NULL && client->is_polling && gateway->hub != NULL &&
                    gateway != client->gateway &&
                    client_session(client->client)->state == EIO_STATE_OPEN &&
                    has(cluster, FAULT_UPGRADES);
    if (!may_move) {
        return;
    }
    if (chance(cluster, 50)) {
        write_some(cluster, person);
    }
    fake_world_run(&cluster->world, cluster_draw(cluster, 3));
    if (client->client != NULL && client_session(client->client)->state == EIO_STATE_OPEN) {
        cluster_say(cluster, "a client upgrades at gateway", gateway->index);
        fake_client_upgrade(client, gateway);
        write_some(cluster, person);
    }
}

/* A socket that takes all, a little every now and then, or a lot after a long time without anything. */
static void change_socket(struct cluster *cluster, struct person *person)
{
    struct fake_client *client = person->client;
    uint64_t kind = cluster_draw(cluster, 4);
    bool is_slow = kind < 2 && has(cluster, FAULT_SOCKETS);
    bool is_bursting = kind == 0;
    if (is_slow || person->fast_since_ms == UINT64_MAX) {
        person->fast_since_ms = is_slow ? UINT64_MAX : cluster->world.now_ms;
    }
    client->window = !is_slow      ? SIZE_MAX
                     : is_bursting ? 1 + cluster_draw(cluster, 20000)
                                   : 1 + cluster_draw(cluster, 400);
    client->drain_after_ms = !is_slow      ? 1
                             : is_bursting ? 1 + cluster_draw(cluster, BURST_AFTER_MS_MAX)
                                           : 1 + cluster_draw(cluster, 20);
    fake_client_drain(client);
}

/* --- what happens --- */

static void kill_or_start(struct cluster *cluster)
{
    unsigned index = (unsigned)cluster_draw(cluster, cluster->gateway_count);
    struct fake_gateway *gateway = &cluster->world.gateways[index];
    if (!has(cluster, FAULT_KILLS)) {
        return;
    }
    if (gateway->hub != NULL) {
        cluster_say(cluster, "kill gateway", index);
        fake_gateway_kill(gateway);
    } else {
        cluster_say(cluster, "start gateway", index);
        fake_gateway_start(&cluster->world, index, &cluster->settings);
    }
}

static void cut_or_restore_bus(struct cluster *cluster)
{
    unsigned index = (unsigned)cluster_draw(cluster, cluster->gateway_count);
    struct fake_gateway *gateway = &cluster->world.gateways[index];
    if (gateway->hub == NULL || !has(cluster, FAULT_CUTS)) {
        return;
    }
    gateway->is_cut_off = !gateway->is_cut_off;
    cluster_say(cluster, gateway->is_cut_off ? "cut off gateway" : "restore bus of gateway", index);
    if (!gateway->is_cut_off) {
        hub_on_bus_restored(gateway->hub, cluster->world.now_ms);
    }
}

static void change_store(struct cluster *cluster)
{
    static const enum fake_store_mode MODES[] = {
        FAKE_STORE_UP,     FAKE_STORE_UP,          FAKE_STORE_UP,         FAKE_STORE_NOBODY,
        FAKE_STORE_SILENT, FAKE_STORE_UNAVAILABLE, FAKE_STORE_OVERLOADED, FAKE_STORE_DIES,
    };
    if (!has(cluster, FAULT_STORE)) {
        return;
    }
    cluster->world.append_mode = MODES[cluster_draw(cluster, COUNT_OF(MODES))];
    cluster->world.query_mode = MODES[cluster_draw(cluster, COUNT_OF(MODES))];
    cluster_say(cluster, "appends are", cluster->world.append_mode);
    cluster_say(cluster, "queries are", cluster->world.query_mode);
}

static void begin_epoch(struct cluster *cluster, size_t kept)
{
    struct fake_store *store = &cluster->world.store;
    if (store->room_count > 0 && store->epoch < FAKE_EPOCHS_MAX / 2) {
        fake_store_restore_backup(store, kept);
        watch_forget_lost(cluster);
    }
}

static void restore_backup(struct cluster *cluster)
{
    size_t head = cluster->world.store.rooms[0].head, lost = cluster_draw(cluster, 6);
    if (has(cluster, FAULT_RESTORES)) {
        size_t kept = head > lost ? head - lost : 0;
        cluster_say(cluster, "restore a backup, keep", kept);
        begin_epoch(cluster, kept);
    }
}

/* A standby that has all is promoted; until it is, the store refuses. */
static void fail_over(struct cluster *cluster)
{
    struct fake_world *world = &cluster->world;
    enum fake_store_mode appends = world->append_mode, queries = world->query_mode;
    if (!has(cluster, FAULT_FAILOVERS)) {
        return;
    }
    cluster_say(cluster, "the primary is gone after epoch", world->store.epoch);
    world->append_mode = world->query_mode = FAKE_STORE_UNAVAILABLE;
    fake_world_run(world, cluster_draw(cluster, 3000));
    world->append_mode = appends;
    world->query_mode = queries;
    begin_epoch(cluster, SIZE_MAX);
}

static void something_happens(struct cluster *cluster, bool may_restore)
{
    uint64_t who = cluster_draw(cluster, CLUSTER_PEOPLE_MAX), dice = cluster_draw(cluster, 200);
    struct person *person = &cluster->people[who];
    if (dice < 144) {
        if (who >= cluster->people_count) {
            return;
        }
        if (dice < 108) {
            write_some(cluster, person);
        } else if (dice < 120) {
            upgrade_elsewhere(cluster, person);
        } else if (dice < 132) {
            change_socket(cluster, person);
        } else {
            drop(cluster, person);
        }
    } else if (dice < 152) {
        kill_or_start(cluster);
    } else if (dice < 160) {
        cut_or_restore_bus(cluster);
    } else if (cluster->kind != NULL) {
        cluster->kind->befall(cluster->service);
    } else if (dice < 172) {
        change_store(cluster);
    } else if (dice < 174) {
        fail_over(cluster);
    } else if (dice < 178 && may_restore) {
        restore_backup(cluster);
    } /* or nothing does */
}

/* --- a schedule --- */

/* A number below @below, where the schedule has that kind of fault, and 0 otherwise. Throws the dice in any case. */
static unsigned draw_fault(struct cluster *cluster, enum cluster_fault fault, uint64_t below)
{
    uint64_t drawn = cluster_draw(cluster, below);
    return has(cluster, fault) ? (unsigned)drawn : 0;
}

static void draw_faults(struct cluster *cluster)
{
    cluster->world.faults = (struct fake_faults){
        .request_lost = draw_fault(cluster, FAULT_REQUESTS, 15),
        .reply_lost = draw_fault(cluster, FAULT_REQUESTS, 15),
        .broadcast_lost = draw_fault(cluster, FAULT_BROADCASTS, 30),
        .broadcast_twice = draw_fault(cluster, FAULT_TWICE, 20),
        .commit_unpublished = draw_fault(cluster, FAULT_UNPUBLISHED, 10),
        .request_late = draw_fault(cluster, FAULT_LATE, 6),
        .late_max_ms = 1 + cluster_draw(cluster, LATE_MS_MAX),
        .delay_min_ms = 1,
        .delay_max_ms = 1 + draw_fault(cluster, FAULT_DELAYS, 80),
    };
}

static void draw_cluster(struct cluster *cluster)
{
    const struct schedule *schedule = cluster->schedule;
    struct fake_world *world = &cluster->world;
    fake_gateway_kill(&world->gateways[0]);
    cluster->settings = fake_settings(world);
    if (chance(cluster, 40) && has(cluster, FAULT_MEMORY)) {
        cluster->settings.room_log_bytes_max = 2048;
        cluster->settings.log_bytes_max = 8192;
        cluster->settings.page_answer_bytes_max = 1024;
    }
    cluster->settings.presence_refresh_ms = PRESENCE_REFRESH_MS;
    cluster->settings.room_grace_ms = (uint32_t)cluster_draw(cluster, 3000);
    /* Of users it is 8 s, and a schedule takes no longer. */
    uint64_t deadline_ms =
        DEADLINE_MS_MIN + cluster_draw(cluster, DEADLINE_MS_MAX - DEADLINE_MS_MIN);
    if (chance(cluster, 50)) {
        cluster->settings.send_deadline_ms = (uint32_t)deadline_ms;
    }
    cluster->retry_after_ms =
        RETRY_AFTER_MS_MIN + cluster_draw(cluster, RETRY_AFTER_MS_MAX - RETRY_AFTER_MS_MIN);
    uint64_t gateways = 1 + cluster_draw(cluster, CLUSTER_GATEWAYS_MAX);
    uint64_t rooms = 1 + cluster_draw(cluster, CLUSTER_ROOMS_MAX);
    uint64_t people = 2 + cluster_draw(cluster, CLUSTER_PEOPLE_MAX - 1);
    cluster->gateway_count = (unsigned)MIN_OF(gateways, schedule->bounds[CLUSTER_BOUND_GATEWAYS]);
    cluster->room_count = (unsigned)MIN_OF(rooms, schedule->bounds[CLUSTER_BOUND_ROOMS]);
    cluster->people_count = MIN_OF(people, schedule->bounds[CLUSTER_BOUND_PEOPLE]);
    size_t range_max = 1 + cluster_draw(cluster, 40);
    world->store.range_messages_max = chance(cluster, 50) ? range_max : CONTRACT_PAGE;
    draw_faults(cluster);
    if (chance(cluster, 50) && has(cluster, FAULT_TURNS)) {
        world->has_slow_turns = true;
        cluster->settings.joins_per_turn = 1 + (uint32_t)cluster_draw(cluster, 3);
        cluster->settings.catch_ups_per_turn = 1 + (uint32_t)cluster_draw(cluster, 3);
        cluster->settings.deliveries_per_turn = 1 + (uint32_t)cluster_draw(cluster, 3);
        cluster->settings.bytes_per_turn = 1 + (uint32_t)cluster_draw(cluster, 500);
    }
    for (unsigned i = 0; i < cluster->gateway_count; i++) {
        fake_gateway_start(world, i, &cluster->settings);
    }
    for (size_t i = 0; i < cluster->people_count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "person%zu", i);
        cluster->people[i].client = fake_client_new(world, name);
        cluster->people[i].client->is_quiet = true;
        cluster->people[i].client->source = (uint32_t)i % 3;
        connect_person(cluster, &cluster->people[i], false);
    }
}

/* Nobody is told of the last messages, and nothing comes after them that would show it: only heads tell. */
static void say_last_words(struct cluster *cluster)
{
    throw_dice(cluster, SCHEDULE_STEPS);
    cluster->world.loses_broadcasts = has(cluster, FAULT_BROADCASTS);
    write_some(cluster, &cluster->people[0]);
    fake_world_run(&cluster->world, 1000);
    cluster->world.loses_broadcasts = false;
}

/* No faults any more, and time for everyone to come back. */
static void heal(struct cluster *cluster)
{
    struct fake_world *world = &cluster->world;
    world->faults = (struct fake_faults){.delay_min_ms = 1, .delay_max_ms = 1};
    world->append_mode = world->query_mode = FAKE_STORE_UP;
    if (cluster->kind != NULL) {
        cluster->kind->heal(cluster->service);
    }
    for (unsigned i = 0; i < cluster->gateway_count; i++) {
        struct fake_gateway *gateway = &world->gateways[i];
        if (gateway->hub == NULL) {
            fake_gateway_start(world, i, &cluster->settings);
        } else if (gateway->is_cut_off) {
            gateway->is_cut_off = false;
            hub_on_bus_restored(gateway->hub, world->now_ms);
        }
    }
    for (size_t i = 0; i < cluster->people_count; i++) {
        struct person *person = &cluster->people[i];
        person->client->window = SIZE_MAX;
        person->client->drain_after_ms = 1;
        person->fast_since_ms = world->now_ms;
        fake_client_drain(person->client);
        person->comes_back_at_ms = 0;
    }
    for (int i = 0; i < (cluster->kind == NULL ? RETRIES_S : SERVICE_RETRIES_S); i++) {
        come_back(cluster);
        fake_world_run(world, 1000);
        watch_step(cluster);
    }
    say_last_words(cluster);
    fake_world_run(world, HEAL_MS);
    come_back(cluster);
}

static void on_moment(void *user)
{
    watch_moment(user);
}

static void run_steps(struct cluster *cluster, bool may_restore)
{
    for (int i = 0; i < SCHEDULE_STEPS; i++) {
        throw_dice(cluster, i);
        uint64_t takes_ms = cluster_draw(cluster, STEP_MS_MAX);
        if (cluster->schedule->steps[i]) {
            something_happens(cluster, may_restore);
            watch_moment(cluster);
        }
        fake_world_run(&cluster->world, takes_ms);
        come_back(cluster);
        watch_step(cluster);
    }
}

void cluster_run_on(const struct cluster_service *kind, const struct schedule *schedule,
                    FILE *trace, bool is_verbose)
{
    struct cluster *cluster = mem_alloc_zeroed(sizeof(*cluster));
    seeded_random_set(schedule->seed);
    fake_world_init(&cluster->world);
    cluster->schedule = schedule;
    cluster->is_verbose = is_verbose;
    cluster->world.random = schedule->seed * 0x9E3779B97F4A7C15u + 1;
    cluster->world.on_moment = on_moment;
    cluster->world.user = cluster;
    cluster->world.trace = trace;
    throw_dice(cluster, -1);
    bool may_restore = chance(cluster, 25);
    cluster->kind = kind;
    if (kind != NULL) {
        cluster->service = kind->start(cluster);
    }
    draw_cluster(cluster);
    run_steps(cluster, may_restore);
    heal(cluster);
    watch_end(cluster);
    if (kind != NULL) {
        kind->stop(cluster->service);
    }
    for (size_t i = 0; i < cluster->people_count; i++) {
        free(cluster->people[i].wishes);
    }
    fake_world_release(&cluster->world);
    free(cluster);
}

void cluster_run(const struct schedule *schedule, FILE *trace, bool is_verbose)
{
    cluster_run_on(NULL, schedule, trace, is_verbose);
}
