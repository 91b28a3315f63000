/*
 * hub-sim - a cluster under seeded faults, and one assertion: nothing lost, nothing twice, in order, acks true.
 *
 * Each schedule draws a cluster (gateways, memory, how bad the bus is) and then, for some seconds of virtual time, what
 * happens: people write, sockets fill up or take nothing for seconds, connections go, clients upgrade at another
 * gateway, gateways are killed and started, the store goes and comes, freezes and goes on, dies between COMMIT and
 * publish, fails over, has its backup restored. Clients come back to any gateway with what the library keeps (pid,
 * offset), and send again what was not acknowledged. Then the faults end, and everyone must have all.
 *
 * Checked with every packet, by the clients of fake_world: P1, P2, P3 and P5 as far as one client can tell. After every
 * moment: the log (P3, P6) and all limits (P7). After every step: that every send ended (P4). In the end: that everyone
 * has all that is stored, and that all that was said is (P5, P8); and that who asked knows who is here.
 *
 * How it is called: base/sim/sim_main.h. Millions of schedules, on demand:
 *
 *     scripts/build release hub-sim
 *     build/release/tests/hub-sim --seed 1000000 --schedules 1000000 --jobs "$(nproc)"
 */
#include "base/sim/sim_main.h"
#include "cluster.h"

static const struct simulation SIMULATION = {
    .name = "hub-sim",
    .promise = "nothing lost, nothing twice, in order, acks true",
    .run = cluster_run,
    .faults =
        {
#define X(name, text, what) [FAULT_##name] = {text, what},
            CLUSTER_FAULTS(X)
#undef X
        },
    .fault_count = FAULTS,
    .bounds = {[CLUSTER_BOUND_PEOPLE] = {"--people", CLUSTER_PEOPLE_MAX},
               [CLUSTER_BOUND_GATEWAYS] = {"--gateways", CLUSTER_GATEWAYS_MAX},
               [CLUSTER_BOUND_ROOMS] = {"--rooms", CLUSTER_ROOMS_MAX}},
};

int main(int argc, char **argv)
{
    return sim_main(&SIMULATION, argc, argv);
}
