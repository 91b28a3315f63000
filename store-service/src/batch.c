#include "batch.h"

#include "text.h"

#include <stdlib.h>

void work_init(struct work *work, const struct contract_append *append, uint64_t arrived_us)
{
    *work = (struct work){
        .append = append,
        .outcomes = mem_alloc_zeroed(append->message_count * sizeof(*work->outcomes) + 1),
        .pending = append->message_count,
        .arrived_us = arrived_us,
    };
}

void work_release(struct work *work)
{
    free(work->outcomes);
}

void work_note_commit(struct work *work, uint64_t epoch, uint64_t head)
{
    work->spans_epochs |= work->epoch != 0 && work->epoch != epoch;
    work->epoch = epoch;
    work->head = head;
}

static int compare_names(struct bytes a, struct bytes b)
{
    int order = memcmp(a.data, b.data, MIN_OF(a.len, b.len));
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_works(const void *a, const void *b)
{
    const struct work *const *x = a;
    const struct work *const *y = b;
    return compare_names((*x)->append->room, (*y)->append->room);
}

/* Fills batch->rooms, and gives each work the place of its room there. */
static void collect_rooms(struct batch *batch, struct work *const *works, size_t work_count)
{
    struct work **sorted = mem_alloc((work_count + 1) * sizeof(struct work *));
    memcpy(sorted, works, work_count * sizeof(struct work *));
    qsort(sorted, work_count, sizeof(struct work *), compare_works);
    batch->rooms = mem_alloc((work_count + 1) * sizeof(*batch->rooms));
    for (size_t i = 0; i < work_count; i++) {
        struct bytes room = sorted[i]->append->room;
        if (i == 0 || !bytes_equal(room, batch->rooms[batch->room_count - 1])) {
            batch->rooms[batch->room_count++] = room;
        }
        sorted[i]->room = (uint32_t)(batch->room_count - 1);
    }
    free(sorted);
}

static void add_item(struct batch *batch, struct work *work, size_t place)
{
    struct batch_item *item = &batch->item_block[batch->item_count];
    *item = (struct batch_item){.work = work, .place = place};
    const char *refusal = message_refusal(batch_item_message(item));
    if (refusal != NULL) {
        batch_item_refuse(item, refusal);
    } else {
        batch->items[batch->item_count++] = item;
    }
}

void batch_init(struct batch *batch, struct work **works, size_t work_count)
{
    *batch = (struct batch){0};
    collect_rooms(batch, works, work_count);
    size_t count = 0;
    for (size_t i = 0; i < work_count; i++) {
        count += works[i]->append->message_count;
    }
    batch->items = mem_alloc((count + 1) * sizeof(struct batch_item *));
    batch->item_block = mem_alloc((count + 1) * sizeof(struct batch_item));
    for (size_t i = 0; i < work_count; i++) {
        for (size_t place = 0; place < works[i]->append->message_count; place++) {
            add_item(batch, works[i], place);
        }
    }
}

void batch_release(struct batch *batch)
{
    free(batch->rooms);
    free(batch->items);
    free(batch->item_block);
}

static void settle(struct batch_item *item)
{
    ASSERT(!item->is_settled && item->work->pending > 0);
    item->is_settled = true;
    item->work->pending--;
}

void batch_item_store(struct batch_item *item, uint64_t id, uint64_t at_ms, bool duplicate)
{
    ASSERT(id > 0);
    settle(item);
    *batch_item_outcome(item) =
        (struct contract_outcome){.id = id, .at_ms = at_ms, .duplicate = duplicate};
}

void batch_item_refuse(struct batch_item *item, const char *refusal)
{
    settle(item);
    *batch_item_outcome(item) = (struct contract_outcome){.refusal = bytes_of_string(refusal)};
}

void batch_item_forbid(struct batch_item *item)
{
    settle(item);
    *batch_item_outcome(item) = (struct contract_outcome){
        .forbidden = true,
        .refusal = BYTES("the room is closed for writing"),
    };
}

size_t batch_keep_waiting(struct batch_item **items, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct work *work = items[i]->work;
        if (!items[i]->is_settled && !work->is_answered && !work->is_postponed) {
            items[kept++] = items[i];
        }
    }
    return kept;
}

