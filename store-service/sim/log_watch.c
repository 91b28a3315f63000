#include "log_watch.h"

#include "promise.h"

#include <stdlib.h>

static struct said *find_said(struct log_world *world, unsigned room,
                              const struct contract_new_message *texts)
{
    for (size_t i = 0; i < world->said_count; i++) {
        struct contract_new_message message = said_message(&world->said[i]);
        if (world->said[i].room == room && pg_is_same_message(&message, texts)) {
            return &world->said[i];
        }
    }
    promise_broken("somebody put into %.*s what nobody said: %.*s", BYTES_FMT(log_room_name(room)),
                   BYTES_FMT(texts->client_id));
}

static unsigned room_number(const struct log_world *world, struct bytes name)
{
    unsigned room = 0;
    while (room < world->room_count && !bytes_equal(log_room_name(room), name)) {
        room++;
    }
    ASSERT(room < world->room_count);
    return room;
}

static uint64_t newest_epoch(const struct log_world *world)
{
    const struct pg_database *db = &world->stores.server.db;
    return pg_newest_epoch(db, pg_view_now(db, 0))->epoch;
}

/* --- commits --- */

/* Where one batch alone has brought it: behind all that its gateway had sent before. */
static void watch_order(struct log_world *world, const struct said *said)
{
    if (said->batches != 1 || said->was_lost || said->life != world->gateways[said->gateway].life) {
        return;
    }
    uint64_t *newest = &world->newest_place[said->gateway][said->room];
    if (said->place < *newest) {
        promise_broken("%s was sent before what is in front of it", said->client_id);
    }
    *newest = said->place;
}

static void watch_row(struct log_world *world, unsigned room, const struct pg_message *row)
{
    size_t *head = &world->heads[room];
    if (row->id != *head + 1) {
        promise_broken("in %.*s id %llu is seen when %zu is the head",
                       BYTES_FMT(log_room_name(room)), (unsigned long long)row->id, *head);
    }
    struct said *said = find_said(world, room, &row->texts);
    if (said->stored_as != 0) {
        promise_broken("%llu and %llu of %.*s are one message", (unsigned long long)said->stored_as,
                       (unsigned long long)row->id, BYTES_FMT(log_room_name(room)));
    }
    world->logs[room] = mem_resize(world->logs[room], (*head + 1) * sizeof(size_t));
    world->logs[room][*head] = (size_t)(said - world->said);
    ++*head;
    said->stored_as = row->id;
    said->at_ms = row->at_ms;
    said->epoch = newest_epoch(world);
    watch_order(world, said);
}

