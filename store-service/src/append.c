#include "append.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "batch.h"
#include "limits.h"
#include "text.h"

#include <stdlib.h>

/* A request on its way through the lane. */
struct append_request {
    struct work work; /* first: a work is its request */
    struct bus_request *request;
    struct contract_append *append;
};

/* One transaction's worth of requests, as long as it takes. */
struct append_run {
    const struct append_settings *settings;
    struct lane *lane;
    struct batch batch;
};

/* Answers. */

static const char LATE[] = "Postgres did not take it in time.";

void append_refuse(struct bus *bus, struct bus_request *request, enum contract_status status,
                   const char *reason)
{
    struct contract_append_reply reply = {.status = status, .reason = bytes_of_string(reason)};
    struct buf payload = BUF_INIT;
    contract_encode_append_reply(&payload, &reply);
    bus_reply(bus, request, buf_bytes(&payload));
    buf_release(&payload);
}

/* Refusals have sentences; where the reply would be too long for that, they are refused without. */
static void encode_reply(struct buf *payload, const struct contract_append_reply *reply)
{
    contract_encode_append_reply(payload, reply);
    if (payload->len > CONTRACT_MESSAGE_BYTES_MAX) {
        for (size_t i = 0; i < reply->outcome_count; i++) {
            reply->outcomes[i].refusal = BYTES("");
        }
        buf_clear(payload);
        contract_encode_append_reply(payload, reply);
    }
}

static void answer_unavailable(struct append_run *run, struct work *work, const char *reason)
{
    struct append_request *request = CONTAINER_OF(work, struct append_request, work);
    append_refuse(run->settings->bus, request->request, CONTRACT_UNAVAILABLE, reason);
    stat_add(&run->settings->stats->appends_unavailable, 1);
    work->is_answered = true;
}

static void answer(struct append_run *run, struct work *work)
{
    struct append_request *request = CONTAINER_OF(work, struct append_request, work);
    ASSERT(work->pending == 0 && !work->is_answered);
    if (work->spans_epochs) { /* asked again, all of it is found, or stored, in the new one */
        answer_unavailable(run, work, "A new epoch began meanwhile.");
        return;
    }
    struct contract_append_reply reply = {
        .status = CONTRACT_OK,
        .epoch = work->epoch,
        .head = work->head,
        .outcome_count = work->append->message_count,
        .outcomes = work->outcomes,
    };
    struct buf payload = BUF_INIT;
    encode_reply(&payload, &reply);
    bus_reply(run->settings->bus, request->request, buf_bytes(&payload));
    buf_release(&payload);
    stat_add(&run->settings->stats->appends_ok, 1);
    histogram_record(&run->settings->stats->append_us, clock_monotonic_us() - work->arrived_us);
    work->is_answered = true;
}

/* Gives up on works that have waited too long, or need not wait; returns how many items still wait. */
static size_t drop_old(struct append_run *run, struct batch_item **items, size_t count)
{
    uint64_t now_us = clock_monotonic_us();
    bool is_away = lane_is_away(run->lane);
    for (size_t i = 0; i < count; i++) {
        struct work *work = items[i]->work;
        bool is_old = now_us - work->arrived_us > REQUEST_WAIT_MS_MAX * UINT64_C(1000);
        if (!work->is_answered && !work->is_postponed && (is_old || is_away)) {
            answer_unavailable(run, work, LATE);
        }
    }
    return batch_keep_waiting(items, count);
}

/* The statement. */

/* Fills @params with the arguments of parley_append(). Returns how many rooms they name. */
static size_t write_arguments(struct pg_params *params, const struct batch *batch,
                              struct batch_item *const *items, size_t count, bool waits)
{
    int32_t *room_place = mem_alloc_zeroed((batch->room_count + 1) * sizeof(*room_place));
    size_t room_count = 0;
    for (size_t i = 0; i < count; i++) {
        room_count += room_place[items[i]->work->room]++ == 0;
    }
    pg_param_text_array(params, room_count);
    int32_t place = 0;
    for (size_t room = 0; room < batch->room_count; room++) {
        if (room_place[room] > 0) {
            room_place[room] = ++place;
            pg_element_text(params, batch->rooms[room]);
        }
    }
    pg_param_int4_array(params, count);
    for (size_t i = 0; i < count; i++) {
        pg_element_int4(params, room_place[items[i]->work->room]);
    }
    pg_param_text_array(params, count);
    for (size_t i = 0; i < count; i++) {
        pg_element_text(params, batch_item_message(items[i])->sender);
    }
    pg_param_text_array(params, count);
    for (size_t i = 0; i < count; i++) {
        pg_element_text(params, batch_item_message(items[i])->session);
    }
    pg_param_text_array(params, count);
    for (size_t i = 0; i < count; i++) {
        pg_element_text(params, batch_item_message(items[i])->client_id);
    }
    pg_param_text_array(params, count);
    for (size_t i = 0; i < count; i++) {
        pg_element_text(params, batch_item_message(items[i])->body);
    }
    pg_param_bool(params, waits);
    free(room_place);
    return room_count;
}