static int compare_by_room(const void *a, const void *b)
{
    const struct batch_item *x = *(struct batch_item *const *)a;
    const struct batch_item *y = *(struct batch_item *const *)b;
    if (x->work->room != y->work->room) {
        return x->work->room < y->work->room ? -1 : 1;
    }
    return x < y ? -1 : x > y; /* all are of one block, in the order in which they came */
}

void batch_sort_by_room(struct batch_item **items, size_t count)
{
    qsort(items, count, sizeof(struct batch_item *), compare_by_room);
}

size_t batch_same_room(struct batch_item *const *items, size_t count)
{
    size_t same = 1;
    while (same < count && items[same]->work->room == items[0]->work->room) {
        same++;
    }
    return same;
}

static int compare_by_id(const void *a, const void *b)
{
    const struct batch_item *x = *(struct batch_item *const *)a;
    const struct batch_item *y = *(struct batch_item *const *)b;
    if (x->work->room != y->work->room) {
        return x->work->room < y->work->room ? -1 : 1;
    }
    uint64_t x_id = batch_item_outcome(x)->id;
    uint64_t y_id = batch_item_outcome(y)->id;
    return x_id < y_id ? -1 : x_id > y_id;
}

static struct contract_stored_message stored_message(const struct batch_item *item)
{
    const struct contract_new_message *message = batch_item_message(item);
    return (struct contract_stored_message){
        .sender = message->sender,
        .session = item->stored_session,
        .client_id = message->client_id,
        .body = message->body,
        .at_ms = batch_item_outcome(item)->at_ms,
    };
}

/* A run that grows. */
struct run {
    struct contract_room_event event;
    uint32_t room;
    size_t bytes;
    void (*on_run)(void *user, const struct contract_room_event *event);
    void *user;
};

static void run_end(struct run *run)
{
    if (run->event.batch.message_count > 0) {
        run->on_run(run->user, &run->event);
    }
    run->event.batch.message_count = 0;
    run->bytes = CONTRACT_ENVELOPE_BYTES_MAX;
}

static void run_add(struct run *run, const struct batch_item *item)
{
    struct contract_stored_message message = stored_message(item);
    size_t size = contract_stored_message_size(&message);
    uint64_t id = batch_item_outcome(item)->id;
    size_t count = run->event.batch.message_count;
    if (count > 0 && run->room == item->work->room && id + 1 == run->event.batch.first_id + count) {
        return; /* the same row again */
    }
    if (count == 0 || run->room != item->work->room || id != run->event.batch.first_id + count ||
        run->bytes + size > CONTRACT_MESSAGE_BYTES_MAX) {
        run_end(run);
        run->room = item->work->room;
        run->event.room = item->work->append->room;
        run->event.batch.epoch = item->work->epoch;
        run->event.batch.first_id = id;
    }
    run->event.batch.messages[run->event.batch.message_count++] = message;
    run->bytes += size;
}

void batch_runs(struct batch_item *const *items, size_t count,
                void (*on_run)(void *user, const struct contract_room_event *event), void *user)
{
    struct batch_item **sorted = mem_alloc((count + 1) * sizeof(struct batch_item *));
    size_t publishable = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i]->is_to_publish) {
            sorted[publishable++] = items[i];
        }
    }
    qsort(sorted, publishable, sizeof(struct batch_item *), compare_by_id);
    struct run run = {.event.type = CONTRACT_BATCH, .on_run = on_run, .user = user};
    run.event.batch.messages =
        mem_alloc((publishable + 1) * sizeof(struct contract_stored_message));
    for (size_t i = 0; i < publishable; i++) {
        run_add(&run, sorted[i]);
    }
    run_end(&run);
    free(run.event.batch.messages);
    free(sorted);
}
