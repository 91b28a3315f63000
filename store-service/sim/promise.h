/*
 * promise.h - how a simulation ends when something is not as it must be.
 */
#ifndef PARLEY_SIM_PROMISE_H
#define PARLEY_SIM_PROMISE_H

#include "base/base.h"

/* Prints and aborts. */
NORETURN void promise_broken(const char *format, ...) PRINTF(1, 2);

#endif
