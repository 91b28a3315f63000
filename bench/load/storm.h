/*
 * storm.h - a gateway dies, and all its clients come back at once: how long it takes, and what the others notice.
 *
 *   all join ──▶ "joined" is printed ──▶ somebody kills the gateway of --connect ──▶ its clients wait while the witnesses
 *   say what they miss ──▶ --back answers ──▶ all connect at the same moment ──▶ each has its session, and what it missed
 *
 * In recovery mode nobody is killed: all but the witnesses leave by themselves, and come back to where they were. What
 * they missed is then in the server's memory.
 *
 * The first members are witnesses: they lose no connection, and talk all the while. Whoever is refused (503, reset, or
 * nobody there) comes again as the reference client does: after 1 s, 2 s, 4 s, 5 s, …, each ± 50 %, 5 s at most.
 */
#ifndef PARLEY_BENCH_STORM_H
#define PARLEY_BENCH_STORM_H

#include "options.h"

/*
 * Runs storm or recovery mode, and appends the result to @out as a JSON object. Returns false with a sentence in @ret_error instead
 * when anyone lost a message, saw one twice, did not get its session back, or when a witness lost its connection.
 */
MUST_USE bool storm_run(const struct load_options *options, struct buf *out, struct buf *ret_error);

#endif
