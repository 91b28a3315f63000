#include "fake_world.h"

#include "hub/limits.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLUSHES_PER_TURN_MAX = 10000, START_MS = 1000000, STEPS_MAX = 20000000 };

enum mail_type {
    MAIL_APPEND,
    MAIL_QUERY,
    MAIL_APPEND_REPLY,
    MAIL_QUERY_REPLY,
    MAIL_ROOM_EVENT,
    MAIL_PRESENCE,
    MAIL_FORWARD,
    MAIL_FORWARD_LOST
};

enum { LOST_FOUND_OUT_MS = 1000 };

/* A message on the bus. */
struct fake_mail {
    struct fake_mail *next;
    enum mail_type type;
    uint64_t at_ms;
    struct fake_gateway *gateway; /* from, or to */
    uint64_t life;
    uint64_t request;
    bool is_nobody;
    struct buf payload;
};

void fake_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "broken promise: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* xorshift64* */
uint64_t fake_random(struct fake_world *world, uint64_t below)
{
    world->random ^= world->random >> 12;
    world->random ^= world->random << 25;
    world->random ^= world->random >> 27;
    return (world->random * 0x2545F4914F6CDD1Du >> 11) % below;
}

bool fake_chance(struct fake_world *world, unsigned percent)
{
    return percent > 0 && fake_random(world, 100) < percent;
}

/* --- the bus --- */

static struct fake_mail *post(struct fake_gateway *gateway, enum mail_type type, uint64_t request,
                              bool is_nobody, struct bytes payload)
{
    struct fake_world *world = gateway->world;
    const struct fake_faults *faults = &world->faults;
    struct fake_mail *mail = mem_alloc_zeroed(sizeof(*mail));
    mail->type = type;
    mail->gateway = gateway;
    mail->life = gateway->life;
    mail->request = request;
    mail->is_nobody = is_nobody;
    mail->at_ms = world->now_ms + faults->delay_min_ms +
                  fake_random(world, faults->delay_max_ms - faults->delay_min_ms + 1);
    if (type == MAIL_FORWARD) { /* from one gateway to another, as everything on NATS, in order */
        mail->at_ms = world->last_forward_ms = MAX_OF(mail->at_ms, world->last_forward_ms);
    } else if (type == MAIL_PRESENCE) {
        mail->at_ms = world->last_presence_ms = MAX_OF(mail->at_ms, world->last_presence_ms);
    } else if (type == MAIL_FORWARD_LOST) {
        mail->at_ms += LOST_FOUND_OUT_MS;
    } else if (type == MAIL_APPEND && fake_chance(world, faults->request_late)) {
        mail->at_ms += fake_random(world, faults->late_max_ms);
    }
    buf_append_bytes(&mail->payload, payload);
    struct fake_mail **link = &world->mail;
    while (*link != NULL && (*link)->at_ms <= mail->at_ms) {
        link = &(*link)->next;
    }
    mail->next = *link;
    *link = mail;
    return mail;
}

static void mail_free(struct fake_mail *mail)
{
    buf_release(&mail->payload);
    free(mail);
}

static bool has_room(const struct buf *rooms, struct bytes room)
{
    struct buf key = BUF_INIT;
    buf_append_format(&key, "|%.*s|", BYTES_FMT(room));
    bool is_there = rooms->len > 0 && memmem(rooms->data, rooms->len, key.data, key.len) != NULL;
    buf_release(&key);
    return is_there;
}

static void add_room(struct buf *rooms, struct bytes room)
{
    ASSERT(!has_room(rooms, room));
    buf_append_format(rooms, "|%.*s|", BYTES_FMT(room));
}

static void remove_room(struct buf *rooms, struct bytes room)
{
    struct buf key = BUF_INIT;
    buf_append_format(&key, "|%.*s|", BYTES_FMT(room));
    char *at = memmem(rooms->data, rooms->len, key.data, key.len);
    ASSERT(at != NULL);
    memmove(at, at + key.len, rooms->len - (size_t)(at - rooms->data) - key.len);
    rooms->len -= key.len;
    buf_release(&key);
}

