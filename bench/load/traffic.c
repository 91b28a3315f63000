/*
 * traffic.c - fanout and ack mode.
 *
 * A message's text begins with its sender's number, so that whoever sees it delivered to all knows whose window it
 * leaves. Within a room messages are delivered to all in the order of their ids, since every member gets them in order;
 * and a sender's own are acknowledged or delivered in the order in which it sent them.
 */
#include "traffic.h"
#include "base/clock.h"
#include "latency.h"
#include "meter.h"
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SENDER_DIGITS = 8,
    DRAIN_TIMEOUT_US = 10000000,
};

struct member {
    uint64_t next_id;  /* 0: has got nothing yet */
    uint64_t received; /* messages */
    uint64_t *
        sent_us; /* of a sender: for each place in its window, when that was sent; 0: the place is free */
    uint64_t done_count; /* fanout: message n of a sender has the place n modulo window */
};

struct room {
    uint32_t member_count;
    uint64_t first_id;   /* that anyone got; 0: none yet */
    uint64_t sent;       /* messages */
    uint32_t *remaining; /* fanout: members that lack message id, at id & mask */
    uint64_t mask;
};

struct traffic {
    const struct load_options *options;
    struct swarm swarm;
    struct member *members;
    struct room *rooms;
    struct buf text, arguments; /* of the next message */
    bool is_sending, is_measuring;
    uint64_t sent_count, done_count;
    /* while measuring */
    uint64_t deliveries;
    uint64_t completions;
    uint64_t delivered_bytes; /* of frames */
    struct latency latency;
};

