/*
 * log_gateways.c - what gateways say to stores, what travels between them, and people who say it again.
 */
#include "log_watch.h"

#include <stdlib.h>

enum {
    /* As the hub's REQUEST_TIMEOUT_MS and REQUEST_BACKOFF_MIN_MS. */
    AGAIN_AFTER_MS = 1500,
    BACKOFF_MS = 50,
    READ_AFTER_MS = 1000,
    PATIENCE_MS = 4000,
};

struct log_mail {
    struct log_mail *next;
    uint64_t at_ms;
    uint64_t token;
    bool is_request;
    bool is_nobody; /* an answer of NATS's */
    struct buf payload;
};

static struct log_question *question_of(struct log_world *world, uint64_t token)
{
    ASSERT(token >= 1 && token <= world->question_count);
    return &world->questions[token - 1];
}

/* --- mail --- */

static void trace(const struct log_world *world, const char *what, uint64_t number,
                  struct bytes payload)
{
    if (world->trace == NULL) {
        return;
    }
    fprintf(world->trace, "%llu %s %llu ", (unsigned long long)world->stores.now_ms, what,
            (unsigned long long)number);
    for (size_t i = 0; i < payload.len; i++) {
        fprintf(world->trace, "%02x", (unsigned char)payload.data[i]);
    }
    fputc('\n', world->trace);
}

static void post(struct log_world *world, uint64_t token, bool is_request, bool is_nobody,
                 struct bytes payload)
{
    if (!world->is_healing && log_chance(world, world->loss_percent)) {
        return;
    }
    struct log_mail *mail = mem_alloc_zeroed(sizeof(*mail));
    mail->token = token;
    mail->is_request = is_request;
    mail->is_nobody = is_nobody;
    mail->at_ms = world->stores.now_ms + 1;
    mail->at_ms += world->is_healing ? 0 : log_draw(world, world->delay_max_ms + 1);
    buf_append_bytes(&mail->payload, payload);
    struct log_mail **link = &world->mail;
    while (*link != NULL && (*link)->at_ms <= mail->at_ms) {
        link = &(*link)->next;
    }
    mail->next = *link;
    *link = mail;
}

static void mail_free(struct log_mail *mail)
{
    buf_release(&mail->payload);
    free(mail);
}

/* --- questions --- */

/* Asks a store; the question is @world's. */
static void ask(struct log_world *world, struct log_question question, struct bytes payload)
{
    world->questions =
        mem_resize(world->questions, (world->question_count + 1) * sizeof(world->questions[0]));
    question.token = ++world->question_count;
    question.head = world->heads[question.room];
    question.promotions = world->promotions;
    question.life = world->gateways[question.gateway].life;
    world->questions[question.token - 1] = question;
    post(world, question.token, true, false, payload);
}

static void send_batch(struct log_world *world, size_t gateway, unsigned room)
{
    struct log_batch *batch = &world->gateways[gateway].rooms[room].batch;
    struct contract_new_message messages[LOG_BATCH_MAX];
    struct log_question question = {.gateway = gateway,
                                    .room = room,
                                    .is_append = true,
                                    .batch = batch->number,
                                    .count = batch->count};
    for (size_t i = 0; i < batch->count; i++) {
        messages[i] = said_message(&world->said[batch->messages[i]]);
        question.messages[i] = batch->messages[i];
    }
    struct contract_append append = {
        .room = log_room_name(room),
        .repeat = batch->is_repeat,
        .gateway = BYTES("gateway"),
        .message_count = batch->count,
        .messages = messages,
    };
    struct buf payload = BUF_INIT;
    contract_encode_append(&payload, &append);
    ask(world, question, buf_bytes(&payload));
    buf_release(&payload);
    batch->is_repeat = true;
    batch->again_at_ms = world->stores.now_ms + AGAIN_AFTER_MS;
}

static void begin_batch(struct log_world *world, size_t gateway, unsigned room)
{
    struct log_gateway *mine = &world->gateways[gateway];
    size_t *waiting = mine->rooms[room].waiting;
    struct log_batch *batch = &mine->rooms[room].batch;
    *batch = (struct log_batch){.number = ++world->last_batch};
    batch->count = MIN_OF(mine->rooms[room].waiting_count, (size_t)LOG_BATCH_MAX);
    for (size_t i = 0; i < batch->count; i++) {
        struct said *said = &world->said[waiting[i]];
        batch->messages[i] = waiting[i];
        said->batches++;
        said->gateway = gateway;
        said->life = mine->life;
        said->place = ++world->last_place;
    }
    mine->rooms[room].waiting_count -= batch->count;
    memmove(waiting, waiting + batch->count, mine->rooms[room].waiting_count * sizeof(waiting[0]));
    send_batch(world, gateway, room);
}