void fake_world_publish(struct fake_world *world, const struct contract_room_event *event)
{
    struct buf payload = BUF_INIT;
    contract_encode_room_event(&payload, event);
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        struct fake_gateway *gateway = &world->gateways[i];
        if (gateway->hub == NULL || gateway->is_cut_off ||
            !has_room(&gateway->subscriptions, event->room)) {
            continue;
        }
        if (!world->loses_broadcasts && !fake_chance(world, world->faults.broadcast_lost)) {
            post(gateway, MAIL_ROOM_EVENT, 0, false, buf_bytes(&payload));
        }
        if (fake_chance(world, world->faults.broadcast_twice)) {
            post(gateway, MAIL_ROOM_EVENT, 0, false, buf_bytes(&payload));
        }
    }
    buf_release(&payload);
}

static void on_store_publish(void *user, const struct contract_room_event *event)
{
    fake_world_publish(user, event);
}

static void answer(const struct fake_ask *ask, struct bytes payload, bool is_nobody)
{
    struct fake_world *world = ask->gateway->world;
    if (!fake_chance(world, world->faults.reply_lost)) {
        enum mail_type type = ask->is_append ? MAIL_APPEND_REPLY : MAIL_QUERY_REPLY;
        /* To the one who asked, not to whoever has its place, and its numbers, by now. */
        post(ask->gateway, type, ask->request, is_nobody, payload)->life = ask->life;
    }
}

static struct fake_ask ask_of(const struct fake_mail *mail)
{
    return (struct fake_ask){.gateway = mail->gateway,
                             .life = mail->life,
                             .request = mail->request,
                             .is_append = mail->type == MAIL_APPEND};
}

static void reply(const struct fake_mail *mail, struct bytes payload, bool is_nobody)
{
    struct fake_ask ask = ask_of(mail);
    answer(&ask, payload, is_nobody);
}

void fake_world_answer(struct fake_world *world, uint64_t token, struct bytes payload)
{
    ASSERT(token >= 1 && token <= world->ask_count);
    answer(&world->asks[token - 1], payload, false);
}

static void service_receives(struct fake_world *world, const struct fake_mail *mail)
{
    world->asks = mem_resize(world->asks, (world->ask_count + 1) * sizeof(world->asks[0]));
    world->asks[world->ask_count++] = ask_of(mail);
    if (!world->service->request(world->service->user, mail->type == MAIL_APPEND, world->ask_count,
                                 buf_bytes(&mail->payload))) {
        reply(mail, (struct bytes){0}, true);
    }
}

static void reply_status(struct fake_mail *mail, enum contract_status status)
{
    struct buf payload = BUF_INIT;
    if (mail->type == MAIL_APPEND) {
        contract_encode_append_reply(&payload, &(struct contract_append_reply){
                                                   .status = status, .reason = BYTES("as it is")});
    } else {
        contract_encode_query_reply(&payload, &(struct contract_query_reply){
                                                  .status = status, .reason = BYTES("as it is")});
    }
    reply(mail, buf_bytes(&payload), false);
    buf_release(&payload);
}

static void store_appends(struct fake_world *world, struct fake_mail *mail, bool is_silent)
{
    struct contract_append *append = contract_decode_append(buf_bytes(&mail->payload));
    ASSERT(append != NULL);
    struct buf payload = BUF_INIT;
    world->store.publish = is_silent ? NULL : on_store_publish;
    fake_store_append(&world->store, append, world->now_ms, &payload);
    if (!is_silent) {
        reply(mail, buf_bytes(&payload), false);
    }
    buf_release(&payload);
    contract_free(append);
}

static void store_answers(struct fake_world *world, struct fake_mail *mail)
{
    struct contract_query *query = contract_decode_query(buf_bytes(&mail->payload));
    ASSERT(query != NULL);
    struct buf payload = BUF_INIT;
    fake_store_query(&world->store, query, &payload);
    reply(mail, buf_bytes(&payload), false);
    buf_release(&payload);
    contract_free(query);
}

