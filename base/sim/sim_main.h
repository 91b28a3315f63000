/*
 * sim_main.h - the command line of a simulation.
 *
 *     NAME [--seed N] [--schedules K] [--jobs J]      K schedules, of the seeds N, N + 1, ...; J at a time
 *     NAME --seed N --shrink                          makes the schedule of a seed that fails as small as it goes
 *     NAME --seed N ... [--verbose] [--trace FILE]    tells what happens; writes all that arrives anywhere
 *
 * A seed decides everything, to the bit. A failure prints the arguments that make it again; --shrink prints those of
 * the least that fails still: fewer steps, fewer of what the simulation's bounds count, fewer kinds of faults.
 */
#ifndef PARLEY_SIM_MAIN_H
#define PARLEY_SIM_MAIN_H

#include "schedule.h"

/* What main() does and returns. */
MUST_USE int sim_main(const struct simulation *simulation, int argc, char **argv);

#endif
