/*
 * log_world.h - stores and their Postgres, gateways that append and read, and people who say things, under a schedule.
 *
 * A gateway here is only what a store can see of one: at most one append of a room in flight; the same again, marked as a
 * repeat, until it is answered; then the next. What people have heard nothing of they say again, at any gateway, with
 * the same client id. log_watch.h says what must be true.
 */
#ifndef PARLEY_SIM_LOG_WORLD_H
#define PARLEY_SIM_LOG_WORLD_H

#include "base/sim/schedule.h"
#include "stores.h"

enum { LOG_GATEWAYS_MAX = 3, LOG_ROOMS_MAX = 3, LOG_BATCH_MAX = 8 };

enum log_bound { LOG_BOUND_STORES, LOG_BOUND_GATEWAYS, LOG_BOUND_ROOMS };

/* Kinds of faults, by the name that --without calls them. */
#define LOG_FAULTS(X)                                                               \
    X(LOSSES, "losses", "requests, answers and broadcasts get lost")                \
    X(DELAYS, "delays", "hops take as long as they like")                           \
    X(AGAIN, "again", "people say it again elsewhere before they were answered")    \
    X(GUILTY, "guilty", "messages that Postgres will not take")                     \
    X(STORES, "stores", "stores are killed and started")                            \
    X(FREEZES, "freezes", "stores freeze, and go on later")                         \
    X(BACKENDS, "backends", "backends are killed")                                  \
    X(STOPS, "stops", "backends freeze between two steps, and keep their locks")    \
    X(BREAKS, "breaks", "connections to Postgres break, and both ends hear of it")  \
    X(CUTS, "cuts", "connections to Postgres lead nowhere, and nobody hears of it") \
    X(CRASHES, "crashes", "Postgres crashes and recovers")                          \
    X(PROMOTIONS, "promotions", "a standby takes over, with what it has")           \
    X(STANDBY, "standby", "the standby stands still")                               \
    X(EPOCHS, "epochs", "somebody begins a new epoch, beside stores at work")       \
    X(GATEWAYS, "gateways", "gateways are killed and started")                      \
    X(PAUSES, "pauses", "nothing new happens for longer than any timeout")

enum log_fault {
#define X(name, text, what) LOG_FAULT_##name,
    LOG_FAULTS(X)
#undef X
        LOG_FAULT_COUNT
};

/* What somebody said. */
struct said {
    unsigned room;
    char session[24], client_id[32], body[32];
    bool is_forbidden; /* Postgres will not take it */
    bool is_settled;   /* whoever said it knows what became of it */
    size_t gateway;    /* where it was said last */
    uint64_t said_at_ms;
    unsigned batches; /* that have carried it */
    uint64_t place;   /* in the order of its first one's gateway */
    uint64_t life;    /* of that gateway */
    /* What log_watch.c knows. */
    uint64_t stored_as; /* 0: it is not in the log */
    uint64_t at_ms;
    uint64_t epoch; /* in which it was stored */
    bool is_published, is_told_new, is_acknowledged;
    bool was_lost; /* a promotion lost it: whoever heard of it before heard of another history */
};

/* An append request, from its first sending to its answer. */
struct log_batch {
    uint64_t number; /* 0: there is none */
    size_t messages[LOG_BATCH_MAX];
    size_t count;
    uint64_t again_at_ms;
    bool is_repeat;
};

struct log_gateway {
    uint64_t life; /* how many it has had */
    bool is_running;
    struct {
        size_t *waiting; /* said here, and not sent yet */
        size_t waiting_count;
        struct log_batch batch;
        uint64_t has;         /* its copy of the log goes up to there */
        uint64_t reads_at_ms; /* the next question about it */
    } rooms[LOG_ROOMS_MAX];
};

/* What travels between gateways and stores. */
struct log_mail;

/* A question to a store, for what its answer must hold. */
struct log_question {
    uint64_t token; /* its place among all questions, from 1 on */
    unsigned room;
    bool is_append;
    size_t gateway;
    uint64_t life, batch;
    uint64_t from; /* of a range; 0: it asks for the head */
    uint64_t head; /* when it was asked */
    uint64_t promotions;
    size_t messages[LOG_BATCH_MAX]; /* of an append */
    size_t count;
};

struct log_world {
    const struct schedule *schedule;
    FILE *trace;
    bool is_verbose;
    uint64_t dice; /* of this step */
    struct stores stores;
    size_t store_count, gateway_count, room_count;
    struct log_gateway gateways[LOG_GATEWAYS_MAX];
    struct said *said;
    size_t said_count;
    struct log_mail *mail; /* by time */
    struct log_question *questions;
    size_t question_count;
    uint64_t last_batch, last_place;
    unsigned loss_percent;
    uint64_t delay_max_ms;
    uint64_t epoch_at_ms; /* nobody begins one before */
    bool is_healing;
    uint64_t says_again_at_ms; /* people look then whether they were heard */
    /* log_watch.c's */
    size_t *logs[LOG_ROOMS_MAX]; /* what has the ids 1, 2, … */
    size_t heads[LOG_ROOMS_MAX];
    uint64_t newest_place[LOG_GATEWAYS_MAX][LOG_ROOMS_MAX];
    uint64_t promotions; /* so far */
    uint64_t past_epoch; /* the newest before the last of them */
};

/* Runs @schedule; aborts when a promise is broken. @trace may be NULL. */
void log_world_run(const struct schedule *schedule, FILE *trace, bool is_verbose);

struct bytes log_room_name(unsigned room);
struct contract_new_message said_message(const struct said *said);

/* 0 .. @below - 1, of this step's dice. */
uint64_t log_draw(struct log_world *world, uint64_t below);
bool log_chance(struct log_world *world, unsigned percent);

/* --- log_gateways.c --- */

/* A gateway starts, with an empty copy of the log; or it dies, and with it all that it had. */
void log_gateway_start(struct log_world *world, size_t number);
void log_gateway_kill(struct log_world *world, size_t number);

/* Somebody says @said at a gateway that runs; no one does: nothing happens. */
void log_say(struct log_world *world, size_t said);

/* What is due: mail arrives, gateways send and ask, people say it again. */
void log_gateways_run(struct log_world *world);
uint64_t log_gateways_next_ms(const struct log_world *world);

/* For stores_init(): what stores say, with the world for @user. */
void log_on_reply(void *user, uint64_t token, struct bytes payload);
void log_on_publish(void *user, const struct contract_room_event *event);

void log_gateways_release(struct log_world *world);

#endif
