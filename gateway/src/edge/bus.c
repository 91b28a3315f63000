#include "bus.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/map.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REPLY_SUBJECT_BYTES_MAX = 96,
    CLOSE_WAIT_MS = 1000,
    LOST_CHECK_MS = 500,
};

/* A room's subscription; the bus thread's. */
struct subscription {
    char *room;
    bool watches;
    natsSubscription *nats, *presence;
};

enum command_type {
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    COMMAND_WATCH,
    COMMAND_UNWATCH,
    COMMAND_PUBLISH,
    COMMAND_STOP
};

/* From the loop to the bus thread. */
struct command {
    h2o_multithread_message_t message;
    enum command_type type;
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    char reply[REPLY_SUBJECT_BYTES_MAX]; /* "" for none */
    size_t len;
    char payload[]; /* of PUBLISH; the room's name otherwise */
};

enum mail_type {
    MAIL_ROOM_EVENT,
    MAIL_APPEND_REPLY,
    MAIL_QUERY_REPLY,
    MAIL_PEER_REQUEST,
    MAIL_PEER_ANSWER,
    MAIL_PRESENCE,
    MAIL_CONTROL,
    MAIL_RESTORED
};

/* From nats.c's threads to the loop. */
struct mail {
    h2o_multithread_message_t message;
    enum mail_type type;
    uint64_t number;
    size_t bytes;            /* counted in ... */
    _Atomic size_t *counter; /* ... mail_bytes or reply_bytes */
    void *decoded;           /* owned */
    char *reply;             /* of CONTROL: a subject, owned */
};

struct bus {
    struct bus_callbacks callbacks;
    char gateway_id[64];
    natsOptions *options;
    natsConnection *nats; /* the bus thread's, as are the next two, until it has ended */
    natsSubscription *replies;
    natsSubscription *peers; /* what other gateways ask */
    natsSubscription *control;

    h2o_multithread_queue_t *mail_queue;
    h2o_multithread_receiver_t mailbox;

    pthread_t thread;
    h2o_barrier_t thread_is_up;
    h2o_barrier_t no_more_commands; /* the last one was sent, to its very end */
    h2o_loop_t *thread_loop;
    h2o_multithread_queue_t *command_queue;
    h2o_multithread_receiver_t commands;
    struct map subscriptions; /* the bus thread's */
    bool is_stopping;         /* the bus thread's */

    _Atomic size_t subscription_count;
    _Atomic size_t command_bytes;
    _Atomic size_t mail_bytes, reply_bytes;
    _Atomic bool restored_is_mailed;
    _Atomic bool is_connected;
    _Atomic bool is_too_small; /* max_payload */
    atomic_bool is_closing;
    atomic_bool is_lost; /* the connection will not come back: the bus thread makes another one */
    _Atomic uint64_t reconnects, mail_dropped, replies_dropped, peer_mail_dropped, presence_dropped,
        commands_dropped, slow_consumer;
};

/* --- nats.c's threads ------------------------------------------------------------------------------------------- */

static bool is_reply(enum mail_type type)
{
    return type == MAIL_APPEND_REPLY || type == MAIL_QUERY_REPLY;
}

static void send_mail_with(struct bus *bus, enum mail_type type, uint64_t number, size_t bytes,
                           void *decoded, const char *reply)
{
    struct mail *mail = mem_alloc(sizeof(*mail));
    *mail = (struct mail){
        .reply = reply != NULL ? mem_copy_string(reply, strlen(reply)) : NULL,
        .type = type,
        .number = number,
        .bytes = bytes,
        .counter = is_reply(type) ? &bus->reply_bytes : &bus->mail_bytes,
        .decoded = decoded,
    };
    atomic_fetch_add(mail->counter, bytes);
    h2o_multithread_send_message(&bus->mailbox, &mail->message);
}

static void send_mail(struct bus *bus, enum mail_type type, uint64_t number, size_t bytes,
                      void *decoded)
{
    send_mail_with(bus, type, number, bytes, decoded, NULL);
}