static void store_receives(struct fake_world *world, struct fake_mail *mail)
{
    bool is_append = mail->type == MAIL_APPEND;
    if (world->service != NULL) {
        service_receives(world, mail);
        return;
    }
    switch (is_append ? world->append_mode : world->query_mode) {
    case FAKE_STORE_UP:
        if (is_append) {
            store_appends(world, mail, fake_chance(world, world->faults.commit_unpublished));
        } else {
            store_answers(world, mail);
        }
        break;
    case FAKE_STORE_NOBODY: reply(mail, (struct bytes){0}, true); break;
    case FAKE_STORE_SILENT: break;
    case FAKE_STORE_UNAVAILABLE: reply_status(mail, CONTRACT_UNAVAILABLE); break;
    case FAKE_STORE_OVERLOADED: reply_status(mail, CONTRACT_OVERLOADED); break;
    case FAKE_STORE_INVALID: reply_status(mail, CONTRACT_INVALID); break;
    case FAKE_STORE_DIES:
        if (is_append) {
            store_appends(world, mail, true);
        }
        break;
    }
}

static void gateway_receives(struct fake_world *world, struct fake_mail *mail)
{
    struct fake_gateway *gateway = mail->gateway;
    struct bytes payload = buf_bytes(&mail->payload);
    void *decoded = NULL;
    if (mail->type == MAIL_ROOM_EVENT) {
        decoded = contract_decode_room_event(payload);
        ASSERT(decoded != NULL);
        hub_on_room_event(gateway->hub, decoded, world->now_ms);
    } else if (mail->type == MAIL_PRESENCE) {
        decoded = contract_decode_presence(payload);
        ASSERT(decoded != NULL);
        hub_on_presence(gateway->hub, decoded, world->now_ms);
        contract_free(decoded);
    } else if (mail->type == MAIL_APPEND_REPLY) {
        decoded = mail->is_nobody ? NULL : contract_decode_append_reply(payload);
        hub_on_append_reply(gateway->hub, mail->request, decoded, world->now_ms);
        contract_free(decoded);
    } else {
        decoded = mail->is_nobody ? NULL : contract_decode_query_reply(payload);
        hub_on_query_reply(gateway->hub, mail->request, decoded, world->now_ms);
        contract_free(decoded);
    }
}

static void trace_mail(const struct fake_world *world, const struct fake_mail *mail)
{
    static const char *const NAMES[] = {
        [MAIL_APPEND] = "append",         [MAIL_QUERY] = "query",
        [MAIL_APPEND_REPLY] = "appended", [MAIL_QUERY_REPLY] = "answer",
        [MAIL_ROOM_EVENT] = "event",      [MAIL_PRESENCE] = "presence",
        [MAIL_FORWARD] = "forward",       [MAIL_FORWARD_LOST] = "lost",
    };
    fprintf(world->trace, "%llu %s %u.%llu %llu ", (unsigned long long)world->now_ms,
            NAMES[mail->type], mail->gateway->index, (unsigned long long)mail->life,
            (unsigned long long)mail->request);
    for (size_t i = 0; i < mail->payload.len; i++) {
        fprintf(world->trace, "%02x", (unsigned char)mail->payload.data[i]);
    }
    fputc('\n', world->trace);
}

static void deliver(struct fake_world *world, struct fake_mail *mail)
{
    struct fake_gateway *gateway = mail->gateway;
    if (world->trace != NULL) {
        trace_mail(world, mail);
    }
    if (mail->type == MAIL_APPEND || mail->type == MAIL_QUERY) {
        store_receives(world, mail); /* also what a gateway sent that has died since */
    } else if (gateway->hub == NULL || gateway->life != mail->life) {
        return;
    } else if (mail->type == MAIL_FORWARD || mail->type == MAIL_FORWARD_LOST) {
        bool is_lost = mail->type == MAIL_FORWARD_LOST || gateway->is_cut_off;
        fake_client_on_forward(world, mail->request, buf_bytes(&mail->payload), is_lost);
    } else if (!gateway->is_cut_off) {
        gateway_receives(world, mail);
    }
}

