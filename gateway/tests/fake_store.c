#include "fake_store.h"

#include <stdlib.h>

enum { SHORT_CLIENT_ID_BYTES = 16 };

void fake_store_init(struct fake_store *store)
{
    *store = (struct fake_store){.epoch = 1, .first_epoch = 1, .range_messages_max = CONTRACT_PAGE};
}

static void message_release(struct fake_message *message)
{
    buf_release(&message->sender);
    buf_release(&message->session);
    buf_release(&message->client_id);
    buf_release(&message->body);
}

static void room_cut(struct fake_room *room, size_t kept)
{
    while (room->head > kept) {
        message_release(&room->messages[--room->head]);
    }
    room->oldest = MIN_OF(room->oldest, (uint64_t)room->head + 1);
}

void fake_store_release(struct fake_store *store)
{
    for (size_t i = 0; i < store->room_count; i++) {
        room_cut(&store->rooms[i], 0);
        free(store->rooms[i].messages);
    }
}

struct fake_room *fake_store_room(struct fake_store *store, struct bytes name)
{
    for (size_t i = 0; i < store->room_count; i++) {
        if (bytes_equal(bytes_of_string(store->rooms[i].name), name)) {
            return &store->rooms[i];
        }
    }
    ASSERT(store->room_count < FAKE_ROOMS_MAX && name.len <= CONTRACT_ROOM_BYTES_MAX);
    struct fake_room *room = &store->rooms[store->room_count++];
    *room = (struct fake_room){.oldest = 1, .epoch_count = 1};
    room->epochs[0] = (struct contract_epoch_start){.epoch = store->epoch, .first_id = 1};
    memcpy(room->name, name.data, name.len);
    return room;
}

static struct contract_stored_message stored(const struct fake_message *message)
{
    return (struct contract_stored_message){
        .sender = buf_bytes(&message->sender),
        .session = buf_bytes(&message->session),
        .client_id = buf_bytes(&message->client_id),
        .body = buf_bytes(&message->body),
        .at_ms = message->at_ms,
    };
}

void fake_store_add(struct fake_room *room, const struct contract_new_message *message,
                    uint64_t at_ms)
{
    if (room->head == room->capacity) {
        room->capacity = room->capacity * 2 + 64;
        room->messages = mem_resize(room->messages, room->capacity * sizeof(room->messages[0]));
    }
    struct fake_message *added = &room->messages[room->head++];
    *added = (struct fake_message){.at_ms = at_ms};
    buf_append_bytes(&added->sender, message->sender);
    buf_append_bytes(&added->session, message->session);
    buf_append_bytes(&added->client_id, message->client_id);
    buf_append_bytes(&added->body, message->body);
}

/* The rule of parley_dedup_key(). */
static bool is_same(const struct fake_message *old, const struct contract_new_message *message)
{
    bool counts_in_session_only = message->client_id.len < SHORT_CLIENT_ID_BYTES ||
                                  bytes_start_with(message->client_id, BYTES("undefined-"));
    return bytes_equal(buf_bytes(&old->client_id), message->client_id) &&
           bytes_equal(buf_bytes(&old->sender), message->sender) &&
           bytes_equal(buf_bytes(&old->body), message->body) &&
           (!counts_in_session_only || bytes_equal(buf_bytes(&old->session), message->session));
}

static uint64_t find_same(const struct fake_room *room, const struct contract_new_message *message)
{
    for (size_t i = room->head; i > 0; i--) {
        if (is_same(&room->messages[i - 1], message)) {
            return i;
        }
    }
    return 0;
}

static void publish(struct fake_store *store, const struct fake_room *room, uint64_t first_id,
                    size_t count)
{
    struct contract_stored_message *messages = mem_alloc((count + 1) * sizeof(*messages));
    for (size_t i = 0; i < count; i++) {
        messages[i] = stored(&room->messages[first_id - 1 + i]);
    }
    struct contract_room_event event = {
        .room = bytes_of_string(room->name),
        .type = CONTRACT_BATCH,
        .batch = {.epoch = store->epoch,
                  .first_id = first_id,
                  .message_count = count,
                  .messages = messages},
    };
    if (count > 0 && store->publish != NULL) {
        store->publish(store->user, &event);
    }
    free(messages);
}

void fake_store_append(struct fake_store *store, const struct contract_append *append,
                       uint64_t now_ms, struct buf *out)
{
    struct fake_room *room = fake_store_room(store, append->room);
    struct contract_outcome *outcomes = mem_alloc((append->message_count + 1) * sizeof(*outcomes));
    uint64_t first_new = room->head + 1;
    for (size_t i = 0; i < append->message_count; i++) {
        const struct contract_new_message *message = &append->messages[i];
        uint64_t id = find_same(room, message);
        bool is_refused = bytes_equal(message->body, BYTES("refuse me"));
        outcomes[i] = (struct contract_outcome){.duplicate = id != 0};
        if (is_refused) {
            outcomes[i].refusal = BYTES("Postgres will never take it");
            continue;
        }
        if (id == 0) {
            fake_store_add(room, message, now_ms);
            id = room->head;
        } else if (id < first_new) {
            publish(store, room, id, 1);
        }
        outcomes[i].id = id;
        outcomes[i].at_ms = room->messages[id - 1].at_ms;
    }
    publish(store, room, first_new, room->head + 1 - first_new);
    struct contract_append_reply reply = {
        .epoch = store->epoch,
        .head = room->head,
        .outcome_count = append->message_count,
        .outcomes = outcomes,
    };
    contract_encode_append_reply(out, &reply);
    free(outcomes);
}