/* Has the loop check everything; once until it does. */
static void mail_restored(struct bus *bus)
{
    if (!atomic_exchange(&bus->restored_is_mailed, true)) {
        send_mail(bus, MAIL_RESTORED, 0, 0, NULL);
    }
}

static struct bytes payload_of(natsMsg *msg)
{
    return bytes_of(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
}

static void on_room_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)nc, (void)sub;
    struct bus *bus = user;
    struct bytes payload = payload_of(msg);
    if (atomic_load(&bus->mail_bytes) + payload.len > BUS_MAIL_BYTES_MAX) {
        atomic_fetch_add(&bus->mail_dropped, 1);
        mail_restored(bus);
    } else {
        struct contract_room_event *event = contract_decode_room_event(payload);
        if (event == NULL) {
            LOG(LOG_WARN, "room_event_malformed", F_STR("subject", natsMsg_GetSubject(msg)));
        } else {
            send_mail(bus, MAIL_ROOM_EVENT, 0, payload.len, event);
        }
    }
    natsMsg_Destroy(msg);
}

static void on_presence_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)nc, (void)sub;
    struct bus *bus = user;
    struct bytes payload = payload_of(msg);
    if (atomic_load(&bus->mail_bytes) + payload.len > BUS_PRESENCE_BYTES_MAX) {
        atomic_fetch_add(&bus->presence_dropped, 1);
    } else {
        struct contract_presence *presence = contract_decode_presence(payload);
        if (presence == NULL) {
            LOG(LOG_WARN, "presence_malformed", F_STR("subject", natsMsg_GetSubject(msg)));
        } else {
            send_mail(bus, MAIL_PRESENCE, 0, payload.len, presence);
        }
    }
    natsMsg_Destroy(msg);
}

/* Kinds of answers: the token in front of the number in their subjects. */
#define KIND_APPEND "a"
#define KIND_QUERY  "q"
#define KIND_PEER   "p"

/* Subject of answers: <inbox>.<gateway>.<kind>.<number> */
static void write_reply_subject(const char *gateway_id, const char *kind, const char *number,
                                char *ret_subject)
{
    int len =
        snprintf(ret_subject, REPLY_SUBJECT_BYTES_MAX, "_INBOX.%s.%s.%s", gateway_id, kind, number);
    ASSERT(len > 0 && len < REPLY_SUBJECT_BYTES_MAX);
}

static void write_numbered_reply_subject(const char *gateway_id, const char *kind, uint64_t number,
                                         char *ret_subject)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    write_reply_subject(gateway_id, kind, text, ret_subject);
}

/* What other gateways say, as far as there is room. */
static void send_peer_mail(struct bus *bus, enum mail_type type, uint64_t number,
                           struct bytes payload, void *decoded)
{
    if (atomic_load(&bus->mail_bytes) + payload.len > BUS_MAIL_BYTES_MAX) {
        atomic_fetch_add(&bus->peer_mail_dropped, 1);
        contract_free(decoded);
    } else {
        send_mail(bus, type, number, payload.len, decoded);
    }
}

static void on_peer_request_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg,
                                    void *user)
{
    (void)nc, (void)sub;
    struct bytes payload = payload_of(msg);
    struct contract_peer_request *request = contract_decode_peer_request(payload);
    if (request == NULL) {
        LOG(LOG_WARN, "peer_request_malformed", F_INT("bytes", payload.len));
    } else {
        send_peer_mail(user, MAIL_PEER_REQUEST, 0, payload, request);
    }
    natsMsg_Destroy(msg);
}

