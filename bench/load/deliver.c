/* deliver.c - deliver mode. */
#include "deliver.h"
#include "base/clock.h"
#include "feed.h"
#include "latency.h"
#include "meter.h"
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TIME_DIGITS = 16, /* of µs */
    DRAIN_TIMEOUT_US = 10000000,
};

struct deliver {
    const struct load_options *options;
    struct swarm swarm;
    struct feed *feed;          /* NULL: the first member sends */
    uint64_t *next_ids;         /* of each member; 0: has got nothing yet */
    uint64_t first_id;          /* that anyone got */
    struct buf text, arguments; /* of the next message */
    bool is_measuring;
    uint64_t began_us, sent;
    uint64_t received, measured; /* deliveries */
    struct latency latency;
};

static void fail(struct deliver *deliver, const struct client *client, const char *what,
                 struct bytes detail)
{
    enum { SHOWN_BYTES_MAX = 300 };
    detail.len = MIN_OF(detail.len, (size_t)SHOWN_BYTES_MAX);
    if (deliver->swarm.error.len == 0) {
        buf_append_format(&deliver->swarm.error, "Member %u %s: %.*s", client->index, what,
                          BYTES_FMT(detail));
    }
}

/* --- what arrives ----------------------------------------------------------------------------------------------- */

static uint64_t time_of(struct bytes event)
{
    enum { TIME_AT = sizeof("[\"chat message\",\"") - 1 };
    uint64_t time = 0;
    for (size_t i = TIME_AT; i < TIME_AT + TIME_DIGITS && i < event.len; i++) {
        time = time * 10 + (uint64_t)(event.data[i] - '0');
    }
    return time;
}

static void on_event(void *user, struct client *client, struct bytes event)
{
    struct deliver *deliver = user;
    enum client_dialect dialect = deliver->options->dialect;
    uint64_t id = client_event_id(dialect, event, NULL);
    if (!bytes_start_with(event, BYTES("[\"chat message\",\"")) || id == 0) {
        fail(deliver, client, "got something else than a message", event);
        return;
    }
    if (deliver->first_id == 0) {
        deliver->first_id = id;
    }
    uint64_t *next_id = &deliver->next_ids[client->index];
    /* With many rooms, each numbers its own. */
    bool is_first = *next_id == 0 && (deliver->options->rooms > 1 || id == deliver->first_id);
    if (dialect != CLIENT_TUTORIAL && !is_first && id != *next_id) {
        fail(deliver, client, "did not get the message that it awaited, but", event);
        return;
    }
    *next_id = id + 1;
    deliver->received++;
    uint64_t sent_us = time_of(event), now_us = clock_monotonic_us();
    if (deliver->is_measuring && sent_us >= deliver->began_us) {
        deliver->measured++;
        latency_record(&deliver->latency, now_us > sent_us ? now_us - sent_us : 0);
    }
}

static void on_ack(void *user, struct client *client, uint64_t ack_id, struct bytes arguments)
{
    (void)ack_id;
    fail(user, client, "got an acknowledgement that it did not ask for", arguments);
}

/* --- what is sent ----------------------------------------------------------------------------------------------- */

static void send_one(struct deliver *deliver, uint64_t due_us)
{
    const struct load_options *options = deliver->options;
    struct buf *text = &deliver->text, *arguments = &deliver->arguments;
    buf_clear(text);
    buf_append_format(text, "%0*llu", TIME_DIGITS, (unsigned long long)due_us);
    for (uint32_t i = TIME_DIGITS; i < options->body_bytes; i++) {
        buf_append_char(text, (char)('a' + i % 26));
    }
    deliver->sent++;
    if (deliver->feed != NULL) {
        feed_publish(deliver->feed, buf_bytes(text));
        return;
    }
    buf_clear(arguments);
    client_append_message(arguments, &deliver->swarm.settings, buf_bytes(text), deliver->sent);
    swarm_emit(&deliver->swarm, &deliver->swarm.clients[0], NULL, buf_bytes(arguments));
}

/* Turns until @until_us, and sends what is due meanwhile. */
static bool run_until(struct deliver *deliver, uint64_t until_us)
{
    uint32_t rate = deliver->options->rate;
    if (rate == 0) {
        return swarm_run_until(&deliver->swarm, until_us);
    }
    uint64_t start_us = clock_monotonic_us(), sent = 0;
    for (;;) {
        uint64_t due_us = start_us + sent * 1000000 / rate;
        uint64_t now_us = clock_monotonic_us();
        if (MIN_OF(due_us, now_us) >= until_us) {
            return true;
        }
        if (due_us <= now_us) {
            send_one(deliver, due_us);
            sent++;
        } else if (!swarm_run_until(&deliver->swarm, MIN_OF(due_us, until_us))) {
            return false;
        }
    }
}