static void ask_for_log(struct log_world *world, size_t gateway, unsigned room, uint64_t from)
{
    struct bytes name = log_room_name(room);
    struct contract_query query = {.type = CONTRACT_HEADS,
                                   .heads = {.room_count = 1, .rooms = &name}};
    if (from != 0) {
        query = (struct contract_query){
            .type = CONTRACT_RANGE, .range = {.room = name, .from = from, .limit = CONTRACT_PAGE}};
    }
    struct buf payload = BUF_INIT;
    contract_encode_query(&payload, &query);
    ask(world, (struct log_question){.gateway = gateway, .room = room, .from = from},
        buf_bytes(&payload));
    buf_release(&payload);
}

/* --- answers --- */

static void on_append_reply(struct log_world *world, const struct log_question *question,
                            const struct contract_append_reply *reply)
{
    struct log_batch *batch = &world->gateways[question->gateway].rooms[question->room].batch;
    if (batch->number != question->batch) {
        return; /* it was answered before */
    }
    if (reply == NULL || reply->status != CONTRACT_OK) {
        batch->again_at_ms = world->stores.now_ms + BACKOFF_MS;
        return;
    }
    for (size_t i = 0; i < question->count; i++) {
        world->said[question->messages[i]].is_settled = true;
    }
    batch->number = 0;
}

static void on_query_reply(struct log_world *world, const struct log_question *question,
                           const struct contract_query_reply *reply)
{
    uint64_t *has = &world->gateways[question->gateway].rooms[question->room].has;
    if (reply == NULL || reply->status != CONTRACT_OK ||
        question->promotions != world->promotions) {
        return;
    }
    if (reply->type == CONTRACT_HEADS) {
        if (reply->heads.heads[0].head > *has) {
            ask_for_log(world, question->gateway, question->room, *has + 1);
        }
    } else if (reply->range.message_count > 0 && reply->range.first_id <= *has + 1) {
        *has = MAX_OF(*has, reply->range.first_id + reply->range.message_count - 1);
    }
}

static void deliver_answer(struct log_world *world, const struct log_mail *mail)
{
    struct log_question question = *question_of(world, mail->token);
    const struct log_gateway *gateway = &world->gateways[question.gateway];
    if (!gateway->is_running || gateway->life != question.life) {
        return;
    }
    void *decoded = NULL;
    if (question.is_append) {
        decoded = mail->is_nobody ? NULL : contract_decode_append_reply(buf_bytes(&mail->payload));
        on_append_reply(world, &question, decoded);
    } else {
        decoded = mail->is_nobody ? NULL : contract_decode_query_reply(buf_bytes(&mail->payload));
        on_query_reply(world, &question, decoded);
    }
    contract_free(decoded);
}

static void deliver(struct log_world *world, const struct log_mail *mail)
{
    trace(world, mail->is_request ? "asks" : "hears", mail->token, buf_bytes(&mail->payload));
    if (!mail->is_request) {
        deliver_answer(world, mail);
        return;
    }
    const struct log_question *question = question_of(world, mail->token);
    enum store_subject subject = question->is_append ? STORE_APPEND : STORE_READ;
    if (!stores_request(&world->stores, subject, contract_shard(log_room_name(question->room)),
                        mail->token, buf_bytes(&mail->payload))) {
        post(world, mail->token, false, true, (struct bytes){0});
    }
}

void log_on_reply(void *user, uint64_t token, struct bytes payload)
{
    struct log_world *world = user;
    const struct log_question *question = question_of(world, token);
    trace(world, "answer", token, payload);
    if (question->is_append) {
        struct contract_append_reply *reply = contract_decode_append_reply(payload);
        ASSERT(reply != NULL);
        watch_append_reply(world, question, reply);
        contract_free(reply);
    } else {
        struct contract_query_reply *reply = contract_decode_query_reply(payload);
        ASSERT(reply != NULL);
        watch_query_reply(world, question, reply);
        contract_free(reply);
    }
    post(world, token, false, false, payload);
}

