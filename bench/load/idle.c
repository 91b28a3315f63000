/* idle.c - idle mode. */
#include "idle.h"
#include "base/clock.h"
#include "meter.h"
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

static bool measure(struct idle *idle)
{
    const struct load_options *options = idle->options;
    struct swarm *swarm = &idle->swarm;
    struct buf *error = &swarm->error;
    return meter_read_pss(&options->meter, &idle->pss_before, error) && swarm_connect(swarm) &&
           swarm_run_until(swarm, clock_monotonic_us() + options->warmup_ms * UINT64_C(1000)) &&
           meter_read(&options->meter, &idle->begin, error) &&
           swarm_run_until(swarm, idle->begin.at_us + options->duration_ms * UINT64_C(1000)) &&
           meter_read(&options->meter, &idle->end, error) &&
           meter_read_pss(&options->meter, &idle->pss_after, error);
}

static void write_result(const struct idle *idle, struct buf *out)
{
    const struct load_options *options = idle->options;
    double grown = (double)idle->pss_after - (double)idle->pss_before;
    double minutes = meter_wall_s(&idle->begin, &idle->end) / 60;
    double server_s = meter_server_s(&idle->begin, &idle->end);
    buf_append_format(out, "{\"mode\":\"idle\",\"members\":%u,\"rooms\":%u,\"rooms_each\":%u,",
                      options->members, options->rooms, options->rooms_each);
    meter_write(&options->meter, &idle->begin, &idle->end, out);
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
