/*
 * schedule.h - what a simulation runs: a seed, and what of it is left out.
 *
 * Each step has dice of its own, thrown from the seed and its number: what one does is the same whether or not others
 * are left out. A step that is left out only lets its time pass.
 */
#ifndef PARLEY_SIM_SCHEDULE_H
#define PARLEY_SIM_SCHEDULE_H

#include "base/bytes.h"
#include <stdio.h>

enum { SCHEDULE_STEPS = 250, SCHEDULE_FAULTS_MAX = 32, SCHEDULE_BOUNDS = 3 };

struct schedule;

/* A program that runs schedules, as sim_main() needs to know it. */
struct simulation {
    const char *name;
    const char *promise; /* what held when all went well */
    /* Runs @schedule; aborts when a promise is broken. @trace may be NULL. */
    void (*run)(const struct schedule *schedule, FILE *trace, bool is_verbose);
    /* Kinds of faults, by the name that --without calls them. */
    struct {
        const char *name, *words;
    } faults[SCHEDULE_FAULTS_MAX];
    size_t fault_count;
    /* What a schedule has at most of something, by the name of the option that says so: 1 to @most. */
    struct {
        const char *name;
        uint64_t most;
    } bounds[SCHEDULE_BOUNDS];
};

struct schedule {
    const struct simulation *simulation;
    uint64_t seed;
    bool steps[SCHEDULE_STEPS];
    uint64_t bounds[SCHEDULE_BOUNDS];
    bool without[SCHEDULE_FAULTS_MAX];
};

/* All of @seed. */
void schedule_init(struct schedule *schedule, const struct simulation *simulation, uint64_t seed);

/* Reads what --steps and --without say. Returns false, with @schedule in any state, when it is wrong. */
MUST_USE bool schedule_parse_steps(struct schedule *schedule, const char *text);
MUST_USE bool schedule_parse_without(struct schedule *schedule, const char *text);

/* Where the bound that the option @name sets is kept; NULL when there is no such option. */
uint64_t *schedule_bound(struct schedule *schedule, const char *name);

/* Appends the arguments that make it again. */
void schedule_write(const struct schedule *schedule, struct buf *out);

/* The dice of step @number, for seeded_random_next(); those of -1 are thrown before the first one. */
uint64_t schedule_dice(const struct schedule *schedule, int number);

#endif