/* --- what hubs want done --- */

static void world_subscribe(void *user, struct bytes room)
{
    struct fake_gateway *gateway = user;
    gateway->subscribes++;
    add_room(&gateway->subscriptions, room);
}

static void world_unsubscribe(void *user, struct bytes room)
{
    struct fake_gateway *gateway = user;
    ASSERT(!has_room(&gateway->watched, room));
    remove_room(&gateway->subscriptions, room);
}

static void world_watch(void *user, struct bytes room, bool listens)
{
    struct fake_gateway *gateway = user;
    ASSERT(has_room(&gateway->subscriptions, room));
    if (listens) {
        add_room(&gateway->watched, room);
    } else {
        remove_room(&gateway->watched, room);
    }
}

static void world_announce(void *user, struct bytes room, struct bytes payload)
{
    struct fake_gateway *from = user;
    struct fake_world *world = from->world;
    from->announcements++;
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX && !from->is_cut_off; i++) {
        struct fake_gateway *gateway = &world->gateways[i];
        bool hears = gateway->hub != NULL && !gateway->is_cut_off &&
                     has_room(&gateway->watched, room) && !world->loses_presence &&
                     !fake_chance(world, world->faults.broadcast_lost);
        if (hears) {
            post(gateway, MAIL_PRESENCE, 0, false, payload);
        }
    }
}

static void world_append(void *user, unsigned shard, uint64_t request, struct bytes payload)
{
    struct fake_gateway *gateway = user;
    struct contract_append *append = contract_decode_append(payload);
    ASSERT(append != NULL && shard == contract_shard(append->room));
    gateway->appends++;
    gateway->last_append_was_repeat = append->repeat;
    contract_free(append);
    if (!gateway->is_cut_off && !fake_chance(gateway->world, gateway->world->faults.request_lost)) {
        post(gateway, MAIL_APPEND, request, false, payload);
    }
}

static void world_query(void *user, unsigned shard, uint64_t request, struct bytes payload)
{
    struct fake_gateway *gateway = user;
    (void)shard;
    gateway->queries++;
    if (!gateway->is_cut_off && !fake_chance(gateway->world, gateway->world->faults.request_lost)) {
        post(gateway, MAIL_QUERY, request, false, payload);
    }
}

static void world_publish(void *user, struct bytes room, struct bytes payload)
{
    struct fake_gateway *gateway = user;
    struct contract_room_event *event = contract_decode_room_event(payload);
    ASSERT(event != NULL && bytes_equal(event->room, room));
    gateway->questions += event->type == CONTRACT_PRESENCE_WANTED;
    if (!gateway->is_cut_off) {
        fake_world_publish(gateway->world, event);
    }
    contract_free(event);
}

static void world_flush(void *user, struct client *client)
{
    (void)user;
    fake_client_flush(client_transport(client));
}

static size_t world_write(void *user, struct client *client, const char *data, size_t len)
{
    (void)user;
    return fake_client_write(client_transport(client), data, len);
}

static uint32_t world_source(void *user, const void *transport)
{
    (void)user;
    return ((const struct fake_client *)transport)->source;
}

static void world_forward(void *user, const struct contract_peer_key *to, struct bytes payload,
                          bool is_last)
{
    (void)is_last;
    struct fake_gateway *from = user;
    struct fake_world *world = from->world;
    struct fake_gateway *gateway = &world->gateways[to->gateway[2] - '0'];
    bool is_lost = from->is_cut_off || fake_chance(world, world->faults.reply_lost);
    post(gateway, is_lost ? MAIL_FORWARD_LOST : MAIL_FORWARD, to->number, false, payload);
}

static void world_tell(void *user, const struct hub_event *event)
{
    (void)user, (void)event;
}

