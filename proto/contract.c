#include "contract.h"

#include "wire_arena.h"

#include <stdlib.h>

static bool room_is_valid(struct bytes room)
{
    return room.len >= 1 && room.len <= CONTRACT_ROOM_BYTES_MAX;
}

/* Ids from @first_id on, @count of them, are ids: from 1 up, without overflow. */
static bool ids_are_valid(uint64_t first_id, size_t count)
{
    return first_id >= 1 && first_id <= UINT64_MAX - count;
}

static bool status_is_known(Parley__V1__Status status)
{
    return status == PARLEY__V1__STATUS__STATUS_OK ||
           status == PARLEY__V1__STATUS__STATUS_OVERLOADED ||
           status == PARLEY__V1__STATUS__STATUS_UNAVAILABLE ||
           status == PARLEY__V1__STATUS__STATUS_INVALID;
}

static_assert((int)CONTRACT_OK == (int)PARLEY__V1__STATUS__STATUS_OK &&
                  (int)CONTRACT_OVERLOADED == (int)PARLEY__V1__STATUS__STATUS_OVERLOADED &&
                  (int)CONTRACT_UNAVAILABLE == (int)PARLEY__V1__STATUS__STATUS_UNAVAILABLE &&
                  (int)CONTRACT_INVALID == (int)PARLEY__V1__STATUS__STATUS_INVALID,
              "a status is cast from one to the other");

/* Append and its reply. */

void contract_encode_append(struct buf *out, const struct contract_append *append)
{
    struct wire_array array = wire_array_new(append->message_count, sizeof(Parley__V1__NewMessage));
    Parley__V1__NewMessage *wire = array.elements;
    for (size_t i = 0; i < append->message_count; i++) {
        const struct contract_new_message *message = &append->messages[i];
        parley__v1__new_message__init(&wire[i]);
        wire[i].sender = to_wire(message->sender);
        wire[i].session = to_wire(message->session);
        wire[i].client_id = to_wire(message->client_id);
        wire[i].body = to_wire(message->body);
    }
    Parley__V1__Append packed = PARLEY__V1__APPEND__INIT;
    packed.room = to_wire(append->room);
    packed.repeat = append->repeat;
    packed.gateway = to_wire(append->gateway);
    packed.n_messages = append->message_count;
    packed.messages = (Parley__V1__NewMessage **)array.pointers;
    wire_pack(out, &packed.base);
    wire_array_free(array);
}

static bool read_append(struct contract_append *append, struct bytes payload)
{
    const Parley__V1__Append *wire =
        wire_unpack(append, &parley__v1__append__descriptor, payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || !room_is_valid(from_wire(wire->room))) {
        return false;
    }
    append->room = from_wire(wire->room);
    append->repeat = wire->repeat;
    append->gateway = from_wire(wire->gateway);
    append->message_count = wire->n_messages;
    append->messages = arena_array(append, wire->n_messages, sizeof(*append->messages));
    for (size_t i = 0; i < wire->n_messages; i++) {
        append->messages[i] = (struct contract_new_message){
            .sender = from_wire(wire->messages[i]->sender),
            .session = from_wire(wire->messages[i]->session),
            .client_id = from_wire(wire->messages[i]->client_id),
            .body = from_wire(wire->messages[i]->body),
        };
    }
    return true;
}

void contract_encode_append_reply(struct buf *out, const struct contract_append_reply *reply)
{
    struct wire_array array = wire_array_new(reply->outcome_count, sizeof(Parley__V1__Outcome));
    Parley__V1__Outcome *wire = array.elements;
    for (size_t i = 0; i < reply->outcome_count; i++) {
        const struct contract_outcome *outcome = &reply->outcomes[i];
        parley__v1__outcome__init(&wire[i]);
        wire[i].id = outcome->id;
        wire[i].at_ms = outcome->at_ms;
        wire[i].duplicate = outcome->duplicate;
        wire[i].forbidden = outcome->forbidden;
        wire[i].refusal = to_wire(outcome->refusal);
    }
    Parley__V1__AppendReply packed = PARLEY__V1__APPEND_REPLY__INIT;
    packed.status = (Parley__V1__Status)reply->status;
    packed.epoch = reply->epoch;
    packed.head = reply->head;
    packed.n_outcomes = reply->outcome_count;
    packed.outcomes = (Parley__V1__Outcome **)array.pointers;
    packed.reason = to_wire(reply->reason);
    wire_pack(out, &packed.base);
    wire_array_free(array);
}

