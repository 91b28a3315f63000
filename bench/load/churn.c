/* churn.c - churn mode. */
#include "churn.h"
#include "base/clock.h"
#include "meter.h"
#include "swarm.h"

#include <stdlib.h>

struct churn {
    const struct load_options *options;
    struct swarm swarm;
    bool is_churning;
    struct client **leaving; /* who has joined, and leaves at the end of the turn */
    uint32_t leaving_count;
    uint64_t joined; /* how often anyone did since it is churning */
    uint64_t gone, began_us;
    uint64_t told, told_bytes; /* of who is here */
};

static void on_joined(void *user, struct client *client, struct bytes reply)
{
    (void)reply;
    struct churn *churn = user;
    if (churn->is_churning) {
        churn->joined++;
        churn->leaving[churn->leaving_count++] = client;
    }
}

static void write_auth(void *user, const struct client *client, struct buf *out)
{
    (void)user, (void)client;
    buf_append_bytes(out, BYTES(",\"presence\":true"));
}

static void on_event(void *user, struct client *client, struct bytes event)
{
    struct churn *churn = user;
    if (churn->options->has_presence && (bytes_start_with(event, BYTES("[\"chat presence\",")) ||
                                         bytes_start_with(event, BYTES("[\"chat typing\",")))) {
        churn->told++;
        churn->told_bytes += event.len;
        return;
    }
    buf_append_format(&churn->swarm.error,
                      "Member %u got something, but the room must be silent: %.*s", client->index,
                      BYTES_FMT(event));
}

static void on_ack(void *user, struct client *client, uint64_t ack_id, struct bytes arguments)
{
    (void)ack_id;
    on_event(user, client, arguments);
}

/* How many of those who wait may leave by now. */
static uint32_t may_go(const struct churn *churn)
{
    uint32_t joins_per_s = churn->options->joins_per_s;
    if (joins_per_s == 0) {
        return churn->leaving_count;
    }
    uint64_t due = (clock_monotonic_us() - churn->began_us) * joins_per_s / 1000000;
    return (uint32_t)MIN_OF((uint64_t)churn->leaving_count, due - MIN_OF(due, churn->gone));
}

static bool go_and_come(struct churn *churn)
{
    uint32_t count = may_go(churn);
    churn->leaving_count -= count;
    churn->gone += count;
    for (uint32_t i = 0; i < count; i++) {
        struct client *client = churn->leaving[churn->leaving_count + i];
        swarm_stop(&churn->swarm, client);
        if (!swarm_start(&churn->swarm, client)) {
            return false;
        }
    }
    return true;
}

static bool churn_until(struct churn *churn, uint64_t until_us)
{
    while (clock_monotonic_us() < until_us) {
        if (!swarm_turn(&churn->swarm, 10) || !go_and_come(churn)) {
            return false;
        }
    }
    return true;
}

static bool measure(struct churn *churn, struct buf *out)
{
    const struct load_options *options = churn->options;
    struct swarm *swarm = &churn->swarm;
    struct meter_reading begin, end;
    if (!swarm_connect(swarm)) {
        return false;
    }
    churn->is_churning = true;
    churn->began_us = clock_monotonic_us();
    for (uint32_t i = options->members - options->churners; i < options->members; i++) {
        churn->leaving[churn->leaving_count++] = &swarm->clients[i];
    }
    if (!go_and_come(churn) ||
        !churn_until(churn, clock_monotonic_us() + options->warmup_ms * UINT64_C(1000)) ||
        !meter_read(&options->meter, &begin, &swarm->error)) {
        return false;
    }
    uint64_t joined_before = churn->joined;
    churn->told = churn->told_bytes = 0;
    if (!churn_until(churn, begin.at_us + options->duration_ms * UINT64_C(1000)) ||
        !meter_read(&options->meter, &end, &swarm->error)) {
        return false;
    }
    uint64_t told = churn->told, told_bytes = churn->told_bytes;
    double joined = (double)(churn->joined - joined_before);
    buf_append_format(out, "{\"mode\":\"churn\",\"members\":%u,\"churners\":%u,\"rooms\":%u,",
                      options->members, options->churners, options->rooms);
    meter_write(&options->meter, &begin, &end, out);
    buf_append_format(out,
                      ",\"joined\":%.0f,\"joined_per_s\":%.1f,\"server_cpu_us_per_joined\":%.2f,"
                      "\"presence_events\":%llu,\"presence_bytes\":%llu}",
                      joined, joined / meter_wall_s(&begin, &end),
                      joined > 0 ? meter_server_s(&begin, &end) * 1e6 / joined : 0,
                      (unsigned long long)told, (unsigned long long)told_bytes);
    return true;
}

bool churn_run(const struct load_options *options, struct buf *out, struct buf *ret_error)
{
    struct churn churn = {
        .options = options,
        .leaving = mem_alloc(options->members * sizeof(struct client *)),
    };
    struct client_handlers handlers = {.write_auth = options->has_presence ? write_auth : NULL,
                                       .on_joined = on_joined,
                                       .on_event = on_event,
                                       .on_ack = on_ack,
                                       .user = &churn};
    bool is_fine = swarm_init(&churn.swarm, options, handlers) && measure(&churn, out);
    if (!is_fine) {
        buf_append_bytes(ret_error, buf_bytes(&churn.swarm.error));
    }
    swarm_release(&churn.swarm);
    free(churn.leaving);
    return is_fine;
}
