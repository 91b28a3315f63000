/*
 * whole_sim - hub-sim's gateways and people on log-sim's stores and Postgres: all that decides about a message's fate, in
 * one process.
 *
 * What happens to gateways and people, and what is promised to them, is gateway/sim/hub_sim.c's; what happens to stores
 * and Postgres, store-service/sim/log_sim.c's. How it is called: base/sim/sim_main.h. On demand:
 *
 *     scripts/build release whole-sim
 *     build/release/tests/whole-sim --seed 1000000 --schedules 1000000 --jobs "$(nproc)"
 */
#include "base/log.h"
#include "base/sim/sim_main.h"
#include "service.h"

static void run(const struct schedule *schedule, FILE *trace, bool is_verbose)
{
    cluster_run_on(&SERVICE, schedule, trace, is_verbose);
}

static const struct simulation SIMULATION = {
    .name = "whole-sim",
    .promise = "nothing lost, nothing twice, in order, acks true",
    .run = run,
    .faults =
        {
#define X(name, text, what) [FAULT_##name] = {text, what},
            CLUSTER_FAULTS(X)
#undef X
#define X(name, text, what) [SERVICE_FAULT_##name] = {text, what},
                SERVICE_FAULTS(X)
#undef X
        },
    .fault_count = SERVICE_FAULT_COUNT,
    .bounds = {[CLUSTER_BOUND_PEOPLE] = {"--people", CLUSTER_PEOPLE_MAX},
               [CLUSTER_BOUND_GATEWAYS] = {"--gateways", CLUSTER_GATEWAYS_MAX},
               [CLUSTER_BOUND_ROOMS] = {"--rooms", CLUSTER_ROOMS_MAX}},
};

int main(int argc, char **argv)
{
    log_open("whole-sim", LOG_LOGFMT, LOG_ERROR);
    return sim_main(&SIMULATION, argc, argv);
}