/* The columns of parley_append()'s result, in order. */
enum { PLACE, ID, AT, DUPLICATE, SESSION, EPOCH, HEAD };

static void log_stored(const struct batch_item *item)
{
    const struct contract_outcome *outcome = batch_item_outcome(item);
    LOG(LOG_DEBUG, "message_stored", F_BYTES("room", item->work->append->room),
        F_INT("id", outcome->id), F_BYTES("client_id", batch_item_message(item)->client_id),
        F_BOOL("duplicate", outcome->duplicate), F_BYTES("gateway", item->work->append->gateway));
}

/* Takes one row of the result. */
static void settle_row(struct append_run *run, struct batch_item *const *items, size_t count,
                       const PGresult *result, int row)
{
    int32_t place = pg_int4(result, row, PLACE);
    ASSERT(place >= 1 && (size_t)place <= count);
    struct batch_item *item = items[place - 1];
    bool is_duplicate = pg_bool(result, row, DUPLICATE);
    bool was_found = !PQgetisnull(result, row, SESSION); /* stored by an earlier transaction */
    work_note_commit(item->work, (uint64_t)pg_int8(result, row, EPOCH),
                     (uint64_t)pg_int8(result, row, HEAD));
    uint64_t id = (uint64_t)pg_int8(result, row, ID);
    if (id == 0) {
        batch_item_forbid(item);
        stat_add(&run->settings->stats->messages_refused, 1);
        return;
    }
    batch_item_store(item, id, pg_time_ms(result, row, AT), is_duplicate);
    item->is_to_publish = !is_duplicate || was_found;
    item->stored_session =
        was_found ? pg_text(result, row, SESSION) : batch_item_message(item)->session;
    struct stats *stats = run->settings->stats;
    stat_add(is_duplicate ? &stats->messages_duplicate : &stats->messages_stored, 1);
    if (was_found) {
        stat_add(&stats->messages_republished, 1);
    }
    log_stored(item);
}

static void publish_run(void *user, const struct contract_room_event *event)
{
    const struct append_run *run = user;
    struct buf payload = BUF_INIT;
    contract_encode_room_event(&payload, event);
    ASSERT(payload.len <= CONTRACT_MESSAGE_BYTES_MAX);
    bus_publish_room(run->settings->bus, event->room, buf_bytes(&payload));
    buf_release(&payload);
}

/*
 * What follows a commit: first the rooms hear of it, then who asked. Of what was found stored as well: its store may have
 * died, or still be, between commit and broadcast.
 */
static void publish_and_answer(struct append_run *run, struct batch_item *const *items,
                               size_t count)
{
    batch_runs(items, count, publish_run, run);
    for (size_t i = 0; i < count; i++) {
        items[i]->is_to_publish = false;
        if (items[i]->work->pending == 0 && !items[i]->work->is_answered) {
            answer(run, items[i]->work);
        }
    }
}

/* Sends the statement once. After STORE_COMMITTED all is settled, published and answered but the rooms it skipped. */
static enum store_result try_once(struct append_run *run, struct pg *pg,
                                  struct batch_item *const *items, size_t count, bool waits,
                                  struct buf *error)
{
    struct stats *stats = run->settings->stats;
    struct pg_params params;
    pg_params_init(&params);
    size_t rooms = write_arguments(&params, &run->batch, items, count, waits);
    PGresult *result;
    uint64_t start_us = clock_monotonic_us();
    enum store_result what = pg_run_prepared(
        pg, "parley_append", "SELECT * FROM parley_append($1, $2, $3, $4, $5, $6, $7)", &params,
        STATEMENT_DEADLINE_MS, &result, error);
    pg_params_release(&params);
    if (what != STORE_COMMITTED) {
        return what;
    }
    FAILPOINT("store.after_commit");
    histogram_record(&stats->transaction_us, clock_monotonic_us() - start_us);
    histogram_record(&stats->transaction_messages, count * BATCH_SCALE);
    histogram_record(&stats->transaction_rooms, rooms * BATCH_SCALE);
    for (int row = 0; row < PQntuples(result); row++) {
        settle_row(run, items, count, result, row);
    }
    publish_and_answer(run, items, count);
    PQclear(result);
    return STORE_COMMITTED;
}

