#include "read.h"

#include "base/clock.h"
#include "base/log.h"
#include "limits.h"
#include "read_sql.h"
#include "text.h"

#include <stdlib.h>

/* One query on its way. */
struct read_run {
    const struct read_settings *settings;
    struct lane *lane;
    struct bus_request *request;
    const struct contract_query *query;
};

void read_refuse(struct bus *bus, struct bus_request *request, enum contract_status status,
                 const char *reason)
{
    struct contract_query_reply reply = {.status = status, .reason = bytes_of_string(reason)};
    struct buf payload = BUF_INIT;
    contract_encode_query_reply(&payload, &reply);
    bus_reply(bus, request, buf_bytes(&payload));
    buf_release(&payload);
}

static void answer(struct read_run *run, const struct contract_query_reply *reply)
{
    struct buf payload = BUF_INIT;
    contract_encode_query_reply(&payload, reply);
    ASSERT(payload.len <= CONTRACT_MESSAGE_BYTES_MAX);
    bus_reply(run->settings->bus, run->request, buf_bytes(&payload));
    buf_release(&payload);
}

/* An id as Postgres's bigint: what is beyond is beyond every head too. */
static int64_t to_bigint(uint64_t id)
{
    return (int64_t)MIN_OF(id, (uint64_t)INT64_MAX);
}

/* Ranges. */

/* What is known of the room besides its messages. */
struct room_facts {
    int64_t room_id; /* 0: it has no row */
    uint64_t epoch, head, oldest;
    struct contract_epoch_start epochs[RANGE_EPOCHS_MAX];
    size_t epoch_count;
};

static enum store_result fetch_facts(struct pg *pg, struct bytes room, struct room_facts *facts,
                                     struct buf *error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, room);
    pg_param_int8(&params, RANGE_EPOCHS_MAX);
    PGresult *result;
    enum store_result what = pg_run_prepared(pg, "parley_facts", READ_FACTS_SQL, &params,
                                             STATEMENT_DEADLINE_MS, &result, error);
    pg_params_release(&params);
    if (what != STORE_COMMITTED) {
        return what;
    }
    facts->epoch_count = (size_t)PQntuples(result);
    ASSERT(facts->epoch_count >= 1 && facts->epoch_count <= RANGE_EPOCHS_MAX);
    facts->room_id = pg_int8(result, 0, 0);
    facts->head = (uint64_t)pg_int8(result, 0, 1);
    facts->oldest = (uint64_t)pg_int8(result, 0, 4);
    for (size_t i = 0; i < facts->epoch_count; i++) {
        facts->epochs[i] = (struct contract_epoch_start){
            .epoch = (uint64_t)pg_int8(result, (int)i, 2),
            .first_id = (uint64_t)pg_int8(result, (int)i, 3),
        };
    }
    facts->epoch = facts->epochs[facts->epoch_count - 1].epoch;
    PQclear(result);
    return STORE_COMMITTED;
}

/* The columns of both statements. */
enum { MESSAGE_ID, MESSAGE_SENDER, MESSAGE_SESSION, MESSAGE_CLIENT_ID, MESSAGE_BODY, MESSAGE_AT };

/* Asks for the messages of the range, in the order of @range.newest. */
static enum store_result fetch_messages(struct pg *pg, const struct contract_query *query,
                                        const struct room_facts *facts, PGresult **ret_result,
                                        struct buf *error)
{
    /* Rows above the head that was read just before are left out: the reply is of one moment. */
    uint64_t to = query->range.to == 0 ? facts->head : MIN_OF(query->range.to, facts->head);
    struct pg_params params;
    pg_params_init(&params);
    pg_param_int8(&params, facts->room_id);
    pg_param_int8(&params, to_bigint(query->range.from));
    pg_param_int8(&params, to_bigint(to));
    pg_param_int8(&params, query->range.limit);
    enum store_result what =
        pg_run_prepared(pg, query->range.newest ? "parley_newest" : "parley_oldest",
                        query->range.newest ? READ_NEWEST_MESSAGES_SQL : READ_OLDEST_MESSAGES_SQL,
                        &params, STATEMENT_DEADLINE_MS, ret_result, error);
    pg_params_release(&params);
    return what;
}