static void on_control_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)nc, (void)sub;
    struct bus *bus = user;
    struct bytes payload = payload_of(msg);
    struct contract_control *control = contract_decode_control(payload);
    const char *reply = natsMsg_GetReply(msg);
    reply = reply == NULL ? "" : reply;
    if (control == NULL || strlen(reply) >= REPLY_SUBJECT_BYTES_MAX) {
        LOG(LOG_WARN, "control_malformed", F_INT("bytes", payload.len));
        contract_free(control);
    } else if (atomic_load(&bus->mail_bytes) + payload.len > BUS_MAIL_BYTES_MAX) {
        atomic_fetch_add(&bus->peer_mail_dropped, 1);
        contract_free(control);
    } else {
        send_mail_with(bus, MAIL_CONTROL, 0, payload.len, control, reply);
    }
    natsMsg_Destroy(msg);
}

static void on_reply(struct bus *bus, char kind, uint64_t number, natsMsg *msg)
{
    struct bytes payload = payload_of(msg);
    if (kind != KIND_PEER[0] &&
        atomic_load(&bus->reply_bytes) + payload.len > BUS_REPLY_BYTES_MAX) {
        atomic_fetch_add(&bus->replies_dropped, 1);
        return;
    }
    bool is_nobody = natsMsg_IsNoResponders(msg);
    void *decoded = NULL;
    if (!is_nobody) {
        decoded = kind == KIND_APPEND[0]  ? (void *)contract_decode_append_reply(payload)
                  : kind == KIND_QUERY[0] ? (void *)contract_decode_query_reply(payload)
                                          : (void *)contract_decode_peer_answer(payload);
        if (decoded == NULL) {
            LOG(LOG_WARN, "reply_malformed", F_STR("subject", natsMsg_GetSubject(msg)));
        }
    }
    if (kind == KIND_PEER[0]) {
        send_peer_mail(bus, MAIL_PEER_ANSWER, number, payload, decoded);
    } else {
        send_mail(bus, kind == KIND_APPEND[0] ? MAIL_APPEND_REPLY : MAIL_QUERY_REPLY, number,
                  payload.len, decoded);
    }
}

static void on_reply_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *user)
{
    (void)nc, (void)sub;
    const char *subject = natsMsg_GetSubject(msg);
    const char *number_text = strrchr(subject, '.') + 1;
    uint64_t number = 0;
    if (number_text - subject >= 2 && bytes_to_u64(bytes_of_string(number_text), &number)) {
        on_reply(user, number_text[-2], number, msg);
    }
    natsMsg_Destroy(msg);
}

static void on_connected(natsConnection *nc, void *user)
{
    struct bus *bus = user;
    char url[256] = "";
    natsConnection_GetConnectedUrl(nc, url, sizeof(url));
    char *credentials_end = strrchr(url, '@');
    LOG(LOG_INFO, "nats_connected",
        F_STR("server", credentials_end != NULL ? credentials_end + 1 : url));
    bool is_too_small = !nats_check_payload(nc, CONTRACT_MESSAGE_BYTES_MAX);
    atomic_store(&bus->is_too_small, is_too_small);
    if (!is_too_small) {
        atomic_store(&bus->is_connected, true);
        mail_restored(bus);
    }
}

static void on_reconnected(natsConnection *nc, void *user)
{
    atomic_fetch_add(&((struct bus *)user)->reconnects, 1);
    on_connected(nc, user);
}

static void on_disconnected(natsConnection *nc, void *user)
{
    struct bus *bus = user;
    const char *error = NULL;
    natsConnection_GetLastError(nc, &error);
    atomic_store(&bus->is_too_small, false);
    if (atomic_exchange(&bus->is_connected, false) && !atomic_load(&bus->is_closing)) {
        LOG(LOG_WARN, "nats_disconnected",
            F_STR("error", error != NULL && *error != '\0' ? error : "closed"));
    }
}

/* nats.c has given up for good, as it does when a server refuses us twice in a row. */
static void on_closed(natsConnection *nc, void *user)
{
    (void)nc;
    atomic_store(&((struct bus *)user)->is_lost, true);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *user)
{
    (void)nc, (void)sub;
    struct bus *bus = user;
    if (status == NATS_SLOW_CONSUMER) {
        atomic_fetch_add(&bus->slow_consumer, 1);
        mail_restored(bus);
    }
    LOG(LOG_WARN, "nats_error", F_STR("error", natsStatus_GetText(status)));
}