/* The lane's work. */

/* One try, as soon as there is a connection. */
static enum store_result try_on_connection(struct append_run *run, struct batch_item *const *items,
                                           size_t count, bool waits)
{
    struct stats *stats = run->settings->stats;
    struct pg *pg = lane_connection(run->lane);
    if (pg == NULL) {
        return STORE_RETRY;
    }
    struct buf error = BUF_INIT;
    enum store_result what = try_once(run, pg, items, count, waits, &error);
    switch (what) {
    case STORE_COMMITTED:
        stat_add(&stats->transactions_committed, 1);
        lane_after_success(run->lane);
        break;
    case STORE_REFUSED:
        stat_add(&stats->transactions_refused, 1);
        LOG(LOG_INFO, "transaction_refused", F_INT("messages", count),
            F_BYTES("reason", buf_bytes(&error)));
        break;
    case STORE_UNKNOWN:
        stat_add(&stats->transactions_unknown, 1);
        lane_after_failure(run->lane, what, &error);
        break;
    case STORE_RETRY:
        stat_add(&stats->transactions_retried, 1);
        lane_after_failure(run->lane, what, &error);
        break;
    case STORE_BUSY: stat_add(&stats->transactions_busy, 1); break;
    }
    buf_release(&error);
    return what;
}

static void refuse_one(struct append_run *run, struct batch_item *item)
{
    LOG(LOG_WARN, "message_refused", F_BYTES("room", item->work->append->room),
        F_BYTES("client_id", batch_item_message(item)->client_id),
        F_BYTES("gateway", item->work->append->gateway));
    batch_item_refuse(item, "Postgres will not take this message.");
    stat_add(&run->settings->stats->messages_refused, 1);
}

/*
 * Stores @items, a slice of the batch's in their order, or gives up on them. Whoever is refused may leave its work
 * unanswered: answer_rest() sees to that. Recursion: one level for each halving, and one for skipped rooms.
 */
static void store(struct append_run *run, struct batch_item **items, size_t count, bool waits)
{
    for (;;) {
        count = drop_old(run, items, count);
        if (count == 0) {
            return;
        }
        switch (try_on_connection(run, items, count, waits)) {
        case STORE_COMMITTED: {
            size_t skipped = batch_keep_waiting(items, count);
            batch_sort_by_room(items, skipped);
            for (size_t i = 0, same; i < skipped; i += same) {
                same = batch_same_room(items + i, skipped - i);
                stat_add(&run->settings->stats->rooms_skipped, 1);
                store(run, items + i, same, true);
            }
            return;
        }
        case STORE_REFUSED:
            if (count == 1) {
                refuse_one(run, items[0]);
            } else {
                store(run, items, count / 2, waits);
                store(run, items + count / 2, count - count / 2, waits);
            }
            return;
        case STORE_BUSY:
            for (size_t i = 0; i < count; i++) {
                items[i]->work->is_postponed = true;
            }
            return;
        case STORE_UNKNOWN: /* what was stored is found */
        case STORE_RETRY: break;
        }
    }
}

/* Epoch and head of @work's room, of which no transaction told. False when Postgres did not say. */
static bool look_up_head(struct append_run *run, struct work *work)
{
    struct pg *pg = lane_connection(run->lane);
    if (pg == NULL) {
        return false;
    }
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, work->append->room);
    PGresult *result;
    struct buf error = BUF_INIT;
    enum store_result what =
        pg_run(pg,
               "SELECT coalesce(r.epoch, e.epoch), coalesce(r.head, 0)"
               " FROM (SELECT max(epoch) AS epoch FROM epochs) e LEFT JOIN rooms r ON r.name = $1",
               &params, STATEMENT_DEADLINE_MS, &result, &error);
    pg_params_release(&params);
    if (what == STORE_COMMITTED) {
        work->epoch = (uint64_t)pg_int8(result, 0, 0);
        work->head = (uint64_t)pg_int8(result, 0, 1);
        PQclear(result);
    } else {
        lane_after_failure(run->lane, what, &error);
    }
    buf_release(&error);
    return what == STORE_COMMITTED;
}

