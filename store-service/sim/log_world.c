#include "log_world.h"

#include "base/sim/seeded_random.h"
#include "log_watch.h"

#include <stdlib.h>

enum {
    START_MS = 1000000,
    STEP_MS_MAX = 60,
    PAUSE_MS_MAX = 9000,
    DOWN_MS_MAX = 2000,
    SHORT_DOWN_MS_MAX = 50, /* who tries to connect after that finds nothing wrong */
    EPOCH_AFTER_MS = 2000,
    HEAL_MS = 30000,
};

static const char *const ROOMS[LOG_ROOMS_MAX] = {"lobby", "b", "a"};

struct bytes log_room_name(unsigned room)
{
    ASSERT(room < LOG_ROOMS_MAX);
    return bytes_of_string(ROOMS[room]);
}

struct contract_new_message said_message(const struct said *said)
{
    return (struct contract_new_message){
        .sender = BYTES("ann"),
        .session = bytes_of_string(said->session),
        .client_id = bytes_of_string(said->client_id),
        .body = bytes_of_string(said->body),
    };
}

uint64_t log_draw(struct log_world *world, uint64_t below)
{
    return seeded_random_below(&world->dice, below);
}

bool log_chance(struct log_world *world, unsigned percent)
{
    return log_draw(world, 100) < percent;
}

static bool has(const struct log_world *world, enum log_fault fault)
{
    return !world->schedule->without[fault];
}

static void tell(struct log_world *world, const char *what, size_t number)
{
    if (world->is_verbose) {
        printf("%8llu ms  %s %zu\n", (unsigned long long)world->stores.now_ms, what, number);
    }
}

/* --- people --- */

/*
 * Some have client ids that others choose as well, and then say the same: only their sessions tell them apart.
 */
static void say_something(struct log_world *world)
{
    world->said = mem_resize(world->said, (world->said_count + 1) * sizeof(world->said[0]));
    size_t number = world->said_count++;
    struct said *said = &world->said[number];
    *said = (struct said){.room = (unsigned)log_draw(world, world->room_count)};
    snprintf(said->session, sizeof(said->session), "session%zu", number);
    bool is_common = log_chance(world, 15);
    if (is_common) {
        snprintf(said->client_id, sizeof(said->client_id),
                 log_chance(world, 50) ? "1" : "undefined-123456789");
        snprintf(said->body, sizeof(said->body), "hello");
    } else {
        snprintf(said->client_id, sizeof(said->client_id), "message-%012zu", number);
        said->is_forbidden = has(world, LOG_FAULT_GUILTY) && log_chance(world, 6);
        snprintf(said->body, sizeof(said->body), "%s %zu",
                 said->is_forbidden ? "forbidden" : "text", number);
    }
    log_say(world, number);
}

static void say_some(struct log_world *world)
{
    for (uint64_t n = 1 + log_draw(world, 4); n > 0; n--) {
        say_something(world);
    }
}

static void say_again_elsewhere(struct log_world *world)
{
    size_t recent = MIN_OF(world->said_count, (size_t)12);
    if (has(world, LOG_FAULT_AGAIN) && recent > 0) {
        log_say(world, world->said_count - 1 - log_draw(world, recent));
    }
}

/* --- faults --- */

static void kill_or_start_store(struct log_world *world)
{
    size_t number = log_draw(world, world->store_count);
    if (!has(world, LOG_FAULT_STORES)) {
        return;
    }
    if (world->stores.processes[number] == NULL) {
        tell(world, "start store", number);
        stores_start(&world->stores, number);
    } else {
        tell(world, "kill store", number);
        stores_kill(&world->stores, number);
    }
}

static void freeze_or_thaw_store(struct log_world *world)
{
    size_t number = log_draw(world, world->store_count);
    if (has(world, LOG_FAULT_FREEZES) && world->stores.processes[number] != NULL) {
        bool is_frozen = !stores_is_frozen(&world->stores, number);
        tell(world, is_frozen ? "freeze store" : "thaw store", number);
        stores_freeze(&world->stores, number, is_frozen);
    }
}

