/* load.c - parley-load: many Socket.IO clients, and what their servers make of them. See README.md. */
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

int main(int argc, char **argv)
{
    static struct load_options options;
    struct buf error = BUF_INIT, out = BUF_INIT;
    if (!options_parse(argc, argv, &options, &error)) {
        return fail(&error, 2);
    }
    bool is_fine = options.mode == LOAD_IDLE    ? idle_run(&options, &out, &error)
                   : options.mode == LOAD_STORM ? storm_run(&options, &out, &error)
                                                : traffic_run(&options, &out, &error);
    if (!is_fine) {
        buf_release(&out);
        return fail(&error, EXIT_FAILURE);
    }
    printf("%.*s\n", BYTES_FMT(buf_bytes(&out)));
    buf_release(&out);
    return EXIT_SUCCESS;
}