/* Answers works whose last message was refused, so that no commit has answered them. */
static void answer_rest(struct append_run *run, struct work *const *works, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct work *work = works[i];
        if (work->is_answered || work->is_postponed) {
            continue;
        }
        if (work->epoch != 0 || look_up_head(run, work)) {
            answer(run, work);
        } else {
            answer_unavailable(run, work, LATE);
        }
    }
}

/* Stores the works of one transaction. */
static void run_works(const struct append_settings *settings, struct lane *lane,
                      struct work **works, size_t count)
{
    struct append_run run = {.settings = settings, .lane = lane};
    batch_init(&run.batch, works, count);
    for (size_t i = 0; i < count; i++) {
        stat_add(&settings->stats->messages_refused,
                 works[i]->append->message_count - works[i]->pending);
    }
    store(&run, run.batch.items, run.batch.item_count, false);
    answer_rest(&run, works, count);
    batch_release(&run.batch);
}

static const char *append_refusal(const struct bus_request *request,
                                  const struct contract_append *append)
{
    if (append == NULL) {
        return "This is no append request.";
    }
    if (append->message_count == 0) {
        return "There is no message.";
    }
    if (append->message_count > CONTRACT_APPEND_MESSAGES_MAX) {
        return "There are more than 16384 messages.";
    }
    if (contract_shard(append->room) != request->shard) {
        return "The room is not of the shard that the subject names.";
    }
    return room_refusal(append->room);
}

/* Decodes @request, or answers it. Returns owned, or NULL. */
static struct append_request *receive(const struct append_settings *settings,
                                      struct bus_request *request)
{
    histogram_record(&settings->stats->append_wait_us, clock_monotonic_us() - request->arrived_us);
    struct contract_append *append = contract_decode_append(bus_payload(request));
    const char *refusal = append_refusal(request, append);
    if (refusal != NULL) {
        LOG(LOG_WARN, "append_invalid", F_STR("reason", refusal));
        append_refuse(settings->bus, request, CONTRACT_INVALID, refusal);
        stat_add(&settings->stats->appends_invalid, 1);
        contract_free(append);
        return NULL;
    }
    struct append_request *received = mem_alloc(sizeof(*received));
    received->request = request;
    received->append = append;
    work_init(&received->work, append, request->arrived_us);
    return received;
}

/* Answered by now, or tried again later: then from its payload on, as if it had just come. */
static void finish(const struct append_settings *settings, struct lane *lane,
                   struct append_request *request)
{
    ASSERT(request->work.is_answered != request->work.is_postponed);
    if (request->work.is_postponed) {
        if (lane_put_back(lane, &request->request->entry) != QUEUE_TAKEN) {
            append_refuse(settings->bus, request->request, CONTRACT_UNAVAILABLE,
                          "The room is locked.");
            stat_add(&settings->stats->appends_unavailable, 1);
        }
    }
    work_release(&request->work);
    contract_free(request->append);
    free(request);
}

/* How many works at the front of @works fit into one transaction; at least one. */
static size_t count_of_transaction(struct work *const *works, size_t count, size_t messages_max)
{
    size_t messages = works[0]->append->message_count;
    size_t taken = 1;
    while (taken < count && messages + works[taken]->append->message_count <= messages_max) {
        messages += works[taken++]->append->message_count;
    }
    return taken;
}

void append_on_requests(void *user, struct lane *lane, struct queue_entry *list)
{
    const struct append_settings *settings = user;
    size_t listed = 0;
    for (struct queue_entry *entry = list; entry != NULL; entry = entry->next) {
        listed++;
    }
    struct work **works = mem_alloc(listed * sizeof(struct work *));
    size_t count = 0;
    while (list != NULL) {
        struct bus_request *request = CONTAINER_OF(list, struct bus_request, entry);
        list = list->next; /* an answer frees the request */
        struct append_request *received = receive(settings, request);
        if (received != NULL) {
            works[count++] = &received->work;
        }
    }
    for (size_t done = 0, taken; done < count; done += taken) {
        taken =
            count_of_transaction(works + done, count - done, settings->transaction_messages_max);
        run_works(settings, lane, works + done, taken);
    }
    for (size_t i = 0; i < count; i++) {
        finish(settings, lane, CONTAINER_OF(works[i], struct append_request, work));
    }
    free(works);
}