static void kill_or_start_gateway(struct log_world *world)
{
    size_t number = log_draw(world, world->gateway_count);
    if (!has(world, LOG_FAULT_GATEWAYS)) {
        return;
    }
    if (world->gateways[number].is_running) {
        tell(world, "kill gateway", number);
        log_gateway_kill(world, number);
    } else {
        tell(world, "start gateway", number);
        log_gateway_start(world, number);
    }
}

static void promote(struct log_world *world, size_t extra, uint64_t down_ms)
{
    struct stores *stores = &world->stores;
    if (!has(world, LOG_FAULT_PROMOTIONS)) {
        return;
    }
    tell(world, "promote the standby, commits:", stores->server.db.standby_count + extra);
    pg_server_promote(&stores->server, extra, stores->now_ms + down_ms);
}

/* Epochs are numbered by the second: who begins them by hand takes longer from one to the next. */
static void begin_epoch(struct log_world *world)
{
    struct stores *stores = &world->stores;
    size_t number = log_draw(world, world->store_count);
    if (has(world, LOG_FAULT_EPOCHS) && stores->now_ms >= world->epoch_at_ms &&
        stores_begin_epoch(stores, number)) {
        tell(world, "parley-store --new-epoch beside store", number);
        world->epoch_at_ms = stores->now_ms + EPOCH_AFTER_MS;
    }
}

static void fault_of_postgres(struct log_world *world, uint64_t dice)
{
    struct pg_server *server = &world->stores.server;
    size_t nth = log_draw(world, 4);
    uint64_t down_ms = log_draw(world, log_chance(world, 50) ? SHORT_DOWN_MS_MAX : DOWN_MS_MAX);
    if (dice < 10) {
        if (has(world, LOG_FAULT_STOPS) && pg_server_freeze_backend(server, nth)) {
            tell(world, "freeze backend", nth);
        }
    } else if (dice < 16) {
        tell(world, "thaw Postgres", 0);
        pg_server_thaw(server);
    } else if (dice < 24) {
        if (has(world, LOG_FAULT_BACKENDS) && pg_server_kill_backend(server, nth)) {
            tell(world, "kill backend", nth);
        }
    } else if (dice < 30) {
        if (has(world, LOG_FAULT_BREAKS) && pg_server_break_connection(server, nth)) {
            tell(world, "break connection", nth);
        }
    } else if (dice < 34) {
        if (has(world, LOG_FAULT_CUTS) &&
            pg_server_cut_connection(server, nth, world->stores.now_ms)) {
            tell(world, "cut connection", nth);
        }
    } else if (dice < 36) {
        if (has(world, LOG_FAULT_CRASHES)) {
            tell(world, "crash", 0);
            pg_server_crash(server, world->stores.now_ms + down_ms);
        }
    } else if (dice < 39) {
        promote(world, nth, down_ms);
    } else if (has(world, LOG_FAULT_STANDBY)) {
        tell(world, server->is_standby_frozen ? "thaw the standby" : "freeze the standby", 0);
        server->is_standby_frozen = !server->is_standby_frozen;
    }
}

/* --- time --- */

static void run(struct log_world *world, uint64_t ms)
{
    struct stores *stores = &world->stores;
    uint64_t end_ms = stores->now_ms + ms;
    while (stores->now_ms < end_ms) {
        log_gateways_run(world);
        if (stores_step(stores)) {
            stores->now_ms += log_draw(world, 4) == 0;
            continue;
        }
        uint64_t next_ms = MIN_OF(stores_next_ms(stores), log_gateways_next_ms(world));
        stores->now_ms = MIN_OF(MAX_OF(next_ms, stores->now_ms + 1), end_ms);
    }
}

static void something_happens(struct log_world *world)
{
    uint64_t dice = log_draw(world, 200);
    if (dice < 100) {
        say_some(world);
    } else if (dice < 116) {
        say_again_elsewhere(world);
    } else if (dice < 128) {
        kill_or_start_store(world);
    } else if (dice < 140) {
        freeze_or_thaw_store(world);
    } else if (dice < 146) {
        kill_or_start_gateway(world);
    } else if (dice < 188) {
        fault_of_postgres(world, dice - 146);
    } else if (dice < 192) {
        begin_epoch(world);
    } else if (dice < 194 && has(world, LOG_FAULT_PAUSES)) {
        run(world, log_draw(world, PAUSE_MS_MAX));
    } /* or nothing does */
}