static bool read_append_reply(struct contract_append_reply *reply, struct bytes payload)
{
    const Parley__V1__AppendReply *wire = wire_unpack(reply, &parley__v1__append_reply__descriptor,
                                                      payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || !status_is_known(wire->status)) {
        return false;
    }
    reply->status = (enum contract_status)wire->status;
    reply->epoch = wire->epoch;
    reply->head = wire->head;
    reply->reason = from_wire(wire->reason);
    reply->outcome_count = wire->n_outcomes;
    reply->outcomes = arena_array(reply, wire->n_outcomes, sizeof(*reply->outcomes));
    for (size_t i = 0; i < wire->n_outcomes; i++) {
        reply->outcomes[i] = (struct contract_outcome){
            .id = wire->outcomes[i]->id,
            .at_ms = wire->outcomes[i]->at_ms,
            .duplicate = wire->outcomes[i]->duplicate,
            .forbidden = wire->outcomes[i]->forbidden,
            .refusal = from_wire(wire->outcomes[i]->refusal),
        };
    }
    return true;
}

/* Stored messages: of a room event and of a range reply. */

static struct wire_array stored_messages_to_wire(const struct contract_stored_message *messages,
                                                 size_t count)
{
    struct wire_array array = wire_array_new(count, sizeof(Parley__V1__StoredMessage));
    Parley__V1__StoredMessage *wire = array.elements;
    for (size_t i = 0; i < count; i++) {
        parley__v1__stored_message__init(&wire[i]);
        wire[i].sender = to_wire(messages[i].sender);
        wire[i].session = to_wire(messages[i].session);
        wire[i].client_id = to_wire(messages[i].client_id);
        wire[i].body = to_wire(messages[i].body);
        wire[i].at_ms = messages[i].at_ms;
    }
    return array;
}

static struct contract_stored_message *
stored_messages_from_wire(void *object, Parley__V1__StoredMessage *const *wire, size_t count)
{
    struct contract_stored_message *messages = arena_array(object, count, sizeof(*messages));
    for (size_t i = 0; i < count; i++) {
        messages[i] = (struct contract_stored_message){
            .sender = from_wire(wire[i]->sender),
            .session = from_wire(wire[i]->session),
            .client_id = from_wire(wire[i]->client_id),
            .body = from_wire(wire[i]->body),
            .at_ms = wire[i]->at_ms,
        };
    }
    return messages;
}

void contract_encode_room_event(struct buf *out, const struct contract_room_event *event)
{
    Parley__V1__RoomEvent packed = PARLEY__V1__ROOM_EVENT__INIT;
    Parley__V1__Batch batch = PARLEY__V1__BATCH__INIT;
    Parley__V1__SessionResumed resumed = PARLEY__V1__SESSION_RESUMED__INIT;
    Parley__V1__PresenceWanted wanted = PARLEY__V1__PRESENCE_WANTED__INIT;
    struct wire_array array = {0};
    packed.room = to_wire(event->room);
    switch (event->type) {
    case CONTRACT_BATCH:
        array = stored_messages_to_wire(event->batch.messages, event->batch.message_count);
        batch.epoch = event->batch.epoch;
        batch.first_id = event->batch.first_id;
        batch.n_messages = event->batch.message_count;
        batch.messages = (Parley__V1__StoredMessage **)array.pointers;
        packed.event_case = PARLEY__V1__ROOM_EVENT__EVENT_BATCH;
        packed.batch = &batch;
        break;
    case CONTRACT_SESSION_RESUMED:
        resumed.session = to_wire(event->resumed.session);
        resumed.gateway = to_wire(event->resumed.gateway);
        resumed.connection = event->resumed.connection;
        packed.event_case = PARLEY__V1__ROOM_EVENT__EVENT_SESSION_RESUMED;
        packed.session_resumed = &resumed;
        break;
    case CONTRACT_PRESENCE_WANTED:
        wanted.gateway = to_wire(event->presence_wanted.gateway);
        wanted.valid_ms = event->presence_wanted.valid_ms;
        wanted.is_new = event->presence_wanted.is_new;
        packed.event_case = PARLEY__V1__ROOM_EVENT__EVENT_SESSION_RESUMED;
        packed.session_resumed = &resumed; /* of no session: for readers of before */
        packed.presence_wanted = &wanted;
        break;
    }
    wire_pack(out, &packed.base);
    wire_array_free(array);
}

