#include "bus.h"

#include "base/clock.h"
#include "base/log.h"
#include "limits.h"
#include "proto/contract_control.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

enum { SUBSCRIPTIONS_MAX = 2 * CONTRACT_SHARDS, LOST_MAX = 4 };

/* What a subscription is for; nats.c hands it back with every message. */
struct bus_subscription {
    struct bus *bus;
    enum bus_subject subject;
    unsigned shard;
    natsSubscription *nats;
};

struct bus {
    struct bus_callbacks callbacks;
    struct stats *stats;
    struct buf public_url; /* for logs */
    natsOptions *options;
    pthread_t connector;
    sem_t lost_or_closing;          /* wakes the connector */
    natsConnection *lost[LOST_MAX]; /* the connector's */
    size_t lost_count;
    _Atomic(natsConnection *) connection; /* NULL until it was there for the first time */
    pthread_mutex_t mutex; /* of the subscriptions, between the main thread and the connector */
    struct bus_subscription subscriptions[SUBSCRIPTIONS_MAX];
    size_t subscription_count;
    struct shard_range range;
    bool receives;
    sem_t ended_subscriptions;
    atomic_bool is_closing;
    atomic_bool is_too_small; /* max_payload */
};

static void on_connected(natsConnection *connection, void *user)
{
    struct bus *bus = user;
    LOG(LOG_INFO, "nats_connected", F_BYTES("url", buf_bytes(&bus->public_url)));
    bool is_too_small = !nats_check_payload(connection, CONTRACT_MESSAGE_BYTES_MAX);
    atomic_store(&bus->is_too_small, is_too_small);
    if (!is_too_small) {
        bus->callbacks.on_connected(bus->callbacks.user);
    }
}

static void on_reconnected(natsConnection *connection, void *user)
{
    struct bus *bus = user;
    stat_add(&bus->stats->nats_reconnects, 1);
    on_connected(connection, user);
}

static void on_disconnected(natsConnection *connection, void *user)
{
    (void)connection;
    struct bus *bus = user;
    if (!atomic_load(&bus->is_closing)) {
        LOG(LOG_WARN, "nats_disconnected", F_BYTES("url", buf_bytes(&bus->public_url)));
    }
}

static void on_nats_error(natsConnection *connection, natsSubscription *subscription,
                          natsStatus status, void *user)
{
    (void)connection;
    (void)subscription;
    if (status == NATS_SLOW_CONSUMER) {
        stat_add(&((struct bus *)user)->stats->nats_slow_consumer, 1);
    }
    LOG(LOG_WARN, "nats_error", F_STR("reason", natsStatus_GetText(status)));
}

static void on_message(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                       void *user)
{
    (void)connection;
    (void)subscription;
    struct bus_subscription *from = user;
    if (natsMsg_GetReply(message) == NULL) {
        natsMsg_Destroy(message); /* nobody waits for an answer: no gateway sends such */
        return;
    }
    struct bus_request *request = mem_alloc(sizeof(*request));
    *request = (struct bus_request){
        .entry.bytes = sizeof(*request) + (size_t)natsMsg_GetDataLength(message),
        .subject = from->subject,
        .shard = from->shard,
        .arrived_us = clock_monotonic_us(),
        .message = message,
    };
    stat_add(&from->bus->stats->received_bytes, (uint64_t)natsMsg_GetDataLength(message));
    from->bus->callbacks.on_request(from->bus->callbacks.user, request);
}

static void on_closed(natsConnection *connection, void *user)
{
    (void)connection;
    sem_post(&((struct bus *)user)->lost_or_closing);
}

static natsStatus set_callbacks(natsOptions *options, struct bus *bus)
{
    natsStatus status = natsOptions_SetReconnectedCB(options, on_reconnected, bus);
#define SET(call) status = status == NATS_OK ? (call) : status
    SET(natsOptions_SetDisconnectedCB(options, on_disconnected, bus));
    SET(natsOptions_SetErrorHandler(options, on_nats_error, bus));
    SET(natsOptions_SetClosedCB(options, on_closed, bus));
#undef SET
    return status;
}

/* The thread that waits for NATS, and then ends. */
static natsStatus subscribe(struct bus *bus, enum bus_subject subject, unsigned shard)
{
    ASSERT(bus->subscription_count < SUBSCRIPTIONS_MAX);
    struct bus_subscription *subscription = &bus->subscriptions[bus->subscription_count++];
    *subscription = (struct bus_subscription){.bus = bus, .subject = subject, .shard = shard};
    char name[CONTRACT_SUBJECT_BYTES_MAX];
    if (subject == BUS_APPEND) {
        contract_append_subject(shard, name);
    } else {
        contract_read_subject(shard, name);
    }
    return natsConnection_QueueSubscribe(&subscription->nats, bus->connection, name,
                                         CONTRACT_STORE_QUEUE_GROUP, on_message, subscription);
}

