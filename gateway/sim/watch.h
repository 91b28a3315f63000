/*
 * watch.h - what must be true of a cluster all the time, and in the end.
 */
#ifndef PARLEY_SIM_WATCH_H
#define PARLEY_SIM_WATCH_H

#include "cluster.h"

/*
 * After all that one moment brought: the log has each message once, as it was said, and those of one connection in its
 * order (P3, P6); what the hubs hold is within its limits (P7).
 */
void watch_moment(struct cluster *cluster);

/* After each step: every send of a connection that lives has ended by its deadline (P4). */
void watch_step(struct cluster *cluster);

/* A backup was restored: what it did not have may come again. */
void watch_forget_lost(struct cluster *cluster);

/* When all has healed: everyone is there, has all that is in the log, and all that they said is in it. */
void watch_end(struct cluster *cluster);

#endif