static int compare_ids(const void *a, const void *b)
{
    const struct pg_message *x = *(const struct pg_message *const *)a;
    const struct pg_message *y = *(const struct pg_message *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* What @xid put into @room, by id. */
static void watch_rows(struct log_world *world, const struct pg_room *room, uint32_t xid)
{
    const struct pg_message **rows =
        mem_alloc((room->message_count + 1) * sizeof(struct pg_message *));
    size_t count = 0;
    for (size_t i = 0; i < room->message_count; i++) {
        if (room->messages[i].xmin == xid) {
            rows[count++] = &room->messages[i];
        }
    }
    qsort(rows, count, sizeof(struct pg_message *), compare_ids);
    unsigned number = room_number(world, bytes_of_string(room->name));
    for (size_t i = 0; i < count; i++) {
        watch_row(world, number, rows[i]);
    }
    free(rows);
}

/* Of one who looks now. */
static void watch_room(struct log_world *world, const struct pg_room *room)
{
    const struct pg_database *db = &world->stores.server.db;
    struct pg_view view = pg_view_now(db, 0);
    const struct pg_room_version *version = pg_room_version(db, view, room);
    unsigned number = room_number(world, bytes_of_string(room->name));
    if (version == NULL) {
        return;
    }
    uint64_t head = pg_head(db, view, room);
    if (head != world->heads[number]) {
        promise_broken("the head of %s is %llu, and there are %zu messages", room->name,
                       (unsigned long long)head, world->heads[number]);
    }
    bool has_epoch = false;
    for (size_t i = 0; i < room->epoch_count; i++) {
        has_epoch |= pg_sees(db, view, room->epochs[i].xmin) &&
                     room->epochs[i].epoch == version->epoch &&
                     room->epochs[i].first_id <= head + 1;
    }
    if (version->epoch != newest_epoch(world) || !has_epoch) {
        promise_broken("%s is of the epoch %llu, which is not the newest, or never began there",
                       room->name, (unsigned long long)version->epoch);
    }
}

/* An epoch that @xid begins in @room begins behind its head; looked at in front of what @xid appended. */
static void watch_epoch(const struct log_world *world, const struct pg_room *room, uint32_t xid)
{
    size_t head = world->heads[room_number(world, bytes_of_string(room->name))];
    for (size_t i = 0; i < room->epoch_count; i++) {
        const struct pg_room_epoch *epoch = &room->epochs[i];
        if (epoch->xmin == xid && epoch->first_id != head + 1) {
            promise_broken("the epoch %llu of %s begins with %llu, and its head is %zu",
                           (unsigned long long)epoch->epoch, room->name,
                           (unsigned long long)epoch->first_id, head);
        }
    }
}

void watch_commit(struct log_world *world, uint32_t xid)
{
    const struct pg_database *db = &world->stores.server.db;
    for (size_t i = 0; i < db->room_count; i++) {
        watch_epoch(world, db->rooms[i], xid);
        watch_rows(world, db->rooms[i], xid);
        watch_room(world, db->rooms[i]);
    }
}

static size_t count_seen(const struct pg_database *db, const struct pg_room *room)
{
    struct pg_view view = pg_view_now(db, 0);
    size_t count = 0;
    for (size_t i = 0; i < room->message_count; i++) {
        count += pg_sees(db, view, room->messages[i].xmin);
    }
    return count;
}

void watch_promotion(struct log_world *world)
{
    const struct pg_database *db = &world->stores.server.db;
    world->promotions++;
    for (size_t i = 0; i < db->epoch_count; i++) {
        world->past_epoch = MAX_OF(world->past_epoch, db->epochs[i].epoch);
    }
    size_t seen[LOG_ROOMS_MAX] = {0};
    for (size_t i = 0; i < db->room_count; i++) {
        seen[room_number(world, bytes_of_string(db->rooms[i]->name))] +=
            count_seen(db, db->rooms[i]);
    }
    for (unsigned room = 0; room < world->room_count; room++) {
        while (world->heads[room] > seen[room]) {
            struct said *said = &world->said[world->logs[room][--world->heads[room]]];
            if (world->stores.server.is_synchronous && said->is_acknowledged) {
                promise_broken("%s was acknowledged, and the standby does not have it",
                               said->client_id);
            }
            said->stored_as = 0;
            said->is_published = said->is_told_new = said->is_acknowledged = false;
            said->was_lost = true;
        }
    }
}

/* --- what stores say --- */

/* Whether somebody of epoch @epoch may know of what was lost since. */
static bool is_of_the_past(const struct log_world *world, uint64_t epoch)
{
    return world->promotions > 0 && epoch <= world->past_epoch;
}

/* The message that has @id; NULL: there is none, which is as it should be only for those of the past. */
static struct said *said_under(struct log_world *world, unsigned room, uint64_t id)
{
    return id >= 1 && id <= world->heads[room] ? &world->said[world->logs[room][id - 1]] : NULL;
}

static struct said *check_stored(struct log_world *world, unsigned room, uint64_t id,
                                 const struct contract_stored_message *message, uint64_t epoch,
                                 const char *who)
{
    struct said *said = said_under(world, room, id);
    struct contract_new_message texts = {message->sender, message->session, message->client_id,
                                         message->body};
    if (said != NULL) {
        struct contract_new_message mine = said_message(said);
        if (pg_is_same_message(&mine, &texts) && said->at_ms == message->at_ms &&
            said->epoch <= epoch) {
            return said;
        }
    }
    if (!is_of_the_past(world, epoch)) {
        promise_broken("%s tells of %llu of %.*s, which is not committed as that", who,
                       (unsigned long long)id, BYTES_FMT(log_room_name(room)));
    }
    return NULL;
}

void watch_broadcast(struct log_world *world, const struct contract_room_event *event)
{
    unsigned room = room_number(world, event->room);
    for (size_t i = 0; i < event->batch.message_count; i++) {
        struct said *said =
            check_stored(world, room, event->batch.first_id + i, &event->batch.messages[i],
                         event->batch.epoch, "a broadcast");
        if (said != NULL) {
            said->is_published = true;
        }
    }
}

static void watch_outcome(const struct log_world *world, struct said *said,
                          const struct contract_append_reply *reply,
                          const struct contract_outcome *outcome)
{
    bool is_past = is_of_the_past(world, reply->epoch);
    if (outcome->id == 0) {
        if (!said->is_forbidden) {
            promise_broken("%s was refused", said->client_id);
        }
        return;
    }
    bool is_true = said->stored_as == outcome->id && said->at_ms == outcome->at_ms &&
                   said->epoch <= reply->epoch && outcome->id <= reply->head;
    if (!is_true && !(is_past && said->was_lost)) {
        promise_broken(
            "%s is acknowledged as %llu of epoch %llu, and stored as %llu (0: not at all) of %llu",
            said->client_id, (unsigned long long)outcome->id, (unsigned long long)reply->epoch,
            (unsigned long long)said->stored_as, (unsigned long long)said->epoch);
    }
    if (is_past) {
        return;
    }
    if (said->is_told_new && !outcome->duplicate) {
        promise_broken("two answers say that %s is new", said->client_id);
    }
    said->is_told_new |= !outcome->duplicate;
    said->is_acknowledged = true;
    if (!said->is_published) {
        promise_broken("%s is acknowledged, and nobody was told of it", said->client_id);
    }
}

void watch_append_reply(struct log_world *world, const struct log_question *question,
                        const struct contract_append_reply *reply)
{
    if (reply->status != CONTRACT_OK) {
        ASSERT(reply->status == CONTRACT_UNAVAILABLE);
        return;
    }
    ASSERT(reply->outcome_count == question->count);
    if (!is_of_the_past(world, reply->epoch) && reply->head > world->heads[question->room]) {
        promise_broken("an answer names a head that is not there");
    }
    for (size_t i = 0; i < question->count; i++) {
        watch_outcome(world, &world->said[question->messages[i]], reply, &reply->outcomes[i]);
    }
}

static void check_head(const struct log_world *world, const struct log_question *question,
                       uint64_t epoch, uint64_t head)
{
    bool is_high = head > world->heads[question->room] && !is_of_the_past(world, epoch);
    bool is_low = head < question->head && question->promotions == world->promotions;
    if (is_high || is_low) {
        promise_broken("the head of %.*s is said to be %llu; it was %llu and is %zu",
                       BYTES_FMT(log_room_name(question->room)), (unsigned long long)head,
                       (unsigned long long)question->head, world->heads[question->room]);
    }
}

void watch_query_reply(struct log_world *world, const struct log_question *question,
                       const struct contract_query_reply *reply)
{
    if (reply->status != CONTRACT_OK) {
        ASSERT(reply->status == CONTRACT_UNAVAILABLE);
        return;
    }
    if (reply->type == CONTRACT_HEADS) {
        check_head(world, question, reply->heads.heads[0].epoch, reply->heads.heads[0].head);
        return;
    }
    uint64_t head = reply->range.head;
    check_head(world, question, reply->range.epoch, head);
    for (size_t i = 0; i < reply->range.message_count; i++) {
        (void)check_stored(world, question->room, reply->range.first_id + i,
                           &reply->range.messages[i], reply->range.epoch, "a range");
    }
    uint64_t expected =
        head < question->from ? 0 : MIN_OF(head - question->from + 1, (uint64_t)CONTRACT_PAGE);
    bool is_whole = reply->range.message_count == expected &&
                    (expected == 0 || reply->range.first_id == question->from);
    if (!is_whole && !is_of_the_past(world, reply->range.epoch)) {
        promise_broken("a range from %llu on has %zu messages; the head is %llu",
                       (unsigned long long)question->from, reply->range.message_count,
                       (unsigned long long)head);
    }
}

/* --- the end --- */

void watch_end(struct log_world *world)
{
    for (size_t i = 0; i < world->said_count; i++) {
        const struct said *said = &world->said[i];
        if (!said->is_settled) {
            promise_broken("nobody ever heard what became of %s", said->client_id);
        }
        if (said->stored_as == 0 && !said->is_forbidden && !said->was_lost) {
            promise_broken("%s is not in the log", said->client_id);
        }
    }
    for (size_t i = 0; i < world->gateway_count; i++) {
        for (unsigned room = 0; room < world->room_count; room++) {
            if (world->gateways[i].rooms[room].has != world->heads[room]) {
                promise_broken("gateway %zu has %.*s up to %llu, and its head is %zu", i,
                               BYTES_FMT(log_room_name(room)),
                               (unsigned long long)world->gateways[i].rooms[room].has,
                               world->heads[room]);
            }
        }
    }
    const struct pg_server *server = &world->stores.server;
    for (size_t i = 0; i < PG_BACKENDS_MAX; i++) {
        if (server->slots[i].is_used && server->slots[i].backend.xid != 0) {
            promise_broken("a transaction is open for ever");
        }
    }
}