static bool subscribe_all(struct bus *bus, struct buf *ret_error)
{
    natsStatus status = NATS_OK;
    for (unsigned shard = bus->range.first; shard <= bus->range.last && status == NATS_OK;
         shard++) {
        status = subscribe(bus, BUS_APPEND, shard);
        if (status == NATS_OK) {
            status = subscribe(bus, BUS_READ, shard);
        }
    }
    if (status != NATS_OK) {
        buf_append_format(ret_error, "The NATS of NATS_URL took no subscription: %s.",
                          natsStatus_GetText(status));
    }
    return status == NATS_OK;
}

static void forget_subscriptions(struct bus *bus)
{
    for (size_t i = 0; i < bus->subscription_count; i++) {
        natsSubscription_Destroy(bus->subscriptions[i].nats);
    }
    bus->subscription_count = 0;
}

/* Puts @connection in the place of one that nats.c has closed, and enters the queue group there. */
static void replace_connection(struct bus *bus, natsConnection *connection)
{
    pthread_mutex_lock(&bus->mutex);
    natsConnection *lost = atomic_exchange(&bus->connection, connection);
    struct buf error = BUF_INIT;
    if (bus->receives) {
        forget_subscriptions(bus);
        if (!subscribe_all(bus, &error)) {
            LOG(LOG_WARN, "nats_error", F_BYTES("reason", buf_bytes(&error)));
        }
    }
    pthread_mutex_unlock(&bus->mutex);
    buf_release(&error);
    if (lost != NULL) {
        bus->lost[bus->lost_count++ % LOST_MAX] = lost;
    }
}

static void connect_again(struct bus *bus)
{
    unsigned tries = 0;
    natsConnection *connection = NULL;
    while (!atomic_load(&bus->is_closing) &&
           (connection = nats_try_connect(bus->options, &tries)) == NULL) {
        nats_Sleep(NATS_RETRY_MS);
    }
    if (connection != NULL) {
        natsConnection_Destroy(bus->lost[bus->lost_count % LOST_MAX]);
        bus->lost[bus->lost_count % LOST_MAX] = NULL;
        replace_connection(bus, connection);
        on_connected(connection, bus);
    }
}

/*
 * Waits until the connection is lost or the bus ends. A server that was too small may be configured anew, but tells that
 * only who connects: then we do, by losing the connection.
 */
static void watch_connection(struct bus *bus)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* what sem_timedwait() goes by */
    for (;;) {
        until.tv_sec += NATS_PAYLOAD_CHECK_MS / 1000;
        if (sem_timedwait(&bus->lost_or_closing, &until) == 0) {
            return;
        }
        if (atomic_load(&bus->is_too_small)) {
            natsConnection_Close(bus->connection);
        }
    }
}

/*
 * The thread that waits for NATS; and again when nats.c has given up for good, as it does when a server refuses us twice in
 * a row. Lanes may still hold a connection that was replaced: the last few are kept until others take their places.
 */
static void *run_connector(void *user)
{
    struct bus *bus = user;
    while (!atomic_load(&bus->is_closing)) {
        connect_again(bus);
        if (bus->connection != NULL) {
            watch_connection(bus);
        }
    }
    return NULL;
}

struct bus *bus_new(const struct nats_settings *nats, const struct bus_callbacks *callbacks,
                    struct stats *stats, struct buf *ret_error)
{
    natsOptions *options = nats_options_new(nats, "parley-store", ret_error);
    if (options == NULL) {
        return NULL;
    }
    struct bus *bus = mem_alloc_zeroed(sizeof(*bus));
    bus->callbacks = *callbacks;
    bus->stats = stats;
    bus->options = options;
    sem_init(&bus->ended_subscriptions, 0, 0);
    sem_init(&bus->lost_or_closing, 0, 0);
    pthread_mutex_init(&bus->mutex, NULL);
    nats_url_write_public(nats->urls, &bus->public_url);
    ASSERT(set_callbacks(options, bus) == NATS_OK);
    ASSERT(pthread_create(&bus->connector, NULL, run_connector, bus) == 0);
    return bus;
}

bool bus_receive(struct bus *bus, struct shard_range range, struct buf *ret_error)
{
    pthread_mutex_lock(&bus->mutex);
    bus->range = range;
    bus->receives = subscribe_all(bus, ret_error);
    pthread_mutex_unlock(&bus->mutex);
    return bus->receives;
}

/* The last that nats.c's thread does for a subscription. */
static void on_subscription_ended(void *user)
{
    struct bus *bus = user;
    sem_post(&bus->ended_subscriptions);
}

