#include "api.h"

#include "limits.h"
#include "proto/contract_control.h"

#include <stdlib.h>

static const char CALL_SQL[] =
    "SELECT r_status::bigint, r_body, r_room, r_user, r_session, r_token, r_before_ms, r_until_ms"
    " FROM parley_api($1, $2, $3, $4, $5, $6)";

enum { STATUS, BODY, ROOM, USER, SESSION, TOKEN, BEFORE, UNTIL };

static const char AWAY[] = "Postgres cannot be reached now; ask again, with the same clientId";

void api_call_release(struct api_call *call)
{
    buf_release(&call->room);
    buf_release(&call->after);
    buf_release(&call->before);
    buf_release(&call->limit);
    buf_release(&call->body);
    buf_release(&call->answer);
}

void api_call_fail(struct api_call *call, int status, const char *code, const char *message)
{
    call->status = status;
    buf_clear(&call->answer);
    buf_append_format(&call->answer, "{\"code\":\"%s\",\"message\":\"%s\"}", code, message);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static struct api_call *take_first(struct api *api)
{
    pthread_mutex_lock(&api->mutex);
    struct api_call *call = api->first;
    if (call != NULL) {
        api->first = call->next;
        api->end = api->first == NULL ? &api->first : api->end;
        api->count--;
    }
    pthread_mutex_unlock(&api->mutex);
    return call;
}

void api_submit(struct api *api, struct api_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&api->mutex);
    bool is_taken = api->count < API_CALLS_MAX;
    if (is_taken) {
        *api->end = call;
        api->end = &call->next;
        api->count++;
    }
    pthread_mutex_unlock(&api->mutex);
    if (is_taken) {
        worker_wake(api->worker);
    } else {
        api_call_fail(call, 503, "overloaded", "too many calls wait; ask again later");
        call->on_done(call);
    }
}

static void refuse_all(void *user)
{
    struct api_call *call;
    while ((call = take_first(user)) != NULL) {
        api_call_fail(call, 503, "unavailable", AWAY);
        call->on_done(call);
    }
}

/* --- gateways ----------------------------------------------------------------------------------------------------- */

/* What they have answered, all together. */
struct tally {
    size_t gateways, room_count;
    uint64_t members;
    uint64_t counts[CONTRACT_COUNTS_MAX];
};

static void on_reply(void *user, struct bytes payload)
{
    struct tally *tally = user;
    struct contract_control_reply *reply = contract_decode_control_reply(payload);
    if (reply != NULL && reply->count_count == tally->room_count) {
        tally->gateways++;
        tally->members += reply->members;
        for (size_t i = 0; i < reply->count_count; i++) {
            tally->counts[i] += reply->counts[i];
        }
    }
    contract_free(reply);
}

static bool ask_gateways(const struct api *api, const struct contract_control *control,
                         struct tally *ret_tally)
{
    *ret_tally = (struct tally){.room_count = control->room_count};
    struct buf payload = BUF_INIT;
    contract_encode_control(&payload, control);
    bool is_told =
        bus_tell_gateways(api->bus, buf_bytes(&payload), API_GATEWAYS_MS, on_reply, ret_tally);
    buf_release(&payload);
    return is_told;
}

/* Tells them whom to put out, and answers how many that were. */
static void put_out(const struct api *api, struct api_call *call,
                    const struct contract_control *control)
{
    struct tally tally;
    if (!ask_gateways(api, control, &tally)) {
        api_call_fail(call, 503, "unavailable", "NATS cannot be reached now; ask again");
        return;
    }
    buf_append_format(&call->answer, "{\"members\":%llu,\"gateways\":%zu}",
                      (unsigned long long)tally.members, tally.gateways);
}

static void kick(const struct api *api, struct api_call *call, const PGresult *row)
{
    put_out(api, call,
            &(struct contract_control){
                .type = CONTRACT_KICK,
                .user = pg_text(row, 0, USER),
                .session = pg_text(row, 0, SESSION),
                .room = pg_text(row, 0, ROOM),
            });
}

static void revoke(const struct api *api, struct api_call *call, const PGresult *row)
{
    struct contract_revocation revocation = {
        .user = pg_text(row, 0, USER),
        .token_id = pg_text(row, 0, TOKEN),
        .before_ms = (uint64_t)pg_int8(row, 0, BEFORE),
        .until_ms = (uint64_t)pg_int8(row, 0, UNTIL),
    };
    put_out(api, call,
            &(struct contract_control){
                .type = CONTRACT_REVOKE,
                .revocation_count = 1,
                .revocations = &revocation,
            });
}

