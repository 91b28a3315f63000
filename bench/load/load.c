/* load.c - parley-load: many clients, and what their servers make of them. See ../README.md. */
#include "churn.h"
#include "deliver.h"
#include "idle.h"
#include "storm.h"
#include "traffic.h"

#include <stdio.h>
#include <stdlib.h>

static int fail(struct buf *error, int status)
{
    fprintf(stderr, "parley-load: %.*s\n", BYTES_FMT(buf_bytes(error)));
    buf_release(error);
    return status;
}

static bool run(const struct load_options *options, struct buf *out, struct buf *error)
{
    switch (options->mode) {
    case LOAD_FANOUT:
    case LOAD_ACK: return traffic_run(options, out, error);
    case LOAD_DELIVER: return deliver_run(options, out, error);
    case LOAD_IDLE: return idle_run(options, out, error);
    case LOAD_CHURN: return churn_run(options, out, error);
    case LOAD_RECOVERY:
    case LOAD_STORM: return storm_run(options, out, error);
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct load_options options;
    struct buf error = BUF_INIT, out = BUF_INIT;
    if (!options_parse(argc, argv, &options, &error)) {
        return fail(&error, 2);
    }
    if (!run(&options, &out, &error)) {
        buf_release(&out);
        return fail(&error, EXIT_FAILURE);
    }
    printf("%.*s\n", BYTES_FMT(buf_bytes(&out)));
    buf_release(&out);
    return EXIT_SUCCESS;
}