uint64_t fake_joins(const struct fake_gateway *gateway, enum hub_join join, enum hub_gap gap)
{
    const uint64_t *by_source = hub_stats(gateway->hub)->by.joins[join][gap];
    return by_source[HUB_SOURCE_MEMORY] + by_source[HUB_SOURCE_STORE];
}

uint64_t fake_gaps(const struct fake_gateway *gateway)
{
    uint64_t sum = 0;
    for (int gap = 0; gap < HUB_GAPS; gap++) {
        sum += hub_stats(gateway->hub)->by.gaps_told[gap];
    }
    return sum;
}

static uint64_t world_wall_ms(void *user)
{
    return ((struct fake_gateway *)user)->world->now_ms;
}

/* --- life --- */

void fake_world_init(struct fake_world *world)
{
    *world = (struct fake_world){
        .now_ms = START_MS,
        .random = 88172645463325252u,
        .faults = {.delay_min_ms = 1, .delay_max_ms = 1},
    };
    fake_store_init(&world->store);
    world->store.user = world;
    const char *wrong = pid_keys_parse(BYTES("a:000102030405060708090a0b0c0d0e0f"), &world->keys);
    ASSERT(wrong == NULL);
    fake_gateway_start(world, 0, NULL);
}

void fake_world_release(struct fake_world *world)
{
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        if (world->gateways[i].hub != NULL) {
            fake_gateway_kill(&world->gateways[i]);
        }
    }
    for (size_t i = 0; i < world->client_count; i++) {
        fake_client_free(world->clients[i]);
    }
    while (world->mail != NULL) {
        struct fake_mail *mail = world->mail;
        world->mail = mail->next;
        mail_free(mail);
    }
    fake_store_release(&world->store);
    free(world->asks);
}

struct hub_settings fake_settings(const struct fake_world *world)
{
    return (struct hub_settings){
        .keys = world->keys,
        .ping_interval_ms = 1000000000,
        .ping_timeout_ms = 20000,
        .connect_timeout_ms = 1000000000,
        .payload_bytes_max = 1000000,
        .content_bytes_max = 16384,
        .recovery_max = 10000,
        .send_deadline_ms = 8000,
        .room_grace_ms = 30000,
        .presence_refresh_ms = 10000,
        .rooms_per_client_max = 100,
        .rooms_max = 1000,
        .joins_per_turn = JOINS_PER_TURN,
        .catch_ups_per_turn = CATCH_UPS_PER_TURN,
        .deliveries_per_turn = DELIVERIES_PER_TURN,
        .histories_per_turn = HISTORIES_PER_TURN,
        .bytes_per_turn = BYTES_PER_TURN,
        .presence_visits_per_turn = PRESENCE_VISITS_PER_TURN,
        .presence_rooms_per_turn = PRESENCE_ROOMS_PER_TURN,
        .room_log_bytes_max = 4 << 20,
        .log_bytes_max = 256 << 20,
        .page_answer_bytes_max = PAGE_ANSWER_BYTES_MAX,
    };
}

struct fake_gateway *fake_gateway_start(struct fake_world *world, unsigned index,
                                        const struct hub_settings *settings)
{
    struct fake_gateway *gateway = &world->gateways[index];
    ASSERT(index < FAKE_GATEWAYS_MAX && gateway->hub == NULL);
    *gateway = (struct fake_gateway){.world = world, .index = index, .life = gateway->life + 1};
    struct hub_settings mine = settings != NULL ? *settings : fake_settings(world);
    char id[HUB_GATEWAY_ID_BYTES + 1];
    snprintf(id, sizeof(id), "gw%u-%04u", index, (unsigned)(gateway->life % 10000));
    memcpy(mine.gateway_id, id, HUB_GATEWAY_ID_BYTES);
    struct hub_world functions = {
        .user = gateway,
        .subscribe = world_subscribe,
        .unsubscribe = world_unsubscribe,
        .watch = world_watch,
        .announce = world_announce,
        .append = world_append,
        .query = world_query,
        .publish = world_publish,
        .flush = world_flush,
        .write = world_write,
        .source = world_source,
        .forward = world_forward,
        .tell = world_tell,
        .admit = world->admit,
        .wall_ms = world_wall_ms,
    };
    timers_init(&gateway->timers);
    gateway->hub = hub_new(&mine, &functions, &gateway->timers);
    return gateway;
}

