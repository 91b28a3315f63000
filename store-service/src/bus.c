#include "bus.h"

#include "base/clock.h"
#include "base/log.h"
#include "limits.h"
#include "proto/contract.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

enum { SUBSCRIPTIONS_MAX = 2 * CONTRACT_SHARDS };

/* Noticing a dead server takes PING_INTERVAL_MS × (PINGS_OUT_MAX + 1). */
enum {
    PING_INTERVAL_MS = 2000,
    PINGS_OUT_MAX = 2,
    RECONNECT_WAIT_MS = 250,
    WRITE_DEADLINE_MS = 5000
};

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
    natsConnection *connection;
    struct bus_subscription subscriptions[SUBSCRIPTIONS_MAX];
    size_t subscription_count;
    sem_t ended_subscriptions;
    atomic_bool is_closing;
};

static void on_connected(natsConnection *connection, void *user)
{
    (void)connection;
    struct bus *bus = user;
    LOG(LOG_INFO, "nats_connected", F_BYTES("url", buf_bytes(&bus->public_url)));
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
    (void)user;
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
    from->bus->callbacks.on_request(from->bus->callbacks.user, request);
}

/* Gives nats.c the servers of @url, which are separated by commas. */
static natsStatus set_servers(natsOptions *options, const char *url)
{
    enum { SERVERS_MAX = 32 };
    char *copy = mem_copy_string(url, strlen(url));
    const char *servers[SERVERS_MAX];
    int count = 0;
    char *rest = copy;
    for (char *server; (server = strsep(&rest, ",")) != NULL && count < SERVERS_MAX;) {
        servers[count++] = server + strspn(server, " ");
    }
    natsStatus status = natsOptions_SetServers(options, servers, count);
    free(copy);
    return status;
}

static natsStatus set_options(struct bus *bus, const char *url)
{
    natsStatus status = natsOptions_Create(&bus->options);
    if (status != NATS_OK) {
        return status;
    }
    natsOptions *options = bus->options;
    status = set_servers(options, url);
#define SET(call) status = status == NATS_OK ? (call) : status
    SET(natsOptions_SetName(options, "parley-store"));
    SET(natsOptions_UseGlobalMessageDelivery(options, true));
    SET(natsOptions_SetMaxReconnect(options, -1)); /* for ever */
    SET(natsOptions_SetReconnectWait(options, RECONNECT_WAIT_MS));
    SET(natsOptions_SetReconnectJitter(options, RECONNECT_WAIT_MS, RECONNECT_WAIT_MS));
    SET(natsOptions_SetPingInterval(options, PING_INTERVAL_MS));
    SET(natsOptions_SetMaxPingsOut(options, PINGS_OUT_MAX));
    /* A server that reads nothing must not hold a lane: nats.c then connects anew. */
    SET(natsOptions_SetWriteDeadline(options, WRITE_DEADLINE_MS));
    /* nats.c's own flusher waits a millisecond for more; a lane has batched already. */
    SET(natsOptions_SetSendAsap(options, true));
    SET(natsOptions_SetRetryOnFailedConnect(options, true, on_connected, bus));
    SET(natsOptions_SetDisconnectedCB(options, on_disconnected, bus));
    SET(natsOptions_SetReconnectedCB(options, on_reconnected, bus));
    SET(natsOptions_SetErrorHandler(options, on_nats_error, bus));
#undef SET
    return status;
}

struct bus *bus_new(const char *url, const struct bus_callbacks *callbacks, struct stats *stats,
                    struct buf *ret_error)
{
    struct bus *bus = mem_alloc_zeroed(sizeof(*bus));
    bus->callbacks = *callbacks;
    bus->stats = stats;
    sem_init(&bus->ended_subscriptions, 0, 0);
    nats_url_write_public(url, &bus->public_url);
    natsStatus status = set_options(bus, url);
    if (status == NATS_OK) {
        status = natsConnection_Connect(&bus->connection, bus->options);
    }
    if (status == NATS_OK) {
        on_connected(bus->connection, bus);
    } else if (status == NATS_NOT_YET_CONNECTED) {
        LOG(LOG_WARN, "nats_unreachable", F_BYTES("url", buf_bytes(&bus->public_url)),
            F_STR("hint", "waiting for the NATS of NATS_URL"));
    } else {
        buf_append_format(ret_error,
                          "NATS_URL leads to no NATS: %s. Write it as nats://host:4222, several "
                          "separated by commas.",
                          natsStatus_GetText(status));
        bus_free(bus);
        return NULL;
    }
    return bus;
}

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

bool bus_receive(struct bus *bus, struct shard_range range, struct buf *ret_error)
{
    natsStatus status = NATS_OK;
    for (unsigned shard = range.first; shard <= range.last && status == NATS_OK; shard++) {
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

/* The last that nats.c's thread does for a subscription. */
static void on_subscription_ended(void *user)
{
    struct bus *bus = user;
    sem_post(&bus->ended_subscriptions);
}

void bus_stop_receiving(struct bus *bus)
{
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
    for (size_t i = 0; i < bus->subscription_count; i++) {
        natsSubscription_Destroy(bus->subscriptions[i].nats);
    }
    bus->subscription_count = 0;
}

void bus_free(struct bus *bus)
{
    if (bus == NULL) {
        return;
    }
    if (bus->connection != NULL) {
        atomic_store(&bus->is_closing, true);
        if (bus_is_connected(bus)) {
            natsConnection_FlushTimeout(bus->connection, DRAIN_MS_MAX);
        }
        natsConnection_Destroy(bus->connection);
    }
    natsOptions_Destroy(bus->options);
    /* nats.c's threads may still hold @bus. */
    nats_CloseAndWait(DRAIN_MS_MAX);
    sem_destroy(&bus->ended_subscriptions);
    buf_release(&bus->public_url);
    free(bus);
}

bool bus_is_connected(const struct bus *bus)
{
    return natsConnection_Status(bus->connection) == NATS_CONN_STATUS_CONNECTED;
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
    if (status != NATS_OK) {
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
