/*
 * stores.h - store-services and their Postgres in one process, in virtual time, a step at a time.
 *
 * The code of the service is the service's own: append.c, batch.c, read.c, database.c, text.c, pg_values.c of src/. What
 * stands around it is stood in for: lanes are coroutines (sim_lane.c for lane.c), a connection leads to the model of
 * Postgres (sim_pg.c for pg.c and libpq), NATS is two callbacks, the clock is virtual (sim_process.c for bus.c and
 * base/clock.c). Whatever blocks gives way to others: the dice of the schedule say who goes on.
 *
 * A store that is killed still has its stack to clean up: its code runs on, deaf and mute, at a time when everything is
 * too late.
 */
#ifndef PARLEY_SIM_STORES_H
#define PARLEY_SIM_STORES_H

#include "pg_server.h"

enum { STORES_MAX = 3, STORE_WRITE_LANES_MAX = 2 };

enum store_subject { STORE_APPEND, STORE_READ };

struct store_process;

struct stores {
    struct pg_server server;
    uint64_t now_ms;                             /* the owner lets it pass */
    uint64_t *dice;                              /* borrowed */
    struct store_process *processes[STORES_MAX]; /* NULL: it is not running */
    size_t write_lanes, transaction_messages_max;
    /* A store answers the request that was given with @token; it publishes @event. Both borrow. */
    void (*on_reply)(void *user, uint64_t token, struct bytes payload);
    void (*on_publish)(void *user, const struct contract_room_event *event);
    void *user;
};

/* Nothing runs yet. The owner sets now_ms, dice and callbacks, and may set the rest. */
void stores_init(struct stores *stores, bool is_synchronous);
void stores_release(struct stores *stores);

void stores_start(struct stores *stores, size_t number);
void stores_kill(struct stores *stores, size_t number);
/* Runs parley-store --new-epoch beside store @number. False: it is not running, or still has an earlier one beside it. */
bool stores_begin_epoch(struct stores *stores, size_t number);

void stores_freeze(struct stores *stores, size_t number, bool is_frozen);
bool stores_is_frozen(const struct stores *stores, size_t number);

/* Gives a request to one of those that run, frozen or not. False: nobody is there. */
MUST_USE bool stores_request(struct stores *stores, enum store_subject subject, unsigned shard,
                             uint64_t token, struct bytes payload);

/* When something happens next: now_ms when somebody is ready; UINT64_MAX: never. */
uint64_t stores_next_ms(const struct stores *stores);

/* One step of somebody who is ready. False: nobody is. */
bool stores_step(struct stores *stores);

#endif