/* --- the bus thread --------------------------------------------------------------------------------------------- */

static struct bytes subscription_key(const void *subscription)
{
    return bytes_of_string(((const struct subscription *)subscription)->room);
}

static void subscribe_to(struct bus *bus, const char *subject, natsMsgHandler on_message,
                         natsSubscription **ret_subscription)
{
    natsStatus status =
        natsConnection_Subscribe(ret_subscription, bus->nats, subject, on_message, bus);
    if (status == NATS_OK) {
        status = natsSubscription_SetPendingLimits(*ret_subscription, BUS_PENDING_MESSAGES_MAX,
                                                   BUS_PENDING_BYTES_MAX);
    }
    if (status != NATS_OK) {
        LOG(LOG_WARN, "nats_subscribe_failed", F_STR("subject", subject),
            F_STR("error", natsStatus_GetText(status)));
    }
}

static void watch(struct bus *bus, struct subscription *subscription)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_presence_subject(bytes_of_string(subscription->room), subject);
    subscribe_to(bus, subject, on_presence_message, &subscription->presence);
}

/* Where nats.c has closed the connection, that is done again when there is another one. */
static void subscribe(struct bus *bus, struct subscription *subscription)
{
    if (bus->nats == NULL) {
        return; /* the gateway ends without a NATS */
    }
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(bytes_of_string(subscription->room), subject);
    subscribe_to(bus, subject, on_room_message, &subscription->nats);
    if (subscription->watches) {
        watch(bus, subscription);
    }
}

static void add_subscription(struct bus *bus, struct bytes room)
{
    struct subscription *subscription = mem_alloc(sizeof(*subscription));
    *subscription = (struct subscription){.room = bytes_to_string(room)};
    subscribe(bus, subscription);
    map_add(&bus->subscriptions, subscription);
    atomic_store(&bus->subscription_count, bus->subscriptions.count);
}

static void unwatch(struct subscription *subscription)
{
    natsSubscription_Unsubscribe(subscription->presence);
    natsSubscription_Destroy(subscription->presence);
    subscription->presence = NULL;
}

static void set_watching(struct bus *bus, struct bytes room, bool watches)
{
    struct subscription *subscription = map_get(&bus->subscriptions, room);
    if (subscription == NULL || subscription->watches == watches) {
        return;
    }
    subscription->watches = watches;
    if (!watches) {
        unwatch(subscription);
    } else if (bus->nats != NULL) {
        watch(bus, subscription);
    }
}

static void subscription_free(struct subscription *subscription)
{
    unwatch(subscription);
    natsSubscription_Unsubscribe(subscription->nats);
    natsSubscription_Destroy(subscription->nats);
    free(subscription->room);
    free(subscription);
}

static void publish(struct bus *bus, const struct command *command)
{
    if (bus->nats == NULL || natsConnection_Status(bus->nats) != NATS_CONN_STATUS_CONNECTED) {
        return; /* the hub asks again */
    }
    const char *reply = command->reply[0] != '\0' ? command->reply : NULL;
    natsStatus status = reply != NULL
                            ? natsConnection_PublishRequest(bus->nats, command->subject, reply,
                                                            command->payload, (int)command->len)
                            : natsConnection_Publish(bus->nats, command->subject, command->payload,
                                                     (int)command->len);
    if (status == NATS_MAX_PAYLOAD) {
        natsConnection_Close(bus->nats); /* the server says something new: as when we connect */
    } else if (status != NATS_OK) {
        LOG(LOG_WARN, "nats_publish_failed", F_STR("subject", command->subject),
            F_STR("error", natsStatus_GetText(status)));
    }
}