static bool read_room_event(struct contract_room_event *event, struct bytes payload)
{
    const Parley__V1__RoomEvent *wire = wire_unpack(event, &parley__v1__room_event__descriptor,
                                                    payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || !room_is_valid(from_wire(wire->room))) {
        return false;
    }
    event->room = from_wire(wire->room);
    if (wire->presence_wanted != NULL) {
        event->type = CONTRACT_PRESENCE_WANTED;
        event->presence_wanted.gateway = from_wire(wire->presence_wanted->gateway);
        event->presence_wanted.valid_ms = wire->presence_wanted->valid_ms;
        event->presence_wanted.is_new = wire->presence_wanted->is_new;
        return event->presence_wanted.gateway.len == CONTRACT_GATEWAY_ID_BYTES;
    }
    switch (wire->event_case) {
    case PARLEY__V1__ROOM_EVENT__EVENT_BATCH: {
        const Parley__V1__Batch *batch = wire->batch;
        if (batch->n_messages == 0 || !ids_are_valid(batch->first_id, batch->n_messages)) {
            return false;
        }
        event->type = CONTRACT_BATCH;
        event->batch.epoch = batch->epoch;
        event->batch.first_id = batch->first_id;
        event->batch.message_count = batch->n_messages;
        event->batch.messages =
            stored_messages_from_wire(event, batch->messages, batch->n_messages);
        return true;
    }
    case PARLEY__V1__ROOM_EVENT__EVENT_SESSION_RESUMED:
        event->type = CONTRACT_SESSION_RESUMED;
        event->resumed.session = from_wire(wire->session_resumed->session);
        event->resumed.gateway = from_wire(wire->session_resumed->gateway);
        event->resumed.connection = wire->session_resumed->connection;
        return true;
    default: return false; /* no event, or one of a newer version */
    }
}

/* Queries and their replies. */

void contract_encode_query(struct buf *out, const struct contract_query *query)
{
    Parley__V1__Query packed = PARLEY__V1__QUERY__INIT;
    Parley__V1__Range range = PARLEY__V1__RANGE__INIT;
    Parley__V1__Heads heads = PARLEY__V1__HEADS__INIT;
    ProtobufCBinaryData *rooms = NULL;
    switch (query->type) {
    case CONTRACT_RANGE:
        range.room = to_wire(query->range.room);
        range.from = query->range.from;
        range.to = query->range.to;
        range.limit = query->range.limit;
        range.newest = query->range.newest;
        packed.query_case = PARLEY__V1__QUERY__QUERY_RANGE;
        packed.range = &range;
        break;
    case CONTRACT_HEADS:
        rooms = mem_alloc((query->heads.room_count + 1) * sizeof(*rooms));
        for (size_t i = 0; i < query->heads.room_count; i++) {
            rooms[i] = to_wire(query->heads.rooms[i]);
        }
        heads.n_rooms = query->heads.room_count;
        heads.rooms = rooms;
        packed.query_case = PARLEY__V1__QUERY__QUERY_HEADS;
        packed.heads = &heads;
        break;
    }
    wire_pack(out, &packed.base);
    free(rooms);
}

