/*
 * cluster.h - gateways, a store, a bus and people under a schedule.
 *
 * The clients of fake_world check order, holes, texts and acknowledgements with every packet; watch.h the rest.
 */
#ifndef PARLEY_SIM_CLUSTER_H
#define PARLEY_SIM_CLUSTER_H

#include "base/sim/schedule.h"
#include "fake_world.h"

enum {
    CLUSTER_PEOPLE_MAX = 8,
    CLUSTER_GATEWAYS_MAX = 3,
    CLUSTER_ROOMS_MAX = 3,
    CLUSTER_TEXT_BYTES_MAX = 600
};

enum cluster_bound { CLUSTER_BOUND_PEOPLE, CLUSTER_BOUND_GATEWAYS, CLUSTER_BOUND_ROOMS };

/* Kinds of faults, by the name that --without calls them. */
#define CLUSTER_FAULTS(X)                                                    \
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

enum cluster_fault {
#define X(name, text, what) FAULT_##name,
    CLUSTER_FAULTS(X)
#undef X
        FAULTS
};

/* A message that a person wants to have stored, however often it takes. */
struct wish {
    uint64_t number;
    unsigned room;
    char content[CLUSTER_TEXT_BYTES_MAX + 32];
    size_t send; /* the newest attempt, in client->sends; SIZE_MAX: none yet */
    uint64_t sent_at_ms;
    bool is_settled;
    /* Of its attempts, whose places in all of the person's are counted from 1 on; 0: none yet. */
    uint64_t first_attempt, last_attempt;
    uint64_t connection;       /* of the first one */
    bool is_on_one_connection; /* all of them */
    uint64_t epoch;            /* at the first one */
    uint64_t stored_as;        /* 0: it is not in the log */
};

struct person {
    struct fake_client *client;
    uint64_t comes_back_at_ms;
    uint64_t fast_since_ms; /* UINT64_MAX: its socket is slow now */
    uint64_t attempts;
    struct wish *wishes;
    size_t wish_count;
    size_t ended; /* so many of client->sends have ended, or went with their connection */
    /* Of each room: of the newest connection that has a message in the log, the latest such attempt. */
    struct {
        uint64_t connection, attempt;
    } newest[CLUSTER_ROOMS_MAX];
};

struct cluster;

/* What answers the gateways in the fake store's stead. */
struct cluster_service {
    /* With dice of the cluster's: begins, and sets cluster->world.service; something happens to it; all of that ends. */
    void *(*start)(struct cluster *cluster);
    void (*befall)(void *service);
    void (*heal)(void *service);
    void (*stop)(void *service);
};

struct cluster {
    struct fake_world world;
    const struct cluster_service *kind; /* NULL: the fake store */
    void *service;                      /* of that kind */
    struct hub_settings settings;
    const struct schedule *schedule;
    uint64_t dice;           /* of this step */
    uint64_t retry_after_ms; /* who hears nothing of what it said says it again */
    unsigned gateway_count;
    unsigned room_count;
    struct person people[CLUSTER_PEOPLE_MAX];
    size_t people_count;
    size_t heads_watched[CLUSTER_ROOMS_MAX];
    bool is_verbose;
};

/* Runs @schedule; aborts when a promise is broken. @trace may be NULL. */
void cluster_run(const struct schedule *schedule, FILE *trace, bool is_verbose);

/* Likewise, on a service of @kind. */
void cluster_run_on(const struct cluster_service *kind, const struct schedule *schedule,
                    FILE *trace, bool is_verbose);

/* Every other one does. */
bool cluster_wants_presence(const struct cluster *cluster, const struct person *person);

/* For services: 0 .. @below - 1, of this step's dice; a line for --verbose. */
uint64_t cluster_draw(struct cluster *cluster, uint64_t below);
void cluster_say(const struct cluster *cluster, const char *what, unsigned long long n);

/* "/" for room 0, and so on; the name of the room there. */
const char *cluster_namespace(unsigned room);
const char *cluster_room_name(unsigned room);

#endif
