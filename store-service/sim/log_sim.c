/*
 * log_sim - store-services on a model of Postgres under seeded faults: the log that they keep together is one log.
 *
 * Each schedule draws how many stores and gateways there are, how a promotion loses (a synchronous standby: nothing that
 * was seen; another: what it had not yet) and how bad the bus is. Then, step by step: people say things, twice, and
 * elsewhere; stores and backends are frozen and killed between any two steps of theirs; connections break or lead
 * nowhere; Postgres crashes; a standby takes over. Timeouts pass meanwhile: of locks, of statements, of the stores'
 * patience, of the gateways'. Then the faults end, and all that was said has to be in the log, once, and answered.
 *
 * What runs is the service's own code, on a model of what Postgres does with its statements: see stores.h, pg_model.h,
 * pg_backend.h. What is checked: log_watch.h. How it is called: base/sim/sim_main.h. Millions of schedules, on demand:
 *
 *     scripts/build release log-sim
 *     build/release/tests/log-sim --seed 1000000 --schedules 1000000 --jobs "$(nproc)"
 */
#include "base/log.h"
#include "base/sim/sim_main.h"
#include "log_world.h"

static const struct simulation SIMULATION = {
    .name = "log-sim",
    .promise = "no hole, nothing twice, in order, answers true",
    .run = log_world_run,
    .faults =
        {
#define X(name, text, what) [LOG_FAULT_##name] = {text, what},
            LOG_FAULTS(X)
#undef X
        },
    .fault_count = LOG_FAULT_COUNT,
    .bounds = {[LOG_BOUND_STORES] = {"--stores", STORES_MAX},
               [LOG_BOUND_GATEWAYS] = {"--gateways", LOG_GATEWAYS_MAX},
               [LOG_BOUND_ROOMS] = {"--rooms", LOG_ROOMS_MAX}},
};

int main(int argc, char **argv)
{
    log_open("log-sim", LOG_LOGFMT, LOG_ERROR);
    return sim_main(&SIMULATION, argc, argv);
}