void log_on_publish(void *user, const struct contract_room_event *event)
{
    struct log_world *world = user;
    trace(world, "publish", event->batch.first_id, event->room);
    watch_broadcast(world, event);
    for (size_t i = 0; i < world->gateway_count; i++) {
        for (unsigned room = 0; room < world->room_count; room++) {
            uint64_t *has = &world->gateways[i].rooms[room].has;
            bool is_lost = !world->is_healing && log_chance(world, world->loss_percent);
            if (!is_lost && bytes_equal(log_room_name(room), event->room) &&
                event->batch.first_id <= *has + 1 && event->batch.epoch > world->past_epoch) {
                *has = MAX_OF(*has, event->batch.first_id + event->batch.message_count - 1);
            }
        }
    }
}

/* --- gateways and people --- */

void log_gateway_start(struct log_world *world, size_t number)
{
    struct log_gateway *gateway = &world->gateways[number];
    ASSERT(!gateway->is_running);
    gateway->is_running = true;
    gateway->life++;
}

void log_gateway_kill(struct log_world *world, size_t number)
{
    struct log_gateway *gateway = &world->gateways[number];
    for (unsigned room = 0; room < LOG_ROOMS_MAX; room++) {
        free(gateway->rooms[room].waiting);
    }
    *gateway = (struct log_gateway){.life = gateway->life};
}

void log_say(struct log_world *world, size_t said)
{
    size_t number = log_draw(world, world->gateway_count);
    struct log_gateway *gateway = &world->gateways[number];
    unsigned room = world->said[said].room;
    world->said[said].said_at_ms = world->stores.now_ms;
    if (gateway->is_running) {
        size_t *count = &gateway->rooms[room].waiting_count;
        gateway->rooms[room].waiting =
            mem_resize(gateway->rooms[room].waiting, (*count + 1) * sizeof(size_t));
        gateway->rooms[room].waiting[(*count)++] = said;
    }
}

static void say_again(struct log_world *world)
{
    for (size_t i = 0; i < world->said_count; i++) {
        if (!world->said[i].is_settled &&
            world->stores.now_ms >= world->said[i].said_at_ms + PATIENCE_MS) {
            log_say(world, i);
        }
    }
}

static void run_gateway(struct log_world *world, size_t number)
{
    uint64_t now_ms = world->stores.now_ms;
    for (unsigned room = 0; room < world->room_count; room++) {
        struct log_gateway *gateway = &world->gateways[number];
        struct log_batch *batch = &gateway->rooms[room].batch;
        if (batch->number != 0 && now_ms >= batch->again_at_ms) {
            send_batch(world, number, room);
        } else if (batch->number == 0 && gateway->rooms[room].waiting_count > 0) {
            begin_batch(world, number, room);
        }
        if (now_ms >= gateway->rooms[room].reads_at_ms) {
            gateway->rooms[room].reads_at_ms = now_ms + 1 + log_draw(world, READ_AFTER_MS);
            ask_for_log(world, number, room, 0);
        }
    }
}

void log_gateways_run(struct log_world *world)
{
    while (world->mail != NULL && world->mail->at_ms <= world->stores.now_ms) {
        struct log_mail *mail = world->mail;
        world->mail = mail->next;
        deliver(world, mail);
        mail_free(mail);
    }
    for (size_t i = 0; i < world->gateway_count; i++) {
        if (world->gateways[i].is_running) {
            run_gateway(world, i);
        }
    }
    if (world->stores.now_ms >= world->says_again_at_ms) {
        world->says_again_at_ms = world->stores.now_ms + 100;
        say_again(world);
    }
}

uint64_t log_gateways_next_ms(const struct log_world *world)
{
    uint64_t next_ms = world->says_again_at_ms;
    next_ms = world->mail != NULL ? MIN_OF(next_ms, world->mail->at_ms) : next_ms;
    for (size_t i = 0; i < world->gateway_count; i++) {
        const struct log_gateway *gateway = &world->gateways[i];
        for (unsigned room = 0; room < world->room_count && gateway->is_running; room++) {
            next_ms = MIN_OF(next_ms, gateway->rooms[room].reads_at_ms);
            if (gateway->rooms[room].batch.number != 0) {
                next_ms = MIN_OF(next_ms, gateway->rooms[room].batch.again_at_ms);
            }
        }
    }
    return next_ms;
}

void log_gateways_release(struct log_world *world)
{
    for (size_t i = 0; i < LOG_GATEWAYS_MAX; i++) {
        log_gateway_kill(world, i);
    }
    while (world->mail != NULL) {
        struct log_mail *mail = world->mail;
        world->mail = mail->next;
        mail_free(mail);
    }
    free(world->questions);
}