static void run_command(struct bus *bus, const struct command *command)
{
    switch (command->type) {
    case COMMAND_SUBSCRIBE: add_subscription(bus, bytes_of(command->payload, command->len)); break;
    case COMMAND_UNSUBSCRIBE: {
        struct subscription *gone =
            map_remove(&bus->subscriptions, bytes_of(command->payload, command->len));
        if (gone != NULL) {
            subscription_free(gone);
        }
        atomic_store(&bus->subscription_count, bus->subscriptions.count);
        break;
    }
    case COMMAND_WATCH:
    case COMMAND_UNWATCH:
        set_watching(bus, bytes_of(command->payload, command->len), command->type == COMMAND_WATCH);
        break;
    case COMMAND_PUBLISH: publish(bus, command); break;
    case COMMAND_STOP: bus->is_stopping = true; break;
    }
}

static void on_commands(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct bus *bus = CONTAINER_OF(receiver, struct bus, commands);
    while (!h2o_linklist_is_empty(messages)) {
        struct command *command = CONTAINER_OF(messages->next, struct command, message.link);
        h2o_linklist_unlink(&command->message.link);
        run_command(bus, command);
        atomic_fetch_sub(&bus->command_bytes, sizeof(*command) + command->len);
        free(command);
    }
}

/* To all that is meant for this gateway alone. */
static void subscribe_to_own(struct bus *bus)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    write_reply_subject(bus->gateway_id, "*", "*", subject);
    subscribe_to(bus, subject, on_reply_message, &bus->replies);
    contract_gateway_subject(bytes_of_string(bus->gateway_id), subject);
    subscribe_to(bus, subject, on_peer_request_message, &bus->peers);
    subscribe_to(bus, CONTRACT_CONTROL_SUBJECT, on_control_message, &bus->control);
}

/* The loop that reads the commands is this thread's from beginning to end: see base/loop.h. */
static void begin_commands(struct bus *bus)
{
    bus->thread_loop = h2o_evloop_create();
    bus->command_queue = h2o_multithread_create_queue(bus->thread_loop);
    h2o_multithread_register_receiver(bus->command_queue, &bus->commands, on_commands);
    h2o_barrier_wait(&bus->thread_is_up);
}

static void end_commands(struct bus *bus)
{
    h2o_linklist_t *commands = &bus->commands._messages;
    while (!h2o_linklist_is_empty(commands)) {
        struct command *command = CONTAINER_OF(commands->next, struct command, message.link);
        h2o_linklist_unlink(&command->message.link);
        free(command);
    }
    h2o_multithread_unregister_receiver(bus->command_queue, &bus->commands);
    loop_queue_free(bus->command_queue);
    loop_free(bus->thread_loop);
}

/* nats.c has closed the connection. */
static void forget_connection(struct bus *bus)
{
    natsSubscription_Destroy(bus->replies);
    natsSubscription_Destroy(bus->peers);
    natsSubscription_Destroy(bus->control);
    bus->replies = bus->peers = bus->control = NULL;
    size_t cursor = 0;
    for (struct subscription *s; (s = map_next(&bus->subscriptions, &cursor)) != NULL;) {
        natsSubscription_Destroy(s->nats);
        natsSubscription_Destroy(s->presence);
        s->nats = s->presence = NULL;
    }
    natsConnection_Destroy(bus->nats);
    bus->nats = NULL;
}

/* Tries to connect, and subscribes to all that there is. */
static void try_to_connect(struct bus *bus, unsigned *tries)
{
    bus->nats = nats_try_connect(bus->options, tries);
    if (bus->nats == NULL) {
        return;
    }
    *tries = 0;
    size_t cursor = 0;
    for (struct subscription *s; (s = map_next(&bus->subscriptions, &cursor)) != NULL;) {
        subscribe(bus, s);
    }
    subscribe_to_own(bus);
    on_connected(bus->nats, bus);
}