/*
 * Takes from @result what is contiguous and fits into a payload, beginning with its first row, into @messages in
 * ascending order. Returns how many; *ret_first_id is the lowest id.
 */
static size_t take_messages(const PGresult *result, bool descending,
                            struct contract_stored_message *messages, uint64_t *ret_first_id)
{
    size_t bytes = CONTRACT_ENVELOPE_BYTES_MAX;
    size_t rows = (size_t)PQntuples(result);
    size_t count = 0;
    uint64_t first_row_id = rows == 0 ? 0 : (uint64_t)pg_int8(result, 0, MESSAGE_ID);
    for (; count < rows; count++) {
        int row = (int)count;
        uint64_t expected = descending ? first_row_id - count : first_row_id + count;
        messages[count] = (struct contract_stored_message){
            .sender = pg_text(result, row, MESSAGE_SENDER),
            .session = pg_text(result, row, MESSAGE_SESSION),
            .client_id = pg_text(result, row, MESSAGE_CLIENT_ID),
            .body = pg_text(result, row, MESSAGE_BODY),
            .at_ms = pg_time_ms(result, row, MESSAGE_AT),
        };
        bytes += contract_stored_message_size(&messages[count]);
        if ((uint64_t)pg_int8(result, row, MESSAGE_ID) != expected ||
            bytes > CONTRACT_MESSAGE_BYTES_MAX) {
            break;
        }
    }
    if (descending) {
        for (size_t i = 0; i < count / 2; i++) {
            struct contract_stored_message swapped = messages[i];
            messages[i] = messages[count - 1 - i];
            messages[count - 1 - i] = swapped;
        }
    }
    *ret_first_id = descending && count > 0 ? first_row_id - (count - 1) : first_row_id;
    return count;
}

static enum store_result serve_range(struct read_run *run, struct pg *pg, struct buf *error)
{
    const struct contract_query *query = run->query;
    struct room_facts facts;
    enum store_result what = fetch_facts(pg, query->range.room, &facts, error);
    if (what != STORE_COMMITTED) {
        return what;
    }
    PGresult *result = NULL;
    if (facts.head > 0) {
        what = fetch_messages(pg, query, &facts, &result, error);
        if (what != STORE_COMMITTED) {
            return what;
        }
    }
    struct contract_stored_message messages[CONTRACT_PAGE];
    struct contract_query_reply reply = {
        .type = CONTRACT_RANGE,
        .range = {.epoch = facts.epoch,
                  .head = facts.head,
                  .oldest = facts.oldest,
                  .messages = messages,
                  .epoch_count = facts.epoch_count,
                  .epochs = facts.epochs},
    };
    reply.range.message_count =
        take_messages(result, query->range.newest, messages, &reply.range.first_id);
    answer(run, &reply);
    PQclear(result);
    stat_add(&run->settings->stats->ranges, 1);
    stat_add(&run->settings->stats->messages_read, reply.range.message_count);
    return STORE_COMMITTED;
}

/* Heads. */

