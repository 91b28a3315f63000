/*
 * failpoint.h - places where a test can kill or stop a process, which no signal from outside would hit.
 *
 * Only builds with PARLEY_FAILPOINTS (the preset failpoints, into build/failpoints/bin) have them; in all others a
 * FAILPOINT() is no code at all. In such a build, a process that passes FAILPOINT("store.after_commit") looks for the file
 * of that name in the folder that the environment's FAILPOINT_DIR names. If it is there, the process takes it away, so that
 * of all who pass exactly one does what is written in it:
 *
 *   kill        ends at once, as by kill -9
 *   stop        stands still until SIGCONT
 *   sleep MS    this thread sleeps so many milliseconds
 *
 * A file must come into the folder complete: written elsewhere, then moved. What is none of these ends the process with a
 * sentence. Without FAILPOINT_DIR, nothing happens.
 */
#ifndef PARLEY_FAILPOINT_H
#define PARLEY_FAILPOINT_H

#ifdef PARLEY_FAILPOINTS
#define FAILPOINT(name) failpoint_pass(name)
#else
#define FAILPOINT(name) ((void)0)
#endif

/* Passes the place @name. Any thread. */
void failpoint_pass(const char *name);

#endif