/* How many of the @count messages from @from on fit into one answer; of the last of them when @newest. */
static size_t fitting(const struct fake_room *room, uint64_t from, size_t count, bool newest)
{
    size_t bytes = CONTRACT_ENVELOPE_BYTES_MAX;
    for (size_t i = 0; i < count; i++) {
        struct contract_stored_message message =
            stored(&room->messages[newest ? from - 1 + count - 1 - i : from - 1 + i]);
        bytes += contract_stored_message_size(&message);
        if (bytes > CONTRACT_MESSAGE_BYTES_MAX) {
            return i;
        }
    }
    return count;
}

static void answer_range(struct fake_store *store, const struct contract_query *query,
                         struct buf *out)
{
    struct fake_room *room = fake_store_room(store, query->range.room);
    uint64_t from = MAX_OF(query->range.from, room->oldest);
    uint64_t to = query->range.to == 0 ? room->head : MIN_OF(query->range.to, (uint64_t)room->head);
    size_t limit = MIN_OF((size_t)query->range.limit, store->range_messages_max);
    ASSERT(limit >= 1 && limit <= CONTRACT_PAGE);
    size_t count = from > to ? 0 : (size_t)MIN_OF((uint64_t)limit, to - from + 1);
    if (query->range.newest && count > 0) {
        from = to - count + 1;
    }
    size_t kept = fitting(room, from, count, query->range.newest);
    from += query->range.newest ? count - kept : 0;
    count = kept;
    struct contract_stored_message messages[CONTRACT_PAGE];
    for (size_t i = 0; i < count; i++) {
        messages[i] = stored(&room->messages[from - 1 + i]);
    }
    struct contract_query_reply reply = {
        .type = CONTRACT_RANGE,
        .range = {.epoch = store->epoch,
                  .head = room->head,
                  .oldest = room->oldest,
                  .first_id = count > 0 ? from : 0,
                  .message_count = count,
                  .messages = messages,
                  .epoch_count = room->epoch_count,
                  .epochs = room->epochs},
    };
    contract_encode_query_reply(out, &reply);
}

static void answer_heads(struct fake_store *store, const struct contract_query *query,
                         struct buf *out)
{
    size_t count = query->heads.room_count;
    struct contract_head *heads = mem_alloc((count + 1) * sizeof(*heads));
    for (size_t i = 0; i < count; i++) {
        heads[i].epoch = store->epoch;
        heads[i].head = fake_store_room(store, query->heads.rooms[i])->head;
    }
    struct contract_query_reply reply = {
        .type = CONTRACT_HEADS,
        .heads = {.head_count = count, .heads = heads},
    };
    contract_encode_query_reply(out, &reply);
    free(heads);
}

void fake_store_query(struct fake_store *store, const struct contract_query *query, struct buf *out)
{
    if (query->type == CONTRACT_RANGE) {
        answer_range(store, query, out);
    } else {
        answer_heads(store, query, out);
    }
}

void fake_store_fill(struct fake_store *store, struct bytes name, const char *prefix, size_t count)
{
    struct fake_room *room = fake_store_room(store, name);
    for (size_t i = 0; i < count; i++) {
        struct buf text = BUF_INIT;
        buf_append_format(&text, "%s%zu", prefix, room->head + 1);
        struct contract_new_message message = {
            .sender = BYTES("someone"),
            .session = BYTES("ssssssssssssssssssss"),
            .client_id = BYTES("f"),
            .body = buf_bytes(&text),
        };
        fake_store_add(room, &message, 1);
        buf_release(&text);
    }
}

void fake_store_cut(struct fake_store *store, struct fake_room *room, size_t kept)
{
    store->forgotten += room->head - MIN_OF(kept, room->head);
    room_cut(room, kept);
}

void fake_store_restore_backup(struct fake_store *store, size_t kept)
{
    store->epoch++;
    for (size_t i = 0; i < store->room_count; i++) {
        struct fake_room *room = &store->rooms[i];
        fake_store_cut(store, room, kept);
        while (room->epochs[room->epoch_count - 1].first_id > room->head + 1) {
            room->epoch_count--; /* the backup is older than that epoch */
        }
        ASSERT(room->epoch_count < FAKE_EPOCHS_MAX);
        room->epochs[room->epoch_count++] =
            (struct contract_epoch_start){.epoch = store->epoch, .first_id = room->head + 1};
    }
}

void fake_store_remove_below(struct fake_store *store, struct bytes room, uint64_t oldest)
{
    fake_store_room(store, room)->oldest = oldest;
}
