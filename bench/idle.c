/* idle.c - idle mode. */
#include "idle.h"
#include "base/clock.h"
#include "meter.h"
#include "process.h"
#include "swarm.h"

#include <stdio.h>

struct idle {
    const struct load_options *options;
    struct swarm swarm;
    uint64_t pss_before, pss_after;
    struct meter_reading begin, end; /* of the measured time */
};

static void on_event(void *user, struct client *client, struct bytes event)
{
    struct idle *idle = user;
    buf_append_format(&idle->swarm.error,
                      "Member %u got something, but the room must be silent: %.*s", client->index,
                      BYTES_FMT(event));
}

static void on_ack(void *user, struct client *client, uint64_t ack_id, struct bytes arguments)
{
    (void)ack_id;
    on_event(user, client, arguments);
}

static bool read_pss(const struct load_options *options, uint64_t *ret_bytes, struct buf *error)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < options->server_count; i++) {
        uint64_t bytes;
        if (!process_pss_bytes(options->servers[i], &bytes)) {
            buf_append_format(error, "The memory of process %d cannot be read.",
                              (int)options->servers[i]);
            return false;
        }
        sum += bytes;
    }
    *ret_bytes = sum;
    return true;
}

static bool measure(struct idle *idle)
{
    const struct load_options *options = idle->options;
    struct swarm *swarm = &idle->swarm;
    struct buf *error = &swarm->error;
    return read_pss(options, &idle->pss_before, error) && swarm_connect(swarm) &&
           swarm_run_until(swarm, clock_monotonic_us() + options->warmup_ms * UINT64_C(1000)) &&
           meter_read(options, &idle->begin, error) &&
           swarm_run_until(swarm, idle->begin.at_us + options->duration_ms * UINT64_C(1000)) &&
           meter_read(options, &idle->end, error) && read_pss(options, &idle->pss_after, error);
}

static void write_result(const struct idle *idle, struct buf *out)
{
    const struct load_options *options = idle->options;
    double grown = (double)idle->pss_after - (double)idle->pss_before;
    double minutes = (double)(idle->end.at_us - idle->begin.at_us) / 60e6;
    double server_s = (double)(idle->end.servers_us - idle->begin.servers_us) / 1e6;
    buf_append_format(out, "{\"mode\":\"idle\",\"members\":%u,\"rooms\":%u,", options->members,
                      options->rooms);
    meter_write(options, &idle->begin, &idle->end, out);
    buf_append_format(out,
                      ",\"pss_before_bytes\":%llu,\"pss_after_bytes\":%llu,"
                      "\"pss_per_connection_bytes\":%.1f,"
                      "\"cpu_s_per_1000_connections_per_minute\":%.4f}",
                      (unsigned long long)idle->pss_before, (unsigned long long)idle->pss_after,
                      grown / options->members, server_s / minutes / (options->members / 1000.0));
}

bool idle_run(const struct load_options *options, struct buf *out, struct buf *ret_error)
{
    struct idle idle = {.options = options};
    struct client_handlers handlers = {.on_event = on_event, .on_ack = on_ack, .user = &idle};
    bool is_fine = swarm_init(&idle.swarm, options, handlers) && measure(&idle);
    if (is_fine) {
        write_result(&idle, out);
    } else {
        buf_append_bytes(ret_error, buf_bytes(&idle.swarm.error));
    }
    swarm_release(&idle.swarm);
    return is_fine;
}
