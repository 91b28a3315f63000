/*
 * schedule.h - what is run: a seed, and what of it is left out.
 *
 * Each step has dice of its own, thrown from the seed and its number: what one does is the same whether or not others
 * are left out. A step that is left out only lets its time pass.
 */
#ifndef PARLEY_SIM_SCHEDULE_H
#define PARLEY_SIM_SCHEDULE_H

#include "base/bytes.h"

enum { SCHEDULE_STEPS = 250, SCHEDULE_PEOPLE_MAX = 8, SCHEDULE_ROOMS_MAX = 3 };

/* Kinds of faults, by the name that --without calls them. */
#define SCHEDULE_FAULTS(X)                                                   \
    X(REQUESTS, "requests", "requests and answers get lost")                 \
    X(BROADCASTS, "broadcasts", "broadcasts get lost")                       \
    X(TWICE, "twice", "broadcasts come twice")                               \
    X(UNPUBLISHED, "unpublished", "a store dies between COMMIT and publish") \
    X(DELAYS, "delays", "hops take as long as they like")                    \
    X(LATE, "late", "a store freezes, and goes on seconds later")            \
    X(STORE, "store", "stores go and come")                                  \
    X(FAILOVERS, "failovers", "a standby is promoted: a new epoch")          \
    X(RESTORES, "restores", "a backup is restored: messages are gone")       \
    X(KILLS, "kills", "gateways are killed and started")                     \
    X(CUTS, "cuts", "gateways lose the bus")                                 \
    X(DROPS, "drops", "connections go")                                      \
    X(UPGRADES, "upgrades", "clients that poll upgrade at another gateway")  \
    X(SOCKETS, "sockets", "sockets take little, or nothing for seconds")     \
    X(MEMORY, "memory", "logs have room for a few messages")                 \
    X(TURNS, "turns", "a gateway's turn does little, and takes a millisecond")

enum schedule_fault {
#define X(name, text, what) FAULT_##name,
    SCHEDULE_FAULTS(X)
#undef X
        FAULTS
};

struct schedule {
    uint64_t seed;
    bool steps[SCHEDULE_STEPS];
    uint64_t people_max, gateways_max, rooms_max;
    bool without[FAULTS];
};

/* All of @seed. */
void schedule_init(struct schedule *schedule, uint64_t seed);

/* Reads what --steps and --without say. Returns false, with @schedule in any state, when it is wrong. */
MUST_USE bool schedule_parse_steps(struct schedule *schedule, const char *text);
MUST_USE bool schedule_parse_without(struct schedule *schedule, const char *text);

/* The kind of fault in words, and the name that --without calls it. */
const char *schedule_fault_name(enum schedule_fault fault);
const char *schedule_fault_words(enum schedule_fault fault);

/* Appends the arguments that make it again. */
void schedule_write(const struct schedule *schedule, struct buf *out);

#endif
