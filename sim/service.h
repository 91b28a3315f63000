/*
 * service.h - store-services and their Postgres (store-service/sim) for the gateways of a cluster (gateway/sim).
 *
 * What is committed is written into the cluster's fake store, so that clients and watch.h go on checking against it.
 */
#ifndef PARLEY_SIM_SERVICE_H
#define PARLEY_SIM_SERVICE_H

#include "cluster.h"

/* Kinds of faults besides the cluster's; "store" are stores that are killed, "late" ones that freeze. */
#define SERVICE_FAULTS(X)                                                         \
    X(BACKENDS, "backends", "backends freeze and die, connections to them break") \
    X(CRASHES, "crashes", "Postgres crashes and recovers")                        \
    X(STANDBY, "standby", "the standby stands still")

enum service_fault {
    SERVICE_FAULT_NONE = FAULTS - 1,
#define X(name, text, what) SERVICE_FAULT_##name,
    SERVICE_FAULTS(X)
#undef X
        SERVICE_FAULT_COUNT
};

extern const struct cluster_service SERVICE;

#endif
