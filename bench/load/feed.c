/* feed.c - the store's side of the contract, for a room without a past. */
#include "feed.h"
#include "base/clock.h"
#include "base/nats_connect.h"
#include "proto/contract.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { EPOCH = 1 };

struct feed {
    natsConnection *nats;
    natsSubscription *queries;
    char room[CONTRACT_ROOM_BYTES_MAX + 1];
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    atomic_uint_least64_t head;
    struct buf payload;
};

/* A range is empty: who asks has all that is to be had, or will get it. */
static void answer_range(struct feed *feed, struct buf *out)
{
    struct contract_epoch_start start = {.epoch = EPOCH, .first_id = 1};
    uint64_t head = atomic_load(&feed->head);
    struct contract_query_reply reply = {
        .status = CONTRACT_OK,
        .type = CONTRACT_RANGE,
        .range = {.epoch = EPOCH,
                  .head = head,
                  .oldest = head + 1,
                  .first_id = head + 1,
                  .epoch_count = 1,
                  .epochs = &start},
    };
    contract_encode_query_reply(out, &reply);
}

static void answer_heads(struct feed *feed, size_t room_count, struct buf *out)
{
    struct contract_head *heads = mem_alloc(MAX_OF(room_count, (size_t)1) * sizeof(*heads));
    for (size_t i = 0; i < room_count; i++) {
        heads[i] = (struct contract_head){.epoch = EPOCH, .head = atomic_load(&feed->head)};
    }
    struct contract_query_reply reply = {
        .status = CONTRACT_OK,
        .type = CONTRACT_HEADS,
        .heads = {.head_count = room_count, .heads = heads},
    };
    contract_encode_query_reply(out, &reply);
    free(heads);
}

static void on_query(natsConnection *nats, natsSubscription *subscription, natsMsg *message,
                     void *user)
{
    (void)subscription;
    struct feed *feed = user;
    struct contract_query *query = contract_decode_query(
        bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
    if (query != NULL && natsMsg_GetReply(message) != NULL) {
        struct buf out = BUF_INIT;
        if (query->type == CONTRACT_RANGE) {
            answer_range(feed, &out);
        } else {
            answer_heads(feed, query->heads.room_count, &out);
        }
        natsConnection_Publish(nats, natsMsg_GetReply(message), out.data, (int)out.len);
        buf_release(&out);
    }
    contract_free(query);
    natsMsg_Destroy(message);
}

struct feed *feed_new(const char *url, const char *room_prefix, struct buf *ret_error)
{
    natsOptions *options = nats_options_new(&NATS_SETTINGS_OPEN(url), "parley-load", ret_error);
    if (options == NULL) {
        return NULL;
    }
    struct feed *feed = mem_alloc_zeroed(sizeof(*feed));
    snprintf(feed->room, sizeof(feed->room), "%s-0", room_prefix);
    contract_room_subject(bytes_of_string(feed->room), feed->subject);
    natsStatus status = natsConnection_Connect(&feed->nats, options);
    natsOptions_Destroy(options);
    if (status == NATS_OK) {
        status = natsConnection_QueueSubscribe(&feed->queries, feed->nats, "parley.v1.read.*",
                                               CONTRACT_STORE_QUEUE_GROUP, on_query, feed);
    }
    if (status == NATS_OK) {
        status = natsConnection_Flush(feed->nats);
    }
    if (status != NATS_OK) {
        buf_append_format(ret_error, "NATS at %s: %s.", url, natsStatus_GetText(status));
        feed_free(feed);
        return NULL;
    }
    return feed;
}

void feed_publish(struct feed *feed, struct bytes body)
{
    char client_id[32];
    uint64_t id = atomic_fetch_add(&feed->head, 1) + 1;
    int len = snprintf(client_id, sizeof(client_id), "feed-%020llu", (unsigned long long)id);
    struct contract_stored_message message = {
        .sender = BYTES("feed"),
        .session = BYTES("feed"),
        .client_id = bytes_of(client_id, (size_t)len),
        .body = body,
        .at_ms = clock_wall_ms(),
    };
    struct contract_room_event event = {
        .room = bytes_of_string(feed->room),
        .type = CONTRACT_BATCH,
        .batch = {.epoch = EPOCH, .first_id = id, .message_count = 1, .messages = &message},
    };
    buf_clear(&feed->payload);
    contract_encode_room_event(&feed->payload, &event);
    natsStatus status = natsConnection_Publish(feed->nats, feed->subject, feed->payload.data,
                                               (int)feed->payload.len);
    ASSERT(status == NATS_OK); /* it would only be buffered while there is no connection */
}

void feed_free(struct feed *feed)
{
    if (feed == NULL) {
        return;
    }
    natsSubscription_Destroy(feed->queries);
    natsConnection_Destroy(feed->nats);
    buf_release(&feed->payload);
    free(feed);
}