/* A server that was too small may be configured anew, but only tells that who connects. */
static void look_at_size_again(struct bus *bus, uint64_t *checked_ms)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (now_ms - *checked_ms >= NATS_PAYLOAD_CHECK_MS) {
        *checked_ms = now_ms;
        if (atomic_load(&bus->is_too_small)) {
            natsConnection_Close(bus->nats);
        }
    }
}

/* Commands are read between two attempts to connect, too: rooms come and go while NATS is not there. */
static void *run_thread(void *user)
{
    struct bus *bus = user;
    unsigned tries = 0;
    uint64_t checked_ms = clock_monotonic_ms();
    begin_commands(bus);
    while (!bus->is_stopping) { /* until COMMAND_STOP, behind which nobody sends anything */
        if (atomic_exchange(&bus->is_lost, false)) {
            forget_connection(bus);
        }
        if (bus->nats == NULL && !atomic_load(&bus->is_closing)) {
            try_to_connect(bus, &tries);
        }
        h2o_evloop_run(bus->thread_loop, bus->nats == NULL ? NATS_RETRY_MS : LOST_CHECK_MS);
        look_at_size_again(bus, &checked_ms);
    }
    h2o_barrier_wait(&bus->no_more_commands);
    end_commands(bus);
    return NULL;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static void deliver(struct bus *bus, struct mail *mail)
{
    const struct bus_callbacks *callbacks = &bus->callbacks;
    switch (mail->type) {
    case MAIL_ROOM_EVENT: callbacks->on_room_event(callbacks->user, mail->decoded); return;
    case MAIL_APPEND_REPLY:
        callbacks->on_append_reply(callbacks->user, mail->number, mail->decoded);
        break;
    case MAIL_QUERY_REPLY:
        callbacks->on_query_reply(callbacks->user, mail->number, mail->decoded);
        break;
    case MAIL_PEER_REQUEST: callbacks->on_peer_request(callbacks->user, mail->decoded); break;
    case MAIL_PEER_ANSWER:
        callbacks->on_peer_answer(callbacks->user, mail->number, mail->decoded);
        break;
    case MAIL_CONTROL: callbacks->on_control(callbacks->user, mail->decoded, mail->reply); break;
    case MAIL_PRESENCE: callbacks->on_presence(callbacks->user, mail->decoded); break;
    case MAIL_RESTORED:
        atomic_store(&bus->restored_is_mailed, false);
        callbacks->on_restored(callbacks->user);
        break;
    }
    contract_free(mail->decoded);
}

static void on_mail(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    struct bus *bus = CONTAINER_OF(receiver, struct bus, mailbox);
    while (!h2o_linklist_is_empty(messages)) {
        struct mail *mail = CONTAINER_OF(messages->next, struct mail, message.link);
        h2o_linklist_unlink(&mail->message.link);
        atomic_fetch_sub(mail->counter, mail->bytes);
        deliver(bus, mail);
        free(mail->reply);
        free(mail);
    }
}

/* What is left in the mailbox at the end, when no other thread runs any more. */
static void drop_mail(struct bus *bus)
{
    h2o_linklist_t *mails = &bus->mailbox._messages;
    while (!h2o_linklist_is_empty(mails)) {
        struct mail *mail = CONTAINER_OF(mails->next, struct mail, message.link);
        h2o_linklist_unlink(&mail->message.link);
        contract_free(mail->decoded);
        free(mail->reply);
        free(mail);
    }
}

static void send_command(struct bus *bus, enum command_type type, struct bytes payload,
                         const char *subject, const char *reply)
{
    struct command *command = mem_alloc(sizeof(*command) + payload.len);
    *command = (struct command){.type = type, .len = payload.len};
    snprintf(command->subject, sizeof(command->subject), "%s", subject);
    snprintf(command->reply, sizeof(command->reply), "%s", reply);
    if (payload.len > 0) {
        memcpy(command->payload, payload.data, payload.len);
    }
    atomic_fetch_add(&bus->command_bytes, sizeof(*command) + command->len);
    h2o_multithread_send_message(&bus->commands, &command->message);
}

void bus_subscribe(struct bus *bus, struct bytes room)
{
    send_command(bus, COMMAND_SUBSCRIBE, room, "", "");
}

void bus_unsubscribe(struct bus *bus, struct bytes room)
{
    send_command(bus, COMMAND_UNSUBSCRIBE, room, "", "");
}

void bus_watch(struct bus *bus, struct bytes room, bool listens)
{
    send_command(bus, listens ? COMMAND_WATCH : COMMAND_UNWATCH, room, "", "");
}

static void send_publish(struct bus *bus, const char *subject, const char *reply,
                         struct bytes payload)
{
    if (!atomic_load(&bus->is_connected)) {
        return; /* kept, it would come out long after the hub has asked again, many times */
    }
    size_t bytes = sizeof(struct command) + payload.len;
    if (atomic_load(&bus->command_bytes) + bytes > BUS_COMMAND_BYTES_MAX) {
        atomic_fetch_add(&bus->commands_dropped, 1);
        return;
    }
    send_command(bus, COMMAND_PUBLISH, payload, subject, reply);
}

void bus_request(struct bus *bus, enum bus_request_type type, unsigned shard, uint64_t number,
                 struct bytes payload)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX], reply[REPLY_SUBJECT_BYTES_MAX];
    if (type == BUS_APPEND) {
        contract_append_subject(shard, subject);
    } else {
        contract_read_subject(shard, subject);
    }
    write_numbered_reply_subject(bus->gateway_id, type == BUS_APPEND ? KIND_APPEND : KIND_QUERY,
                                 number, reply);
    send_publish(bus, subject, reply, payload);
}