/* --- the run ---------------------------------------------------------------------------------------------------- */

/* Members that are in the room of whoever sends. */
static uint64_t awaited(const struct deliver *deliver)
{
    return deliver->sent * ((deliver->options->members - 1) / deliver->options->rooms + 1);
}

static bool drain(struct deliver *deliver)
{
    uint64_t deadline_us = clock_monotonic_us() + DRAIN_TIMEOUT_US;
    while (deliver->received < awaited(deliver)) {
        if (!swarm_turn(&deliver->swarm, 100)) {
            return false;
        }
        if (clock_monotonic_us() > deadline_us) {
            buf_append_format(&deliver->swarm.error,
                              "Only %llu of %llu deliveries had come %u s after the last message.",
                              (unsigned long long)deliver->received,
                              (unsigned long long)awaited(deliver), DRAIN_TIMEOUT_US / 1000000);
            return false;
        }
    }
    return true;
}

static void write_result(const struct deliver *deliver, const struct meter_reading *begin,
                         const struct meter_reading *end, uint64_t pss_before, uint64_t pss_after,
                         struct buf *out)
{
    const struct load_options *options = deliver->options;
    double server_s = meter_server_s(begin, end);
    buf_append_format(out, "{\"mode\":\"deliver\",\"members\":%u,\"rooms\":%u,\"rate\":%u,",
                      options->members, options->rooms, options->rate);
    meter_write(&options->meter, begin, end, out);
    buf_append_format(out,
                      ",\"deliveries\":%llu,\"pss_before_bytes\":%llu,\"pss_after_bytes\":%llu,",
                      (unsigned long long)deliver->measured, (unsigned long long)pss_before,
                      (unsigned long long)pss_after);
    if (server_s > 0) {
        buf_append_format(out, "\"deliveries_per_server_cpu_s\":%.1f,",
                          (double)deliver->measured / server_s);
    }
    latency_write(out, "delivery", &deliver->latency);
    buf_append_char(out, '}');
}

static bool measure(struct deliver *deliver, struct buf *out)
{
    const struct load_options *options = deliver->options;
    struct swarm *swarm = &deliver->swarm;
    struct meter_reading begin, end;
    uint64_t pss_before, pss_after;
    if (!meter_read_pss(&options->meter, &pss_before, &swarm->error) || !swarm_connect(swarm) ||
        !swarm_run_until(swarm, clock_monotonic_us() + options->settle_ms * UINT64_C(1000)) ||
        !run_until(deliver, clock_monotonic_us() + options->warmup_ms * UINT64_C(1000)) ||
        !meter_read(&options->meter, &begin, &swarm->error)) {
        return false;
    }
    deliver->began_us = begin.at_us;
    deliver->is_measuring = true;
    if (!run_until(deliver, begin.at_us + options->duration_ms * UINT64_C(1000)) ||
        !meter_read(&options->meter, &end, &swarm->error) || !drain(deliver) ||
        !meter_read_pss(&options->meter, &pss_after, &swarm->error)) {
        return false;
    }
    write_result(deliver, &begin, &end, pss_before, pss_after, out);
    return true;
}

bool deliver_run(const struct load_options *options, struct buf *out, struct buf *ret_error)
{
    static struct deliver deliver; /* its histogram is too large for a stack */
    deliver = (struct deliver){
        .options = options,
        .next_ids = mem_alloc_zeroed(options->members * sizeof(uint64_t)),
    };
    struct client_handlers handlers = {.on_event = on_event, .on_ack = on_ack, .user = &deliver};
    bool is_fine = swarm_init(&deliver.swarm, options, handlers);
    if (is_fine && options->nats_url[0] != '\0') {
        deliver.feed = feed_new(options->nats_url, options->room_prefix, &deliver.swarm.error);
        is_fine = deliver.feed != NULL;
    }
    is_fine = is_fine && measure(&deliver, out);
    if (!is_fine) {
        buf_append_bytes(ret_error, buf_bytes(&deliver.swarm.error));
    }
    feed_free(deliver.feed);
    swarm_release(&deliver.swarm);
    free(deliver.next_ids);
    buf_release(&deliver.text);
    buf_release(&deliver.arguments);
    return is_fine;
}