void fake_gateway_kill(struct fake_gateway *gateway)
{
    gateway->is_cut_off = true;
    fake_gateway_stop(gateway);
}

void fake_gateway_stop(struct fake_gateway *gateway)
{
    struct fake_world *world = gateway->world;
    for (size_t i = 0; i < world->client_count; i++) {
        struct fake_client *client = world->clients[i];
        if (client->gateway == gateway) {
            fake_client_drop(client);
        } else if (client->awaits_from == gateway) {
            fake_client_on_forward(world, client->move, (struct bytes){0}, true);
        }
    }
    hub_free(gateway->hub);
    if (timers_next_due(&gateway->timers) != TIMER_NEVER) {
        fake_failed("a timer outlives its hub");
    }
    gateway->hub = NULL;
    timers_release(&gateway->timers);
    buf_release(&gateway->subscriptions);
    buf_release(&gateway->watched);
}

/* --- time --- */

void fake_world_turn(struct fake_world *world)
{
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        struct hub *hub = world->gateways[i].hub;
        unsigned flushes = 0;
        bool is_due =
            hub != NULL; /* as in the gateway's loop: once, and again where something is left */
        while (is_due) {
            if (++flushes > FLUSHES_PER_TURN_MAX) {
                fake_failed("the hub never comes to rest");
            }
            world->gateways[i].turns += hub_has_work(hub);
            hub_flush(hub, world->now_ms);
            is_due = hub_has_work(hub) && !world->has_slow_turns;
        }
    }
    for (size_t i = 0; i < world->client_count; i++) {
        fake_client_reap(world->clients[i]);
    }
}

static uint64_t next_moment(const struct fake_world *world)
{
    uint64_t next = world->mail != NULL ? world->mail->at_ms : UINT64_MAX;
    if (world->service != NULL) {
        next = MIN_OF(next, world->service->next_ms(world->service->user));
    }
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        if (world->gateways[i].hub != NULL) {
            next = MIN_OF(next, timers_next_due(&world->gateways[i].timers));
            next = hub_has_work(world->gateways[i].hub) ? MIN_OF(next, world->now_ms + 1) : next;
        }
    }
    for (size_t i = 0; i < world->client_count; i++) {
        uint64_t drains_at_ms = world->clients[i]->drains_at_ms;
        next = drains_at_ms != 0 ? MIN_OF(next, drains_at_ms) : next;
    }
    return next;
}

static void happen(struct fake_world *world)
{
    while (world->mail != NULL && world->mail->at_ms <= world->now_ms) {
        struct fake_mail *mail = world->mail;
        world->mail = mail->next;
        deliver(world, mail);
        mail_free(mail);
    }
    if (world->service != NULL) {
        world->service->run(world->service->user);
    }
    for (size_t i = 0; i < FAKE_GATEWAYS_MAX; i++) {
        if (world->gateways[i].hub != NULL) {
            timers_run(&world->gateways[i].timers, world->now_ms);
        }
    }
    for (size_t i = 0; i < world->client_count; i++) {
        struct fake_client *client = world->clients[i];
        if (client->drains_at_ms != 0 && client->drains_at_ms <= world->now_ms) {
            fake_client_drain(client);
        }
    }
    fake_world_turn(world);
    if (world->on_moment != NULL) {
        world->on_moment(world->user);
    }
}

void fake_world_run(struct fake_world *world, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;
    if (!world->has_slow_turns) {
        fake_world_turn(world);
    }
    unsigned steps = 0;
    for (uint64_t next; (next = next_moment(world)) <= end_ms;) {
        if (++steps > STEPS_MAX) {
            fake_failed("time stands still at %llu", (unsigned long long)world->now_ms);
        }
        world->now_ms = MAX_OF(world->now_ms, next);
        happen(world);
    }
    world->now_ms = end_ms;
}