void bus_ask_peer(struct bus *bus, const char peer[CONTRACT_GATEWAY_ID_BYTES], uint64_t number,
                  struct bytes payload)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX], reply[REPLY_SUBJECT_BYTES_MAX];
    contract_gateway_subject(bytes_of(peer, CONTRACT_GATEWAY_ID_BYTES), subject);
    write_numbered_reply_subject(bus->gateway_id, KIND_PEER, number, reply);
    send_publish(bus, subject, reply, payload);
}

void bus_answer_peer(struct bus *bus, const struct contract_peer_key *key, struct bytes payload)
{
    char subject[REPLY_SUBJECT_BYTES_MAX];
    struct bytes token = bytes_of(key->gateway, CONTRACT_GATEWAY_ID_BYTES);
    char peer[CONTRACT_GATEWAY_ID_BYTES + 1];
    snprintf(peer, sizeof(peer), "%.*s", BYTES_FMT(token));
    write_numbered_reply_subject(peer, KIND_PEER, key->number, subject);
    send_publish(bus, subject, "", payload);
}

void bus_publish_to_room(struct bus *bus, struct bytes room, struct bytes payload)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(room, subject);
    send_publish(bus, subject, "", payload);
}

void bus_publish_presence(struct bus *bus, struct bytes room, struct bytes payload)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_presence_subject(room, subject);
    send_publish(bus, subject, "", payload);
}

void bus_answer_control(struct bus *bus, const char *reply, struct bytes payload)
{
    send_publish(bus, reply, "", payload);
}

bool bus_is_connected(const struct bus *bus)
{
    return atomic_load(&bus->is_connected);
}

bool bus_is_too_small(const struct bus *bus)
{
    return atomic_load(&bus->is_too_small);
}