static bool read_query(struct contract_query *query, struct bytes payload)
{
    const Parley__V1__Query *wire =
        wire_unpack(query, &parley__v1__query__descriptor, payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL) {
        return false;
    }
    switch (wire->query_case) {
    case PARLEY__V1__QUERY__QUERY_RANGE:
        query->type = CONTRACT_RANGE;
        query->range.room = from_wire(wire->range->room);
        query->range.from = wire->range->from;
        query->range.to = wire->range->to;
        query->range.limit = wire->range->limit;
        query->range.newest = wire->range->newest;
        return room_is_valid(query->range.room);
    case PARLEY__V1__QUERY__QUERY_HEADS:
        query->type = CONTRACT_HEADS;
        query->heads.room_count = wire->heads->n_rooms;
        query->heads.rooms = arena_array(query, wire->heads->n_rooms, sizeof(struct bytes));
        for (size_t i = 0; i < wire->heads->n_rooms; i++) {
            query->heads.rooms[i] = from_wire(wire->heads->rooms[i]);
            if (!room_is_valid(query->heads.rooms[i])) {
                return false;
            }
        }
        return true;
    default: return false;
    }
}

static struct wire_array epochs_to_wire(const struct contract_epoch_start *epochs, size_t count)
{
    struct wire_array array = wire_array_new(count, sizeof(Parley__V1__EpochStart));
    Parley__V1__EpochStart *wire = array.elements;
    for (size_t i = 0; i < count; i++) {
        parley__v1__epoch_start__init(&wire[i]);
        wire[i].epoch = epochs[i].epoch;
        wire[i].first_id = epochs[i].first_id;
    }
    return array;
}

static struct wire_array heads_to_wire(const struct contract_head *heads, size_t count)
{
    struct wire_array array = wire_array_new(count, sizeof(Parley__V1__Head));
    Parley__V1__Head *wire = array.elements;
    for (size_t i = 0; i < count; i++) {
        parley__v1__head__init(&wire[i]);
        wire[i].epoch = heads[i].epoch;
        wire[i].head = heads[i].head;
    }
    return array;
}

static void pack_range_reply(struct buf *out, Parley__V1__QueryReply *packed,
                             const struct contract_query_reply *reply)
{
    struct wire_array messages =
        stored_messages_to_wire(reply->range.messages, reply->range.message_count);
    struct wire_array epochs = epochs_to_wire(reply->range.epochs, reply->range.epoch_count);
    Parley__V1__RangeReply range = PARLEY__V1__RANGE_REPLY__INIT;
    range.epoch = reply->range.epoch;
    range.head = reply->range.head;
    range.oldest = reply->range.oldest;
    range.first_id = reply->range.first_id;
    range.n_messages = reply->range.message_count;
    range.messages = (Parley__V1__StoredMessage **)messages.pointers;
    range.n_epochs = reply->range.epoch_count;
    range.epochs = (Parley__V1__EpochStart **)epochs.pointers;
    packed->reply_case = PARLEY__V1__QUERY_REPLY__REPLY_RANGE;
    packed->range = &range;
    wire_pack(out, &packed->base);
    packed->range = NULL;
    wire_array_free(messages);
    wire_array_free(epochs);
}

static void pack_heads_reply(struct buf *out, Parley__V1__QueryReply *packed,
                             const struct contract_query_reply *reply)
{
    struct wire_array heads = heads_to_wire(reply->heads.heads, reply->heads.head_count);
    Parley__V1__HeadsReply wire = PARLEY__V1__HEADS_REPLY__INIT;
    wire.n_heads = reply->heads.head_count;
    wire.heads = (Parley__V1__Head **)heads.pointers;
    packed->reply_case = PARLEY__V1__QUERY_REPLY__REPLY_HEADS;
    packed->heads = &wire;
    wire_pack(out, &packed->base);
    packed->heads = NULL;
    wire_array_free(heads);
}

void contract_encode_query_reply(struct buf *out, const struct contract_query_reply *reply)
{
    Parley__V1__QueryReply packed = PARLEY__V1__QUERY_REPLY__INIT;
    packed.status = (Parley__V1__Status)reply->status;
    packed.reason = to_wire(reply->reason);
    if (reply->status != CONTRACT_OK) {
        wire_pack(out, &packed.base);
    } else if (reply->type == CONTRACT_RANGE) {
        pack_range_reply(out, &packed, reply);
    } else {
        pack_heads_reply(out, &packed, reply);
    }
}

