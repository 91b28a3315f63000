/*
 * sim_process.c - store-services, who of them goes on next, and what stands in for src/bus.c and base/clock.c.
 */
#include "base/clock.h"
#include "base/sim/seeded_random.h"
#include "store_process.h"

#include <stdlib.h>

/* For who is dead: later than all that it could wait for. */
static const uint64_t TOO_LATE_US = UINT64_MAX / 2;

/* --- the clock --- */

uint64_t clock_monotonic_us(void)
{
    const struct lane *lane = sim_lane_running();
    if (lane == NULL) {
        return 0;
    }
    return lane->process->is_dead ? TOO_LATE_US : lane->process->stores->now_ms * 1000;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

uint64_t clock_thread_cpu_us(void)
{
    return clock_monotonic_us();
}

uint64_t clock_wall_ms(void)
{
    return clock_monotonic_ms();
}

/* --- NATS --- */

struct bytes bus_payload(const struct bus_request *request)
{
    return buf_bytes(&((const struct store_request *)request)->payload);
}

void bus_reply(struct bus *bus, struct bus_request *request, struct bytes payload)
{
    struct stores *stores = bus->process->stores;
    struct store_request *mine = (struct store_request *)request;
    sim_lane_give_way(sim_lane_running());
    if (!bus->process->is_dead) {
        stores->on_reply(stores->user, mine->token, payload);
    }
    buf_release(&mine->payload);
    free(mine);
}

void bus_publish_room(struct bus *bus, struct bytes room, struct bytes payload)
{
    struct stores *stores = bus->process->stores;
    sim_lane_give_way(sim_lane_running());
    if (!bus->process->is_dead) {
        struct contract_room_event *event = contract_decode_room_event(payload);
        ASSERT(event != NULL && bytes_equal(event->room, room));
        stores->on_publish(stores->user, event);
        contract_free(event);
    }
}

/* --- processes --- */

void stores_init(struct stores *stores, bool is_synchronous)
{
    *stores = (struct stores){.write_lanes = 1, .transaction_messages_max = 2000};
    pg_server_init(&stores->server, is_synchronous);
}

void stores_release(struct stores *stores)
{
    for (size_t i = 0; i < STORES_MAX; i++) {
        if (stores->processes[i] != NULL) {
            stores_kill(stores, i);
        }
    }
    pg_server_release(&stores->server);
}

void stores_start(struct stores *stores, size_t number)
{
    ASSERT(number < STORES_MAX && stores->processes[number] == NULL);
    struct store_process *process = mem_alloc_zeroed(sizeof(*process));
    stores->processes[number] = process;
    process->stores = stores;
    process->number = number;
    process->bus.process = process;
    process->append_settings = (struct append_settings){
        .bus = &process->bus,
        .stats = &process->stats,
        .transaction_messages_max = stores->transaction_messages_max,
    };
    process->read_settings = (struct read_settings){.bus = &process->bus, .stats = &process->stats};
    for (size_t i = 0; i < stores->write_lanes; i++) {
        struct lane *lane = sim_lane_new(process, append_on_requests, &process->append_settings,
                                         stores->transaction_messages_max);
        lane->appends = true;
        process->lanes[process->lane_count++] = lane;
    }
    process->lanes[process->lane_count++] =
        sim_lane_new(process, read_on_requests, &process->read_settings, 1);
    process->own_lane_count = process->lane_count;
}

bool stores_begin_epoch(struct stores *stores, size_t number)
{
    struct store_process *process = stores->processes[number];
    if (process == NULL) {
        return false;
    }
    if (process->lane_count > process->own_lane_count) {
        struct lane *earlier = process->lanes[process->own_lane_count];
        if (!coroutine_has_ended(earlier->coroutine)) {
            return false;
        }
        sim_lane_free(earlier);
    }
    process->lanes[process->own_lane_count] = sim_lane_new_epoch(process);
    process->lane_count = process->own_lane_count + 1;
    return true;
}

void stores_kill(struct stores *stores, size_t number)
{
    struct store_process *process = stores->processes[number];
    process->is_dead = true;
    for (size_t i = 0; i < process->lane_count; i++) {
        while (!coroutine_has_ended(process->lanes[i]->coroutine)) {
            sim_lane_resume(process->lanes[i]);
        }
        sim_lane_free(process->lanes[i]);
    }
    free(process);
    stores->processes[number] = NULL;
}

void stores_freeze(struct stores *stores, size_t number, bool is_frozen)
{
    stores->processes[number]->is_frozen = is_frozen;
}

bool stores_is_frozen(const struct stores *stores, size_t number)
{
    return stores->processes[number]->is_frozen;
}

static struct store_process *draw_process(struct stores *stores)
{
    struct store_process *running[STORES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < STORES_MAX; i++) {
        if (stores->processes[i] != NULL) {
            running[count++] = stores->processes[i];
        }
    }
    return count == 0 ? NULL : running[seeded_random_below(stores->dice, count)];
}

/* As src/store.c does it, whose thread for this has no lane. */
static void refuse(struct stores *stores, enum store_subject subject, uint64_t token)
{
    struct buf payload = BUF_INIT;
    if (subject == STORE_APPEND) {
        struct contract_append_reply reply = {.status = CONTRACT_UNAVAILABLE};
        contract_encode_append_reply(&payload, &reply);
    } else {
        struct contract_query_reply reply = {.status = CONTRACT_UNAVAILABLE};
        contract_encode_query_reply(&payload, &reply);
    }
    stores->on_reply(stores->user, token, buf_bytes(&payload));
    buf_release(&payload);
}

bool stores_request(struct stores *stores, enum store_subject subject, unsigned shard,
                    uint64_t token, struct bytes payload)
{
    struct store_process *process = draw_process(stores);
    if (process == NULL) {
        return false;
    }
    struct lane *lane = process->lanes[subject == STORE_APPEND ? shard % stores->write_lanes
                                                               : process->own_lane_count - 1];
    if (lane->is_away && !process->is_frozen) {
        refuse(stores, subject, token);
        return true;
    }
    struct store_request *request = mem_alloc_zeroed(sizeof(*request));
    request->base.subject = subject == STORE_APPEND ? BUS_APPEND : BUS_READ;
    request->base.shard = shard;
    request->base.arrived_us = stores->now_ms * 1000;
    request->token = token;
    buf_append_bytes(&request->payload, payload);
    return lane_put_back(lane, &request->base.entry) == QUEUE_TAKEN;
}

/* --- who goes on --- */

/* Returns how many lanes are ready, and in @ret_lane the @nth of them, if there are so many. */
static size_t ready_lanes(const struct stores *stores, size_t nth, struct lane **ret_lane)
{
    size_t ready = 0;
    for (size_t i = 0; i < STORES_MAX; i++) {
        const struct store_process *process = stores->processes[i];
        for (size_t j = 0; process != NULL && j < process->lane_count; j++) {
            if (sim_lane_is_ready(process->lanes[j]) && ready++ == nth) {
                *ret_lane = process->lanes[j];
            }
        }
    }
    return ready;
}

bool stores_step(struct stores *stores)
{
    struct lane *lane = NULL;
    size_t lanes = ready_lanes(stores, SIZE_MAX, &lane);
    size_t all = lanes + pg_server_ready(&stores->server, stores->now_ms);
    if (all == 0) {
        return false;
    }
    size_t chosen = seeded_random_below(stores->dice, all);
    if (chosen < lanes) {
        (void)ready_lanes(stores, chosen, &lane);
        sim_lane_resume(lane);
    } else {
        pg_server_step(&stores->server, chosen - lanes, stores->now_ms);
    }
    return true;
}

uint64_t stores_next_ms(const struct stores *stores)
{
    struct lane *lane = NULL;
    if (ready_lanes(stores, SIZE_MAX, &lane) > 0 ||
        pg_server_ready(&stores->server, stores->now_ms) > 0) {
        return stores->now_ms;
    }
    uint64_t next_ms = pg_server_due_ms(&stores->server);
    for (size_t i = 0; i < STORES_MAX; i++) {
        const struct store_process *process = stores->processes[i];
        for (size_t j = 0; process != NULL && !process->is_frozen && j < process->lane_count; j++) {
            if (!coroutine_has_ended(process->lanes[j]->coroutine)) {
                next_ms = MIN_OF(next_ms, process->lanes[j]->until_ms);
            }
        }
    }
    return next_ms;
}