struct bus_stats bus_stats(const struct bus *bus)
{
    return (struct bus_stats){
        .reconnects = atomic_load(&bus->reconnects),
        .mail_dropped = atomic_load(&bus->mail_dropped),
        .replies_dropped = atomic_load(&bus->replies_dropped),
        .peer_mail_dropped = atomic_load(&bus->peer_mail_dropped),
        .presence_dropped = atomic_load(&bus->presence_dropped),
        .commands_dropped = atomic_load(&bus->commands_dropped),
        .slow_consumer = atomic_load(&bus->slow_consumer),
        .is_connected = atomic_load(&bus->is_connected),
        .subscriptions = atomic_load(&bus->subscription_count),
        .mail_bytes = atomic_load(&bus->mail_bytes),
        .reply_bytes = atomic_load(&bus->reply_bytes),
        .command_bytes = atomic_load(&bus->command_bytes),
    };
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static natsStatus set_callbacks(natsOptions *options, struct bus *bus)
{
    natsStatus status = natsOptions_SetReconnectedCB(options, on_reconnected, bus);
#define SET(call) status = status == NATS_OK ? (call) : status
    SET(natsOptions_SetDisconnectedCB(options, on_disconnected, bus));
    SET(natsOptions_SetErrorHandler(options, on_error, bus));
    SET(natsOptions_SetClosedCB(options, on_closed, bus));
#undef SET
    return status;
}

struct bus *bus_new(h2o_loop_t *loop, const struct nats_settings *nats, struct bytes gateway_id,
                    const struct bus_callbacks *callbacks, struct buf *ret_error)
{
    natsOptions *options = nats_options_new(nats, "parley-gateway", ret_error);
    if (options == NULL) {
        return NULL;
    }
    struct bus *bus = mem_alloc_zeroed(sizeof(*bus));
    bus->callbacks = *callbacks;
    snprintf(bus->gateway_id, sizeof(bus->gateway_id), "%.*s", BYTES_FMT(gateway_id));
    map_init(&bus->subscriptions, subscription_key);
    bus->mail_queue = h2o_multithread_create_queue(loop);
    h2o_multithread_register_receiver(bus->mail_queue, &bus->mailbox, on_mail);

    nats_Open(-1);
    nats_SetMessageDeliveryPoolSize(1);
    bus->options = options;
    ASSERT(set_callbacks(options, bus) == NATS_OK);
    h2o_barrier_init(&bus->thread_is_up, 2);
    h2o_barrier_init(&bus->no_more_commands, 2);
    ASSERT(pthread_create(&bus->thread, NULL, run_thread, bus) == 0);
    h2o_barrier_wait(&bus->thread_is_up); /* commands may be sent from here on */
    return bus;
}

static void free_subscriptions(struct bus *bus)
{
    size_t cursor = 0;
    for (struct subscription *s; (s = map_next(&bus->subscriptions, &cursor)) != NULL;) {
        subscription_free(s);
    }
}

/* Lets nats.c send what was published, and deliver what has come: it loses track of the rest. */
static void close_connection(struct bus *bus)
{
    if (natsConnection_DrainTimeout(bus->nats, CLOSE_WAIT_MS) == NATS_OK) {
        for (int ms = 0; ms < CLOSE_WAIT_MS && !natsConnection_IsClosed(bus->nats); ms++) {
            nats_Sleep(1);
        }
    }
    free_subscriptions(bus);
    natsSubscription_Destroy(bus->replies);
    natsSubscription_Destroy(bus->peers);
    natsSubscription_Destroy(bus->control);
    natsConnection_Destroy(bus->nats);
}

void bus_free(struct bus *bus)
{
    if (bus == NULL) {
        return;
    }
    atomic_store(&bus->is_closing, true);
    send_command(bus, COMMAND_STOP, (struct bytes){0}, "", "");
    h2o_barrier_wait(&bus->no_more_commands);
    pthread_join(bus->thread, NULL);
    if (bus->nats != NULL) {
        close_connection(bus);
    }
    map_release(&bus->subscriptions);
    natsOptions_Destroy(bus->options);
    nats_CloseAndWait(CLOSE_WAIT_MS); /* no callback runs any more */
    drop_mail(bus);
    h2o_multithread_unregister_receiver(bus->mail_queue, &bus->mailbox);
    loop_queue_free(bus->mail_queue);
    free(bus);
}
