/*
 * main.c - parley-gateway: settings, start, run, end.
 */
#include "base/health.h"
#include "base/log.h"
#include "edge/gateway.h"
#include "edge/gateway_metrics.h"
#include <stdio.h>
#include <stdlib.h>

/* Says why the gateway cannot start, on a line of its own. */
static int fail(struct buf *error)
{
    fprintf(stderr, "parley-gateway: %.*s\n", BYTES_FMT(buf_bytes(error)));
    buf_release(error);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *health = health_page(argc, argv);
    if (health == NULL) {
        config_handle_arguments(
            argc, argv, "parley-gateway",
            "Terminates WebSockets of Socket.IO clients, serves the page, and connects both to "
            "NATS.",
            gateway_settings, gateway_settings_count, gateway_metrics_write_unused);
    }
    struct gateway_config config = {0};
    struct buf error = BUF_INIT;
    int status = EXIT_SUCCESS;
    if (!config_load(gateway_settings, gateway_settings_count, &config, &error)) {
        status = fail(&error);
    } else if (health != NULL) {
        status = health_check(config.admin_host, (int)config.admin_port, health);
    } else {
        log_open("gateway", (enum log_format)config.log_format, (enum log_level)config.log_level);
        struct gateway *gateway = gateway_new(&config, &error);
        if (gateway == NULL) {
            status = fail(&error);
        } else {
            gateway_run(gateway);
            gateway_free(gateway);
        }
    }
    config_release(gateway_settings, gateway_settings_count, &config);
    return status;
}