/* The first row is of the page, the others are rooms. Without NATS, their members are not known. */
static void list_rooms(const struct api *api, struct api_call *call, const PGresult *rows)
{
    size_t count = (size_t)PQntuples(rows) - 1;
    ASSERT(count <= CONTRACT_COUNTS_MAX);
    struct bytes names[CONTRACT_COUNTS_MAX];
    for (size_t i = 0; i < count; i++) {
        names[i] = pg_text(rows, (int)i + 1, ROOM);
    }
    struct tally tally;
    bool is_known = ask_gateways(api,
                                 &(struct contract_control){
                                     .type = CONTRACT_COUNT,
                                     .room_count = count,
                                     .rooms = names,
                                 },
                                 &tally);
    if (!is_known) {
        api_call_fail(call, 503, "unavailable", "NATS cannot be reached now; ask again");
        return;
    }
    buf_append_bytes(&call->answer, BYTES("{\"rooms\":["));
    for (size_t i = 0; i < count; i++) {
        buf_append_format(&call->answer, "%s{%.*s,\"members\":%llu}", i > 0 ? "," : "",
                          BYTES_FMT(pg_text(rows, (int)i + 1, BODY)),
                          (unsigned long long)tally.counts[i]);
    }
    buf_append_format(&call->answer, "],%.*s,\"gateways\":%zu}", BYTES_FMT(pg_text(rows, 0, BODY)),
                      tally.gateways);
}

/* --- one call ----------------------------------------------------------------------------------------------------- */

static void settle(const struct api *api, struct api_call *call, const PGresult *result)
{
    call->status = (int)pg_int8(result, 0, STATUS);
    bool is_well = call->status == 200;
    if (is_well && strcmp(call->name, "rooms") == 0) {
        list_rooms(api, call, result);
    } else if (is_well && strcmp(call->name, "kick") == 0) {
        kick(api, call, result);
    } else if (is_well && strcmp(call->name, "revoke") == 0) {
        revoke(api, call, result);
    } else {
        buf_append_bytes(&call->answer, pg_text(result, 0, BODY));
    }
}

/* False: the connection is no good. The call is not answered then. */
static bool run(const struct api *api, struct api_call *call, struct pg *pg, struct buf *ret_error)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, bytes_of_string(call->name));
    pg_param_text(&params, buf_bytes(&call->room));
    pg_param_text(&params, buf_bytes(&call->after));
    pg_param_text(&params, buf_bytes(&call->before));
    pg_param_text(&params, buf_bytes(&call->limit));
    pg_param_text(&params, buf_bytes(&call->body));
    PGresult *result;
    enum store_result what =
        pg_run(pg, CALL_SQL, &params, STATEMENT_DEADLINE_MS, &result, ret_error);
    pg_params_release(&params);
    switch (what) {
    case STORE_COMMITTED:
        settle(api, call, result);
        PQclear(result);
        return true;
    case STORE_REFUSED:
        api_call_fail(call, 400, "invalid", "Postgres will not take this");
        return true;
    case STORE_BUSY:
        api_call_fail(call, 503, "unavailable",
                      "the room is locked; ask again, with the same clientId");
        return true;
    case STORE_UNKNOWN:
    case STORE_RETRY: break;
    }
    api_call_fail(call, 503, "unavailable", AWAY);
    return false;
}

static uint64_t work(void *user, struct pg *pg, struct buf *ret_error)
{
    struct api *api = user;
    struct api_call *call;
    bool is_well = true;
    while (is_well && (call = take_first(api)) != NULL) {
        is_well = run(api, call, pg, ret_error);
        stat_add(&api->stats->api_calls, 1);
        call->on_done(call);
    }
    return is_well ? API_IDLE_MS : WORKER_FAILED;
}

void api_init(struct api *api, struct bus *bus, struct stats *stats, const struct pg_target *target)
{
    *api = (struct api){.bus = bus, .stats = stats, .end = &api->first};
    pthread_mutex_init(&api->mutex, NULL);
    api->worker = worker_new(&(struct worker_setup){
        .name = "api",
        .application_name = "parley-store-api",
        .settings_sql = "SET lock_timeout = '2s'",
        .target = target,
        .stats = stats,
        .work = work,
        .on_away = refuse_all,
        .user = api,
    });
}

void api_release(struct api *api)
{
    refuse_all(api);
    worker_free(api->worker);
    pthread_mutex_destroy(&api->mutex);
}