/* --- a schedule --- */

static void draw_world(struct log_world *world)
{
    const struct schedule *schedule = world->schedule;
    stores_init(&world->stores, log_chance(world, 50));
    world->stores.dice = &world->dice;
    world->stores.now_ms = START_MS;
    world->stores.write_lanes = 1 + log_draw(world, STORE_WRITE_LANES_MAX);
    world->stores.transaction_messages_max = 1 + log_draw(world, 24);
    world->stores.on_reply = log_on_reply;
    world->stores.on_publish = log_on_publish;
    world->stores.user = world;
    uint64_t stores = 1 + log_draw(world, STORES_MAX);
    uint64_t gateways = 1 + log_draw(world, LOG_GATEWAYS_MAX);
    uint64_t rooms = 1 + log_draw(world, LOG_ROOMS_MAX);
    world->store_count = MIN_OF(stores, schedule->bounds[LOG_BOUND_STORES]);
    world->gateway_count = MIN_OF(gateways, schedule->bounds[LOG_BOUND_GATEWAYS]);
    world->room_count = MIN_OF(rooms, schedule->bounds[LOG_BOUND_ROOMS]);
    uint64_t loss_percent = log_draw(world, 15), delay_max_ms = log_draw(world, 80);
    world->loss_percent = has(world, LOG_FAULT_LOSSES) ? (unsigned)loss_percent : 0;
    world->delay_max_ms = has(world, LOG_FAULT_DELAYS) ? delay_max_ms : 0;
    for (size_t i = 0; i < world->store_count; i++) {
        stores_start(&world->stores, i);
    }
    for (size_t i = 0; i < world->gateway_count; i++) {
        log_gateway_start(world, i);
    }
}

static void on_commit(void *user, uint32_t xid)
{
    struct log_world *world = user;
    if (world->trace != NULL) {
        fprintf(world->trace, "%llu commit %u\n", (unsigned long long)world->stores.now_ms, xid);
    }
    watch_commit(world, xid);
}

static void on_promotion(void *user)
{
    struct log_world *world = user;
    watch_promotion(world);
    for (size_t i = 0; i < world->gateway_count; i++) {
        for (unsigned room = 0; room < world->room_count; room++) {
            uint64_t *copied = &world->gateways[i].rooms[room].has;
            *copied = MIN_OF(*copied, (uint64_t)world->heads[room]);
        }
    }
}

static void heal(struct log_world *world)
{
    world->is_healing = true;
    pg_server_thaw(&world->stores.server);
    for (size_t i = 0; i < world->store_count; i++) {
        if (world->stores.processes[i] == NULL) {
            stores_start(&world->stores, i);
        }
        stores_freeze(&world->stores, i, false);
    }
    for (size_t i = 0; i < world->gateway_count; i++) {
        if (!world->gateways[i].is_running) {
            log_gateway_start(world, i);
        }
    }
    run(world, HEAL_MS);
}

void log_world_run(const struct schedule *schedule, FILE *trace, bool is_verbose)
{
    struct log_world *world = mem_alloc_zeroed(sizeof(*world));
    world->schedule = schedule;
    world->trace = trace;
    world->is_verbose = is_verbose;
    world->dice = schedule_dice(schedule, -1);
    draw_world(world);
    world->stores.server.db.on_commit = on_commit;
    world->stores.server.db.on_promotion = on_promotion;
    world->stores.server.db.user = world;
    for (int i = 0; i < SCHEDULE_STEPS; i++) {
        world->dice = schedule_dice(schedule, i);
        uint64_t takes_ms = log_draw(world, STEP_MS_MAX);
        if (schedule->steps[i]) {
            something_happens(world);
        }
        run(world, takes_ms);
    }
    world->dice = schedule_dice(schedule, SCHEDULE_STEPS);
    heal(world);
    watch_end(world);
    stores_release(&world->stores);
    log_gateways_release(world);
    for (unsigned room = 0; room < LOG_ROOMS_MAX; room++) {
        free(world->logs[room]);
    }
    free(world->said);
    free(world);
}
