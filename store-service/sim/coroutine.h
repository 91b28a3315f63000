/*
 * coroutine.h - code that blocks, in a thread with others like it, one of which runs at a time.
 *
 * Thread  One. What runs inside must not block, but yield.
 */
#ifndef PARLEY_SIM_COROUTINE_H
#define PARLEY_SIM_COROUTINE_H

#include "base/base.h"

struct coroutine;

/* Does not run it yet. Returns owned. */
MUST_USE struct coroutine *coroutine_new(void (*function)(void *argument), void *argument);

/* Frees one that has ended, or never ran. */
void coroutine_free(struct coroutine *coroutine);

/* Runs @coroutine until it yields or ends. Not to be called by a coroutine. */
void coroutine_resume(struct coroutine *coroutine);

bool coroutine_has_ended(const struct coroutine *coroutine);

/* Back to who resumed the one that runs. */
void coroutine_yield(void);

#endif