void bus_stop_receiving(struct bus *bus)
{
    pthread_mutex_lock(&bus->mutex);
    bus->receives = false;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* what sem_timedwait() goes by */
    until.tv_sec += DRAIN_MS_MAX / 1000;
    size_t draining = 0;
    for (size_t i = 0; i < bus->subscription_count; i++) {
        natsSubscription *subscription = bus->subscriptions[i].nats;
        natsSubscription_SetOnCompleteCB(subscription, on_subscription_ended, bus);
        draining += natsSubscription_DrainTimeout(subscription, DRAIN_MS_MAX) == NATS_OK;
    }
    while (draining > 0) {
        if (sem_timedwait(&bus->ended_subscriptions, &until) == 0) {
            draining--;
        } else if (errno != EINTR) {
            break;
        }
    }
    forget_subscriptions(bus);
    pthread_mutex_unlock(&bus->mutex);
}

void bus_flush(struct bus *bus)
{
    if (bus_is_connected(bus)) {
        natsConnection_FlushTimeout(bus->connection, DRAIN_MS_MAX);
    }
}

void bus_free(struct bus *bus)
{
    if (bus == NULL) {
        return;
    }
    atomic_store(&bus->is_closing, true);
    sem_post(&bus->lost_or_closing);
    pthread_join(bus->connector, NULL);
    if (bus->connection != NULL) {
        natsConnection_Destroy(bus->connection);
    }
    for (size_t i = 0; i < LOST_MAX; i++) {
        natsConnection_Destroy(bus->lost[i]);
    }
    natsOptions_Destroy(bus->options);
    /* nats.c's threads may still hold @bus. */
    nats_CloseAndWait(DRAIN_MS_MAX);
    sem_destroy(&bus->ended_subscriptions);
    sem_destroy(&bus->lost_or_closing);
    pthread_mutex_destroy(&bus->mutex);
    buf_release(&bus->public_url);
    free(bus);
}

bool bus_is_too_small(const struct bus *bus)
{
    return atomic_load(&bus->is_too_small);
}

bool bus_is_connected(const struct bus *bus)
{
    natsConnection *connection = atomic_load(&bus->connection);
    return connection != NULL && !atomic_load(&bus->is_too_small) &&
           natsConnection_Status(connection) == NATS_CONN_STATUS_CONNECTED;
}

struct bytes bus_payload(const struct bus_request *request)
{
    return bytes_of(natsMsg_GetData(request->message),
                    (size_t)natsMsg_GetDataLength(request->message));
}

static void publish(struct bus *bus, const char *subject, struct bytes payload)
{
    natsStatus status =
        natsConnection_Publish(bus->connection, subject, payload.data, (int)payload.len);
    if (status == NATS_OK) {
        stat_add(&bus->stats->sent_bytes, payload.len);
    } else {
        stat_add(&bus->stats->publishes_failed, 1);
        LOG(LOG_WARN, "nats_publish_failed", F_STR("subject", subject),
            F_STR("reason", natsStatus_GetText(status)));
    }
}

void bus_reply(struct bus *bus, struct bus_request *request, struct bytes payload)
{
    publish(bus, natsMsg_GetReply(request->message), payload);
    natsMsg_Destroy(request->message);
    free(request);
}

void bus_publish_room(struct bus *bus, struct bytes room, struct bytes payload)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_room_subject(room, subject);
    publish(bus, subject, payload);
}

/* Hands over what comes on @replies until @until_ms. */
static void hear(natsSubscription *replies, uint64_t until_ms,
                 void (*on_reply)(void *user, struct bytes payload), void *user)
{
    uint64_t now_ms;
    natsMsg *message;
    while ((now_ms = clock_monotonic_ms()) < until_ms &&
           natsSubscription_NextMsg(&message, replies, (int64_t)(until_ms - now_ms)) == NATS_OK) {
        if (!natsMsg_IsNoResponders(message)) {
            on_reply(user,
                     bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
        }
        natsMsg_Destroy(message);
    }
}

bool bus_tell_gateways(struct bus *bus, struct bytes payload, uint64_t wait_ms,
                       void (*on_reply)(void *user, struct bytes payload), void *user)
{
    if (!bus_is_connected(bus)) {
        return false;
    }
    if (wait_ms == 0) {
        publish(bus, CONTRACT_CONTROL_SUBJECT, payload);
        return true;
    }
    natsConnection *connection = atomic_load(&bus->connection);
    natsInbox *inbox = NULL;
    natsSubscription *replies = NULL;
    bool is_told = natsInbox_Create(&inbox) == NATS_OK &&
                   natsConnection_SubscribeSync(&replies, connection, inbox) == NATS_OK &&
                   natsConnection_PublishRequest(connection, CONTRACT_CONTROL_SUBJECT, inbox,
                                                 payload.data, (int)payload.len) == NATS_OK;
    if (is_told) {
        hear(replies, clock_monotonic_ms() + wait_ms, on_reply, user);
    }
    natsSubscription_Destroy(replies);
    natsInbox_Destroy(inbox);
    return is_told;
}
