/*
 * hub_limits.h - whether what a hub holds is within its limits: hub/limits.h and its settings.
 */
#ifndef PARLEY_TESTS_HUB_LIMITS_H
#define PARLEY_TESTS_HUB_LIMITS_H

#include "hub/hub.h"

/* NULL, or which bound of @hub's rooms, queues, logs, pages and clients is broken, or which sum is not one. */
const char *hub_limits_broken(const struct hub *hub);

#endif
