/*
 * shrink.h - the least of a schedule that still breaks a promise.
 */
#ifndef PARLEY_SIM_SHRINK_H
#define PARLEY_SIM_SHRINK_H

#include "schedule.h"

/*
 * Leaves out of @schedule whatever it fails without, each try in a process of its own: kinds of faults, what
 * its bounds count, and steps, in halves, quarters and so on down to single ones, until nothing more can go. Returns how
 * many tries it took; 0 when @schedule does not fail as it is.
 *
 * Any failure counts: what is left may break another promise than all of it did.
 */
unsigned shrink(struct schedule *schedule);

#endif