static enum store_result serve_heads(struct read_run *run, struct pg *pg, struct buf *error)
{
    size_t count = run->query->heads.room_count;
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text_array(&params, count);
    for (size_t i = 0; i < count; i++) {
        pg_element_text(&params, run->query->heads.rooms[i]);
    }
    PGresult *result;
    enum store_result what = pg_run_prepared(pg, "parley_heads", READ_HEADS_SQL, &params,
                                             STATEMENT_DEADLINE_MS, &result, error);
    pg_params_release(&params);
    if (what != STORE_COMMITTED) {
        return what;
    }
    ASSERT((size_t)PQntuples(result) == count);
    struct contract_query_reply reply = {.type = CONTRACT_HEADS, .heads.head_count = count};
    reply.heads.heads = mem_alloc((count + 1) * sizeof(*reply.heads.heads));
    for (size_t i = 0; i < count; i++) {
        reply.heads.heads[i] = (struct contract_head){
            .epoch = (uint64_t)pg_int8(result, (int)i, 0),
            .head = (uint64_t)pg_int8(result, (int)i, 1),
        };
    }
    PQclear(result);
    answer(run, &reply);
    free(reply.heads.heads);
    stat_add(&run->settings->stats->heads, 1);
    return STORE_COMMITTED;
}

/* Both. */

static const char *room_of_query_refusal(const struct bus_request *request, struct bytes room)
{
    if (contract_shard(room) != request->shard) {
        return "A room is not of the shard that the subject names.";
    }
    return room_refusal(room);
}

static const char *query_refusal(const struct bus_request *request,
                                 const struct contract_query *query)
{
    if (query == NULL) {
        return "This is no query.";
    }
    if (query->type == CONTRACT_RANGE) {
        if (query->range.limit < 1 || query->range.limit > CONTRACT_PAGE) {
            return "The limit is not 1 to 256.";
        }
        return room_of_query_refusal(request, query->range.room);
    }
    if (query->heads.room_count > CONTRACT_HEADS_ROOMS_MAX) {
        return "There are more than 16384 rooms.";
    }
    for (size_t i = 0; i < query->heads.room_count; i++) {
        const char *refusal = room_of_query_refusal(request, query->heads.rooms[i]);
        if (refusal != NULL) {
            return refusal;
        }
    }
    return NULL;
}

/* Tries until it is answered, or too old, or Postgres cannot be reached: another store may. */
static void serve(struct read_run *run)
{
    struct stats *stats = run->settings->stats;
    for (;;) {
        uint64_t waited_us = clock_monotonic_us() - run->request->arrived_us;
        if (waited_us > REQUEST_WAIT_MS_MAX * UINT64_C(1000) || lane_is_away(run->lane)) {
            read_refuse(run->settings->bus, run->request, CONTRACT_UNAVAILABLE,
                        "Postgres cannot be reached.");
            stat_add(&stats->reads_unavailable, 1);
            return;
        }
        struct pg *pg = lane_connection(run->lane);
        if (pg == NULL) {
            continue;
        }
        struct buf error = BUF_INIT;
        enum store_result what = run->query->type == CONTRACT_RANGE ? serve_range(run, pg, &error)
                                                                    : serve_heads(run, pg, &error);
        if (what == STORE_COMMITTED) {
            lane_after_success(run->lane);
        } else {
            lane_after_failure(run->lane, what, &error);
        }
        buf_release(&error);
        if (what == STORE_COMMITTED) {
            return;
        }
    }
}

void read_on_requests(void *user, struct lane *lane, struct queue_entry *list)
{
    const struct read_settings *settings = user;
    while (list != NULL) {
        struct bus_request *request = CONTAINER_OF(list, struct bus_request, entry);
        list = list->next; /* an answer frees the request */
        uint64_t start_us = clock_monotonic_us();
        struct contract_query *query = contract_decode_query(bus_payload(request));
        const char *refusal = query_refusal(request, query);
        if (refusal != NULL) {
            LOG(LOG_WARN, "query_invalid", F_STR("reason", refusal));
            read_refuse(settings->bus, request, CONTRACT_INVALID, refusal);
            stat_add(&settings->stats->reads_invalid, 1);
        } else {
            struct read_run run = {
                .settings = settings, .lane = lane, .request = request, .query = query};
            serve(&run);
            histogram_record(&settings->stats->read_us, clock_monotonic_us() - start_us);
        }
        contract_free(query);
    }
}