static bool read_range_reply(struct contract_query_reply *reply, const Parley__V1__RangeReply *wire)
{
    if (wire->n_messages > 0 && !ids_are_valid(wire->first_id, wire->n_messages)) {
        return false;
    }
    reply->type = CONTRACT_RANGE;
    reply->range.epoch = wire->epoch;
    reply->range.head = wire->head;
    reply->range.oldest = wire->oldest;
    reply->range.first_id = wire->first_id;
    reply->range.message_count = wire->n_messages;
    reply->range.messages = stored_messages_from_wire(reply, wire->messages, wire->n_messages);
    reply->range.epoch_count = wire->n_epochs;
    reply->range.epochs = arena_array(reply, wire->n_epochs, sizeof(struct contract_epoch_start));
    for (size_t i = 0; i < wire->n_epochs; i++) {
        reply->range.epochs[i] = (struct contract_epoch_start){
            .epoch = wire->epochs[i]->epoch,
            .first_id = wire->epochs[i]->first_id,
        };
    }
    return true;
}

static bool read_heads_reply(struct contract_query_reply *reply, const Parley__V1__HeadsReply *wire)
{
    reply->type = CONTRACT_HEADS;
    reply->heads.head_count = wire->n_heads;
    reply->heads.heads = arena_array(reply, wire->n_heads, sizeof(struct contract_head));
    for (size_t i = 0; i < wire->n_heads; i++) {
        reply->heads.heads[i] = (struct contract_head){
            .epoch = wire->heads[i]->epoch,
            .head = wire->heads[i]->head,
        };
    }
    return true;
}

static bool read_query_reply(struct contract_query_reply *reply, struct bytes payload)
{
    const Parley__V1__QueryReply *wire = wire_unpack(reply, &parley__v1__query_reply__descriptor,
                                                     payload, CONTRACT_MESSAGE_BYTES_MAX);
    if (wire == NULL || !status_is_known(wire->status)) {
        return false;
    }
    reply->status = (enum contract_status)wire->status;
    reply->reason = from_wire(wire->reason);
    if (reply->status != CONTRACT_OK) {
        return true;
    }
    switch (wire->reply_case) {
    case PARLEY__V1__QUERY_REPLY__REPLY_RANGE: return read_range_reply(reply, wire->range);
    case PARLEY__V1__QUERY_REPLY__REPLY_HEADS: return read_heads_reply(reply, wire->heads);
    default: return false;
    }
}

/* The decoders. */

DEFINE_DECODER(append)

/* A first field 1 of the type string, whose length takes one byte. */
struct bytes contract_peek_append_room(struct bytes payload)
{
    enum { TAG = 1 << 3 | 2, HEADER_BYTES = 2 };
    if (payload.len < HEADER_BYTES || payload.data[0] != TAG) {
        return (struct bytes){0};
    }
    struct bytes room = bytes_of(payload.data + HEADER_BYTES, (unsigned char)payload.data[1]);
    bool is_there = room_is_valid(room) && room.len <= payload.len - HEADER_BYTES;
    return is_there ? room : (struct bytes){0};
}

DEFINE_DECODER(append_reply)
DEFINE_DECODER(room_event)
DEFINE_DECODER(query)
DEFINE_DECODER(query_reply)

/* Upper bounds: a tag below 16 is one byte, a varint at most five for a length and ten for a
 * number. */

enum { FIELD_HEADER_BYTES_MAX = 1 + 5, FIELD_NUMBER_BYTES_MAX = 1 + 10 };

size_t contract_new_message_size(const struct contract_new_message *message)
{
    return (size_t)5 * FIELD_HEADER_BYTES_MAX + message->sender.len + message->session.len +
           message->client_id.len + message->body.len;
}

size_t contract_stored_message_size(const struct contract_stored_message *message)
{
    return 5 * FIELD_HEADER_BYTES_MAX + FIELD_NUMBER_BYTES_MAX + message->sender.len +
           message->session.len + message->client_id.len + message->body.len;
}