static void fail(struct traffic *traffic, const struct client *client, const char *what,
                 struct bytes detail)
{
    enum { SHOWN_BYTES_MAX = 300 };
    detail.len = MIN_OF(detail.len, (size_t)SHOWN_BYTES_MAX);
    if (traffic->swarm.error.len == 0) {
        buf_append_format(&traffic->swarm.error, "Member %u of room %u %s: %.*s", client->index,
                          client->room, what, BYTES_FMT(detail));
    }
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static void prepare_text(struct traffic *traffic)
{
    buf_append_format(&traffic->text, "%0*u", SENDER_DIGITS, 0);
    for (uint32_t i = SENDER_DIGITS; i < traffic->options->body_bytes; i++) {
        buf_append_char(&traffic->text, (char)('a' + i % 26));
    }
}

static void send_one(struct traffic *traffic, struct client *client, uint64_t place)
{
    char sender[SENDER_DIGITS + 1];
    snprintf(sender, sizeof(sender), "%0*u", SENDER_DIGITS, client->index);
    memcpy(traffic->text.data, sender, SENDER_DIGITS);
    struct member *member = &traffic->members[client->index];
    member->sent_us[place] = clock_monotonic_us();
    traffic->sent_count++;
    traffic->rooms[client->room].sent++;
    buf_clear(&traffic->arguments);
    client_append_message(&traffic->arguments, &traffic->swarm.settings, buf_bytes(&traffic->text),
                          traffic->sent_count);
    /* The place is also the acknowledgement's id: taken again only after it has come. */
    swarm_emit(&traffic->swarm, client, traffic->options->mode == LOAD_ACK ? &place : NULL,
               buf_bytes(&traffic->arguments));
}

/* Whether as many are sent as --messages says. */
static bool is_enough(const struct traffic *traffic)
{
    uint32_t messages = traffic->options->messages;
    return messages > 0 && traffic->sent_count >= messages;
}

/* The message in @place of a sender's window is done: counts it, and sends the next. */
static void finish_one(struct traffic *traffic, struct client *client, uint64_t place)
{
    struct member *member = &traffic->members[client->index];
    if (traffic->is_measuring) {
        latency_record(&traffic->latency, clock_monotonic_us() - member->sent_us[place]);
        traffic->completions++;
    }
    member->sent_us[place] = 0;
    member->done_count++;
    traffic->done_count++;
    if (traffic->is_sending && !is_enough(traffic)) {
        send_one(traffic, client, place);
    }
}

static void start_sending(struct traffic *traffic)
{
    traffic->is_sending = true;
    for (uint32_t i = 0; i < traffic->options->senders; i++) {
        for (uint64_t place = 0; place < traffic->options->window && !is_enough(traffic); place++) {
            send_one(traffic, &traffic->swarm.clients[i], place);
        }
    }
}

/* --- what arrives ----------------------------------------------------------------------------------------------- */

/* Returns false when @id is not the one that this member must get next. */
static bool is_in_order(const struct traffic *traffic, const struct member *member,
                        const struct room *room, uint64_t id)
{
    if (traffic->options->dialect == CLIENT_TUTORIAL) {
        return true; /* what is inserted first need not be said first */
    }
    if (!traffic->options->has_echo) {
        return id >= member->next_id; /* its own are left out */
    }
    return member->next_id == 0 ? id == room->first_id : id == member->next_id;
}

/* In fanout mode: one member more has the message; the last one frees the sender's place. */
static void count_down(struct traffic *traffic, struct client *client, struct room *room,
                       uint64_t id, struct bytes event)
{
    enum { SENDER_AT = sizeof("[\"chat message\",\"") - 1 };
    uint32_t *remaining = &room->remaining[id & room->mask];
    if (--*remaining > 0) {
        return;
    }
    *remaining = room->member_count;
    char digits[SENDER_DIGITS + 1] = {0};
    memcpy(digits, event.data + SENDER_AT, MIN_OF(event.len - SENDER_AT, (size_t)SENDER_DIGITS));
    uint64_t sender = strtoull(digits, NULL, 10);
    if (sender >= traffic->options->senders) {
        fail(traffic, client, "got a message that nobody here sent", event);
        return;
    }
    uint64_t place = traffic->members[sender].done_count % traffic->options->window;
    finish_one(traffic, &traffic->swarm.clients[sender], place);
}

static void on_event(void *user, struct client *client, struct bytes event)
{
    struct traffic *traffic = user;
    struct member *member = &traffic->members[client->index];
    struct room *room = &traffic->rooms[client->room];
    uint64_t id = client_event_id(traffic->options->dialect, event, NULL);
    if (!bytes_start_with(event, BYTES("[\"chat message\",\"")) || id == 0) {
        fail(traffic, client, "got something else than a message", event);
        return;
    }
    if (room->first_id == 0) {
        room->first_id = id;
    }
    if (!is_in_order(traffic, member, room, id)) {
        char what[96];
        snprintf(what, sizeof(what), "got id %llu, but awaited %llu", (unsigned long long)id,
                 (unsigned long long)MAX_OF(member->next_id, room->first_id));
        fail(traffic, client, what, event);
        return;
    }
    member->next_id = id + 1;
    member->received++;
    if (traffic->is_measuring) {
        traffic->deliveries++;
        traffic->delivered_bytes += 2 + (size_t)client->namespace_len + event.len;
    }
    if (traffic->options->mode == LOAD_FANOUT) {
        count_down(traffic, client, room, id, event);
    }
}

static void on_ack(void *user, struct client *client, uint64_t ack_id, struct bytes arguments)
{
    struct traffic *traffic = user;
    struct member *member = &traffic->members[client->index];
    if (ack_id >= traffic->options->window || member->sent_us == NULL ||
        member->sent_us[ack_id] == 0) {
        fail(traffic, client, "got an acknowledgement of what it did not send", arguments);
    } else if (traffic->options->dialect == CLIENT_PARLEY &&
               !bytes_start_with(arguments, BYTES("[{\"status\":\"ok\","))) {
        fail(traffic, client, "was refused", arguments);
    } else {
        finish_one(traffic, client, ack_id);
    }
}

/* --- the run ---------------------------------------------------------------------------------------------------- */

static void prepare(struct traffic *traffic)
{
    const struct load_options *options = traffic->options;
    traffic->members = mem_alloc_zeroed(options->members * sizeof(struct member));
    traffic->rooms = mem_alloc_zeroed(options->rooms * sizeof(struct room));
    for (uint32_t i = 0; i < options->members; i++) {
        traffic->rooms[i % options->rooms].member_count++;
        if (i < options->senders) {
            traffic->members[i].sent_us = mem_alloc_zeroed(options->window * sizeof(uint64_t));
        }
    }
    uint64_t capacity = 1;
    /* All that can be in flight in one room; where ids need not be in order, one may stay behind for long. */
    uint64_t in_flight = (uint64_t)options->window * (options->senders / options->rooms + 1);
    while (capacity < in_flight * (options->dialect == CLIENT_TUTORIAL ? 256 : 1)) {
        capacity *= 2;
    }
    for (uint32_t i = 0; i < options->rooms; i++) {
        struct room *room = &traffic->rooms[i];
        room->mask = capacity - 1;
        room->remaining = mem_alloc(capacity * sizeof(uint32_t));
        for (uint64_t id = 0; id < capacity; id++) {
            room->remaining[id] = room->member_count;
        }
    }
    prepare_text(traffic);
}

static void release(struct traffic *traffic)
{
    for (uint32_t i = 0; i < traffic->options->senders; i++) {
        free(traffic->members[i].sent_us);
    }
    for (uint32_t i = 0; i < traffic->options->rooms; i++) {
        free(traffic->rooms[i].remaining);
    }
    free(traffic->members);
    free(traffic->rooms);
    buf_release(&traffic->text);
    buf_release(&traffic->arguments);
}

/* The first member that has not got all that was sent in its room, or NULL. */
static const struct client *find_behind(const struct traffic *traffic)
{
    for (uint32_t i = 0; i < traffic->options->members && traffic->options->has_echo; i++) {
        const struct client *client = &traffic->swarm.clients[i];
        const struct room *room = &traffic->rooms[client->room];
        if (traffic->members[i].received != room->sent) {
            return client;
        }
    }
    return NULL;
}

/* Nothing is sent any more; waits for what is in flight. */
static bool drain(struct traffic *traffic)
{
    traffic->is_sending = false;
    uint64_t deadline_us = clock_monotonic_us() + DRAIN_TIMEOUT_US;
    const struct client *behind;
    while ((behind = find_behind(traffic)) != NULL || traffic->done_count < traffic->sent_count) {
        if (!swarm_turn(&traffic->swarm, 100)) {
            return false;
        }
        if (clock_monotonic_us() > deadline_us) {
            buf_append_format(&traffic->swarm.error,
                              "%llu of %llu messages were not done %u s after the end",
                              (unsigned long long)(traffic->sent_count - traffic->done_count),
                              (unsigned long long)traffic->sent_count, DRAIN_TIMEOUT_US / 1000000);
            if (behind != NULL) {
                buf_append_format(&traffic->swarm.error, "; member %u of room %u awaited id %llu",
                                  behind->index, behind->room,
                                  (unsigned long long)traffic->members[behind->index].next_id);
            }
            return false;
        }
    }
    return true;
}

/* So many seconds, from the middle of it. */
static bool measure_time(struct traffic *traffic, struct meter_reading *begin,
                         struct meter_reading *end)
{
    const struct load_options *options = traffic->options;
    struct swarm *swarm = &traffic->swarm;
    start_sending(traffic);
    if (!swarm_run_until(swarm, clock_monotonic_us() + options->warmup_ms * UINT64_C(1000)) ||
        !meter_read(&options->meter, begin, &swarm->error)) {
        return false;
    }
    traffic->is_measuring = true;
    if (!swarm_run_until(swarm, begin->at_us + options->duration_ms * UINT64_C(1000)) ||
        !meter_read(&options->meter, end, &swarm->error)) {
        return false;
    }
    traffic->is_measuring = false;
    return drain(traffic);
}

/* So many messages, from the first to the last. */
static bool measure_messages(struct traffic *traffic, struct meter_reading *begin,
                             struct meter_reading *end)
{
    struct swarm *swarm = &traffic->swarm;
    if (!meter_read(&traffic->options->meter, begin, &swarm->error)) {
        return false;
    }
    traffic->is_measuring = true;
    start_sending(traffic);
    while (traffic->done_count < traffic->options->messages) {
        if (!swarm_turn(swarm, 1000)) {
            return false;
        }
    }
    return drain(traffic) && meter_read(&traffic->options->meter, end, &swarm->error);
}

static bool measure(struct traffic *traffic, struct meter_reading *begin, struct meter_reading *end)
{
    return swarm_connect(&traffic->swarm) &&
           (traffic->options->messages > 0 ? measure_messages(traffic, begin, end)
                                           : measure_time(traffic, begin, end));
}

static void write_result(const struct traffic *traffic, const struct meter_reading *begin,
                         const struct meter_reading *end, struct buf *out)
{
    const struct load_options *options = traffic->options;
    double wall_s = meter_wall_s(begin, end), server_s = meter_server_s(begin, end);
    double deliveries = (double)traffic->deliveries, completions = (double)traffic->completions;
    buf_append_format(out,
                      "{\"mode\":\"%s\",\"members\":%u,\"senders\":%u,\"window\":%u,\"rooms\":%u,"
                      "\"body_bytes\":%u,\"echo\":%s,",
                      options->mode == LOAD_ACK ? "ack" : "fanout", options->members,
                      options->senders, options->window, options->rooms, options->body_bytes,
                      options->has_echo ? "true" : "false");
    meter_write(&options->meter, begin, end, out);
    buf_append_format(out,
                      ",\"messages\":%.0f,\"messages_per_s\":%.1f"
                      ",\"deliveries\":%.0f,\"deliveries_per_s\":%.1f",
                      completions, completions / wall_s, deliveries, deliveries / wall_s);
    if (server_s > 0) {
        buf_append_format(
            out, ",\"messages_per_server_cpu_s\":%.1f,\"deliveries_per_server_cpu_s\":%.1f",
            completions / server_s, deliveries / server_s);
    }
    if (traffic->deliveries > 0) {
        buf_append_format(out, ",\"packet_bytes\":%.1f,\"load_cpu_us_per_delivery\":%.3f",
                          (double)traffic->delivered_bytes / deliveries,
                          meter_own_s(begin, end) * 1e6 / deliveries);
    }
    buf_append_char(out, ',');
    latency_write(out, "latency", &traffic->latency);
    buf_append_char(out, '}');
}

bool traffic_run(const struct load_options *options, struct buf *out, struct buf *ret_error)
{
    static struct traffic traffic; /* its histogram is too large for a stack */
    struct meter_reading begin, end;
    traffic = (struct traffic){.options = options};
    prepare(&traffic);
    struct client_handlers handlers = {.on_event = on_event, .on_ack = on_ack, .user = &traffic};
    bool is_fine = swarm_init(&traffic.swarm, options, handlers) && measure(&traffic, &begin, &end);
    if (is_fine) {
        write_result(&traffic, &begin, &end, out);
    } else {
        buf_append_bytes(ret_error, buf_bytes(&traffic.swarm.error));
    }
    swarm_release(&traffic.swarm);
    release(&traffic);
    return is_fine;
}
