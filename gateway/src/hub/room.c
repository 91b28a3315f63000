#include "room.h"

#include "client.h"
#include "presence.h"
#include "send.h"
#include <stdlib.h>

enum { MEMBERS_CAPACITY_FIRST = 4 };

struct bytes room_key(const void *room)
{
    return room_name(room);
}

/* --- what is next of the log
 * ------------------------------------------------------------------------------------ */

static void heads_timer_restart(struct room *room, uint64_t now_ms)
{
    room->heads_interval_ms = HEADS_INTERVAL_MIN_MS;
    timers_set(room->hub->timers, &room->heads_timer, now_ms + room->heads_interval_ms);
}

void room_append_frame(const struct room *room, uint64_t id,
                       const struct contract_stored_message *stored, struct buf *out)
{
    struct chat_message message = {
        .epoch = room->epoch,
        .id = id,
        .at_ms = stored->at_ms,
        .username = stored->sender,
        .content = stored->body,
        .client_id = stored->client_id,
    };
    chat_append_message_frame(out, room_namespace(room), &message);
}

/* How late a message is. The clocks are two machines': one that comes before it was sent counts as on time. */
static void note_delivery(struct hub *hub, uint64_t at_ms, uint64_t wall_ms)
{
    histogram_record(&hub->stats.by.commit_to_delivery_us,
                     wall_ms > at_ms ? (wall_ms - at_ms) * 1000 : 0);
}

void room_append_messages(struct room *room, uint64_t first_id,
                          const struct contract_stored_message *messages, size_t count,
                          uint64_t now_ms)
{
    struct hub *hub = room->hub;
    uint64_t wall_ms = hub->world.wall_ms(hub->world.user);
    uint64_t head_before = room->log.head;
    for (size_t i = 0; i < count; i++) {
        uint64_t id = first_id + i;
        if (id != room->log.head + 1) {
            continue;
        }
        buf_clear(&hub->scratch);
        room_append_frame(room, id, &messages[i], &hub->scratch);
        ASSERT(room_log_append(&room->log, id, map_hash(messages[i].session),
                               buf_bytes(&hub->scratch)) == ROOM_LOG_APPENDED);
        hub->stats.log_messages++;
        if (room->state == ROOM_LIVE) { /* else it is history, which nobody waited for */
            note_delivery(hub, messages[i].at_ms, wall_ms);
        }
    }
    room->store_head = MAX_OF(room->store_head, room->log.head);
    if (room->log.head > head_before) {
        room_wake_members(room);
        heads_timer_restart(room, now_ms);
    }
}

const struct segment *room_find(struct room *room, uint64_t id)
{
    const struct segment *segment = room_log_find(&room->log, id);
    return segment != NULL ? segment : page_find(&room->hub->pages, room, id);
}

/* --- broadcasts ahead of the log
 * -------------------------------------------------------------------------------- */

static size_t ahead_bytes(const struct contract_room_event *event)
{
    size_t bytes = CONTRACT_ENVELOPE_BYTES_MAX;
    for (size_t i = 0; i < event->batch.message_count; i++) {
        bytes += sizeof(event->batch.messages[i]) +
                 contract_stored_message_size(&event->batch.messages[i]);
    }
    return bytes;
}

static void ahead_remove(struct room *room, uint32_t i)
{
    room->hub->ahead_bytes -= ahead_bytes(room->ahead[i]);
    room->ahead_messages -= room->ahead[i]->batch.message_count;
    contract_free(room->ahead[i]);
    room->ahead[i] = room->ahead[--room->ahead_count];
    if (room->ahead_count == 0) {
        free(room->ahead);
        room->ahead = NULL;
    }
}

static void ahead_clear(struct room *room)
{
    while (room->ahead_count > 0) {
        ahead_remove(room, room->ahead_count - 1);
    }
    timers_clear(room->hub->timers, &room->ahead_timer);
}

/* Appends what has become next, and forgets what is known by now. */
static void ahead_drain(struct room *room, uint64_t now_ms)
{
    for (uint32_t i = 0; i < room->ahead_count;) {
        struct contract_room_event *event = room->ahead[i];
        if (event->batch.epoch == room->epoch && event->batch.first_id > room->log.head + 1) {
            i++;
            continue;
        }
        if (event->batch.epoch == room->epoch) {
            room_append_messages(room, event->batch.first_id, event->batch.messages,
                                 event->batch.message_count, now_ms);
        }
        ahead_remove(room, i);
        i = 0; /* the head may have moved up to one that was looked at already */
    }
}

/* Keeps @event until the hole in front of it is filled. Takes it. */
static void ahead_add(struct room *room, struct contract_room_event *event, uint64_t now_ms)
{
    struct hub *hub = room->hub;
    size_t count = event->batch.message_count;
    size_t bytes = ahead_bytes(event);
    if (room->ahead_count == AHEAD_EVENTS_MAX ||
        room->ahead_messages + count > AHEAD_MESSAGES_MAX ||
        hub->ahead_bytes + bytes > AHEAD_BYTES_MAX) {
        hub->stats.ahead_dropped++; /* it is fetched like what is missing in front of it */
        contract_free(event);
    } else {
        if (room->ahead == NULL) {
            room->ahead = mem_alloc(AHEAD_EVENTS_MAX * sizeof(struct contract_room_event *));
        }
        room->ahead[room->ahead_count++] = event;
        room->ahead_messages += count;
        hub->ahead_bytes += bytes;
    }
    if (room->state == ROOM_LIVE && !timer_is_set(&room->ahead_timer)) {
        timers_set(hub->timers, &room->ahead_timer, now_ms + AHEAD_WAIT_MS);
    }
}

/* --- asking the store
 * ------------------------------------------------------------------------------------------- */

static struct contract_query newest_query(const struct room *room)
{
    return (struct contract_query){
        .type = CONTRACT_RANGE,
        .range = {.room = room_name(room), .limit = RECENT_MESSAGES, .newest = true},
    };
}

static void ask_newest(struct room *room, uint32_t source, uint64_t now_ms)
{
    struct contract_query query = newest_query(room);
    request_start(&room->range, room->shard, source, &query, now_ms);
}

/* The answer was of an epoch that is over, or to something else. */
static void ask_newest_later(struct room *room, uint64_t now_ms)
{
    struct contract_query query = newest_query(room);
    request_start_later(&room->range, room->shard, room->range.source, &query, now_ms);
}

static void repair_later(struct room *room, uint64_t now_ms)
{
    timers_set(room->hub->timers, &room->ahead_timer, now_ms + REQUEST_BACKOFF_MAX_MS);
}

/* Starts the log anew at the store's head. Members go on from the old one, or from pages,
 * meanwhile. */
static void reopen(struct room *room, uint64_t now_ms)
{
    request_cancel(&room->range);
    timers_clear(room->hub->timers, &room->ahead_timer);
    room->state = ROOM_OPENING;
    ask_newest(room, 0, now_ms);
}

/* Fetches what is missing between the log and what is known of the store's head, one page at a
 * time. */
static void repair(struct room *room, uint64_t now_ms)
{
    if (room->state != ROOM_LIVE || request_is_asked(&room->range) ||
        room->store_head <= room->log.head) {
        return;
    }
    if (room->store_head - room->log.head > REPAIR_MESSAGES_MAX) {
        reopen(room, now_ms);
        return;
    }
    struct contract_query query = {
        .type = CONTRACT_RANGE,
        .range = {.room = room_name(room), .from = room->log.head + 1, .limit = CONTRACT_PAGE},
    };
    request_start(&room->range, room->shard, 0, &query, now_ms);
}

static void on_ahead_due(struct timer *timer, uint64_t now_ms)
{
    struct room *room = CONTAINER_OF(timer, struct room, ahead_timer);
    for (uint32_t i = 0; i < room->ahead_count; i++) {
        const struct contract_room_event *event = room->ahead[i];
        room->store_head =
            MAX_OF(room->store_head, event->batch.first_id + event->batch.message_count - 1);
    }
    repair(room, now_ms);
}

static bool note_epoch(struct room *room, uint64_t epoch, uint64_t now_ms)
{
    if (epoch > room->epoch && room->state == ROOM_LIVE) {
        reopen(room, now_ms);
    }
    return epoch == room->epoch;
}

void room_note_head(struct room *room, uint64_t epoch, uint64_t head, uint64_t now_ms)
{
    if (room->state != ROOM_LIVE || !note_epoch(room, epoch, now_ms) || head <= room->store_head) {
        return;
    }
    room->store_head = head;
    /* The broadcast may just be on its way: wait for it as for any that is late. */
    if (!timer_is_set(&room->ahead_timer) && !request_is_asked(&room->range)) {
        timers_set(room->hub->timers, &room->ahead_timer, now_ms + AHEAD_WAIT_MS);
    }
}

static void adopt_epochs(struct room *room, const struct contract_query_reply *reply)
{
    size_t count = MIN_OF(reply->range.epoch_count, (size_t)ROOM_EPOCHS_MAX);
    free(room->epochs);
    room->epochs = count == 0 ? NULL : mem_alloc(count * sizeof(*room->epochs));
    if (count > 0) {
        memcpy(room->epochs, reply->range.epochs + (reply->range.epoch_count - count),
               count * sizeof(*room->epochs));
    }
    room->epoch_count = (uint32_t)count;
    room->epoch = reply->range.epoch;
}

/* The first id that @epoch, which is over, has not in common with the current one; 0 when that is forgotten. */
static uint64_t first_id_after(const struct room *room, uint64_t epoch)
{
    for (uint32_t i = 0; i < room->epoch_count; i++) {
        if (room->epochs[i].epoch > epoch) {
            bool is_cut_off = i == 0 && room->epoch_count == ROOM_EPOCHS_MAX;
            return is_cut_off ? 0 : room->epochs[i].first_id;
        }
    }
    return 0;
}

/* Ids from @first on mean something else now: whoever has seen them is told, and goes on from there.
 */
static void cut_members(struct room *room, uint64_t first)
{
    for (uint32_t i = 0; i < room->member_count; i++) {
        member_cut_cursor(room->members[i], first);
    }
}

static void on_opened(struct room *room, const struct contract_query_reply *reply, uint64_t now_ms)
{
    struct hub *hub = room->hub;
    uint64_t old_epoch = room->epoch;
    if (reply->range.epoch < old_epoch) {
        ask_newest_later(room, now_ms);
        return;
    }
    adopt_epochs(room, reply);
    room->oldest = reply->range.oldest;
    room->store_head = reply->range.head;
    size_t count = reply->range.message_count;
    room_log_reset(&room->log, count > 0 ? reply->range.first_id - 1 : reply->range.head);
    room_append_messages(room, reply->range.first_id, reply->range.messages, count, now_ms);
    room->state = ROOM_LIVE;
    room_wake_members(room); /* also those who stand behind a log that began anew */
    heads_timer_restart(room, now_ms);
    bool is_new_epoch = old_epoch != 0 && room->epoch != old_epoch;
    /* Where more than one epoch began meanwhile, the first one cut deepest. */
    uint64_t first = is_new_epoch ? MAX_OF(first_id_after(room, old_epoch), (uint64_t)1) : 0;
    if (is_new_epoch) {
        page_drop_room(&hub->pages, room);
        cut_members(room, first);
    }
    hub_tell(hub, &(struct hub_event){.type = is_new_epoch ? HUB_EPOCH_CHANGED : HUB_ROOM_OPENED,
                                      .room = room_name(room),
                                      .id = is_new_epoch ? first : room->log.head});
    ahead_drain(room, now_ms);
    if (room->ahead_count > 0 || room->store_head > room->log.head) {
        timers_set(hub->timers, &room->ahead_timer, now_ms + AHEAD_WAIT_MS);
    }
}

static void on_repaired(struct room *room, const struct contract_query_reply *reply,
                        uint64_t now_ms)
{
    struct hub *hub = room->hub;
    if (!note_epoch(room, reply->range.epoch, now_ms)) {
        if (room->state == ROOM_LIVE) {
            repair_later(room, now_ms);
        }
        return;
    }
    uint64_t before = room->log.head;
    room->oldest = reply->range.oldest;
    if (room->oldest > room->log.head + 1) {
        reopen(room, now_ms); /* what is missing is not kept any more */
        return;
    }
    room_append_messages(room, reply->range.first_id, reply->range.messages,
                         reply->range.message_count, now_ms);
    ahead_drain(room, now_ms);
    room->store_head = MAX_OF(room->store_head, reply->range.head);
    if (room->log.head > before) {
        hub->stats.gaps_repaired++;
        hub_tell(hub, &(struct hub_event){.type = HUB_ROOM_REPAIRED,
                                          .room = room_name(room),
                                          .id = before + 1,
                                          .count = room->log.head - before});
    }
    if (room->store_head > room->log.head) {
        timers_set(hub->timers, &room->ahead_timer,
                   room->log.head > before ? now_ms : now_ms + AHEAD_WAIT_MS);
    }
}

static void on_range_reply(struct request *request, const struct contract_query_reply *reply,
                           uint64_t now_ms)
{
    struct room *room = CONTAINER_OF(request, struct room, range);
    bool is_answer = reply->type == CONTRACT_RANGE;
    if (!is_answer && room->state == ROOM_OPENING) {
        ask_newest_later(room, now_ms);
    } else if (!is_answer) {
        repair_later(room, now_ms);
    } else if (room->state == ROOM_OPENING) {
        on_opened(room, reply, now_ms);
    } else {
        on_repaired(room, reply, now_ms);
    }
}

/* --- heads checks
 * -----------------------------------------------------------------------------------------------
 */

/* One of a shard is asked at a time: what becomes due meanwhile is asked together, once that is answered. */
struct heads_query {
    struct request request;
    struct query_shard *shard;
    size_t count;
    struct room *rooms[HEADS_ROOMS_PER_QUERY]; /* NULL: gone meanwhile */
};

static void hurry_heads(struct hub *hub, uint64_t now_ms)
{
    if (!timer_is_set(&hub->heads_timer)) {
        timers_set(hub->timers, &hub->heads_timer, now_ms);
    }
}

void room_check_head(struct room *room, uint64_t now_ms)
{
    if (!room->heads_pending) {
        struct query_shard *shard = &room->hub->query_shards[room->shard];
        room->heads_pending = true;
        list_append(&shard->heads_due, &room->heads_due);
        if (shard->heads == NULL) {
            hurry_heads(room->hub, now_ms);
        }
    }
}

static void on_heads_due(struct timer *timer, uint64_t now_ms)
{
    struct room *room = CONTAINER_OF(timer, struct room, heads_timer);
    room->heads_interval_ms = MIN_OF(room->heads_interval_ms * 2, (uint32_t)HEADS_INTERVAL_MAX_MS);
    timers_set(room->hub->timers, timer, now_ms + room->heads_interval_ms);
    room_check_head(room, now_ms);
}

static void on_heads_reply(struct request *request, const struct contract_query_reply *reply,
                           uint64_t now_ms)
{
    struct heads_query *query = CONTAINER_OF(request, struct heads_query, request);
    query->shard->heads = NULL;
    if (!list_is_empty(&query->shard->heads_due)) {
        hurry_heads(request->hub, now_ms);
    }
    bool is_answer = reply->type == CONTRACT_HEADS && reply->heads.head_count == query->count;
    for (size_t i = 0; i < query->count; i++) {
        struct room *room = query->rooms[i];
        if (room == NULL) {
            continue;
        }
        room->heads_pending = false;
        if (is_answer) {
            room->heads_answered++;
            room_note_head(room, reply->heads.heads[i].epoch, reply->heads.heads[i].head, now_ms);
        }
        if (!list_is_empty(&room->joining)) {
            room_wake(room);
        }
    }
    free(query);
}

static void ask_heads(struct hub *hub, unsigned shard, uint64_t now_ms)
{
    struct heads_query *query = mem_alloc_zeroed(sizeof(*query));
    query->shard = &hub->query_shards[shard];
    query->shard->heads = query;
    struct bytes names[HEADS_ROOMS_PER_QUERY];
    struct list *node;
    while (query->count < HEADS_ROOMS_PER_QUERY &&
           (node = list_take_first(&query->shard->heads_due)) != NULL) {
        query->rooms[query->count] = CONTAINER_OF(node, struct room, heads_due);
        names[query->count] = room_name(query->rooms[query->count]);
        query->count++;
    }
    struct contract_query ask = {.type = CONTRACT_HEADS,
                                 .heads = {.room_count = query->count, .rooms = names}};
    request_init(&query->request, hub, on_heads_reply);
    request_start(&query->request, shard, 0, &ask, now_ms);
}

void room_on_heads_timer(struct timer *timer, uint64_t now_ms)
{
    struct hub *hub = CONTAINER_OF(timer, struct hub, heads_timer);
    for (unsigned i = 0; i < CONTRACT_SHARDS; i++) {
        const struct query_shard *shard = &hub->query_shards[i];
        if (shard->heads == NULL && !list_is_empty(&shard->heads_due)) {
            ask_heads(hub, i, now_ms);
        }
    }
}

static void heads_forget(struct room *room)
{
    struct heads_query *query = room->hub->query_shards[room->shard].heads;
    bool is_asked = room->heads_pending && list_is_empty(&room->heads_due);
    for (size_t i = 0; is_asked && i < query->count; i++) {
        if (query->rooms[i] == room) {
            query->rooms[i] = NULL;
        }
    }
    list_leave(&room->heads_due);
}

void room_cancel_heads(struct hub *hub)
{
    for (size_t i = 0; i < CONTRACT_SHARDS; i++) {
        struct query_shard *shard = &hub->query_shards[i];
        if (shard->heads != NULL) {
            request_cancel(&shard->heads->request);
            free(shard->heads);
            shard->heads = NULL;
        }
    }
}

/* --- life
 * -------------------------------------------------------------------------------------------------------
 */

static void on_grace_over(struct timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    room_free(CONTAINER_OF(timer, struct room, grace_timer));
}

static struct room *room_new(struct hub *hub, struct bytes name)
{
    ASSERT(name.len > 0 && name.len <= CHAT_ROOM_BYTES_MAX);
    struct room *room = mem_alloc_zeroed(sizeof(*room) + 1 + name.len);
    room->hub = hub;
    room->shard = contract_shard(name);
    room->name_len = (uint8_t)name.len;
    room->namespace_len = bytes_equal(name, BYTES("lobby")) ? 1 : (uint8_t)(1 + name.len);
    room->text[0] = '/';
    memcpy(room->text + 1, name.data, name.len);
    room_log_init(&room->log, &hub->log_budget);
    list_init(&room->dirty);
    list_init(&room->joining);
    list_init(&room->queue);
    list_init(&room->batch);
    list_init(&room->pages);
    list_init(&room->heads_due);
    list_init(&room->idle);
    timer_init(&room->append_timer, send_on_append_due);
    timer_init(&room->ahead_timer, on_ahead_due);
    timer_init(&room->heads_timer, on_heads_due);
    timer_init(&room->grace_timer, on_grace_over);
    request_init(&room->range, hub, on_range_reply);
    return room;
}

bool room_is_needed(const struct hub *hub, struct bytes name)
{
    const struct room *room = map_get(&hub->rooms, name);
    return room != NULL && list_is_empty(&room->idle);
}

enum room_limit room_limit_of(const struct hub *hub, uint32_t source, size_t count)
{
    uint32_t of_source = source < hub->source_capacity ? hub->rooms_of_source[source] : 0;
    size_t needed = hub->stats.rooms - hub->idle_count;
    if (source != 0 && hub->settings.rooms_per_source_max > 0 &&
        of_source + count > hub->settings.rooms_per_source_max) {
        return ROOM_LIMIT_ADDRESS;
    }
    return needed + count > hub->settings.rooms_max ? ROOM_LIMIT_FULL : ROOM_LIMIT_NONE;
}

static void leave_idle(struct room *room)
{
    room->hub->idle_count -= !list_is_empty(&room->idle);
    list_leave(&room->idle);
}

/* @room counts for @source from now on. */
static void count_for(struct room *room, uint32_t source)
{
    struct hub *hub = room->hub;
    if (source >= hub->source_capacity) {
        size_t capacity = MAX_OF(hub->source_capacity * 2, (size_t)source + 1);
        hub->rooms_of_source = mem_resize(hub->rooms_of_source, capacity * sizeof(uint32_t));
        memset(hub->rooms_of_source + hub->source_capacity, 0,
               (capacity - hub->source_capacity) * sizeof(uint32_t));
        hub->source_capacity = capacity;
    }
    room->source = source;
    hub->rooms_of_source[source]++;
}

/* @room, which was idle or is new, is needed, and counts for @source. */
static void become_needed(struct room *room, uint32_t source)
{
    leave_idle(room);
    timers_clear(room->hub->timers, &room->grace_timer);
    count_for(room, source);
}

/* Somebody who is there, or about to be; or NULL. */
static const struct member *anybody(const struct room *room)
{
    if (room->member_count > 0) {
        return room->members[0];
    }
    struct list *node = list_first(&room->joining);
    return node == NULL ? NULL : CONTAINER_OF(node, struct member, link);
}

void room_left_by(struct room *room, const struct member *member, uint64_t now_ms)
{
    const struct member *other = anybody(room);
    if (room->source == member_client(member)->source && other != NULL) {
        room->hub->rooms_of_source[room->source]--;
        count_for(room, member_client(other)->source);
    }
    room_maybe_idle(room, now_ms);
}

struct room *room_get(struct hub *hub, struct bytes name, uint32_t source, uint64_t now_ms)
{
    struct room *room = map_get(&hub->rooms, name);
    if (room != NULL && list_is_empty(&room->idle)) {
        request_hasten(&room->range, source);
        return room;
    }
    if (room == NULL) {
        if (hub->stats.rooms >= hub->settings.rooms_max && !list_is_empty(&hub->idle_rooms)) {
            room_free(CONTAINER_OF(list_first(&hub->idle_rooms), struct room, idle));
        }
        room = room_new(hub, name);
        map_add(&hub->rooms, room);
        hub->stats.rooms++;
        hub->world.subscribe(hub->world.user, name);
        ask_newest(room, source, now_ms);
    }
    become_needed(room, source);
    return room;
}

void room_free(struct room *room)
{
    struct hub *hub = room->hub;
    ASSERT(room->member_count == 0 && list_is_empty(&room->joining));
    presence_free(room);
    hub->world.unsubscribe(hub->world.user, room_name(room));
    hub_tell(hub, &(struct hub_event){.type = HUB_ROOM_CLOSED, .room = room_name(room)});
    send_release_room(room);
    page_drop_room(&hub->pages, room);
    heads_forget(room);
    ahead_clear(room);
    request_cancel(&room->range);
    timers_clear(hub->timers, &room->heads_timer);
    timers_clear(hub->timers, &room->grace_timer);
    if (list_is_empty(&room->idle)) {
        hub->rooms_of_source[room->source]--;
    }
    leave_idle(room);
    list_leave(&room->dirty);
    ASSERT(map_remove(&hub->rooms, room_name(room)) == room);
    room_log_release(&room->log);
    hub->stats.rooms--;
    free(room->epochs);
    free(room->members);
    free(room);
}

/* Members have other places now: whoever is yet to be flushed may be anywhere. */
static void restart_round(struct room *room)
{
    if (room->news_left > 0) {
        room->news_left = room->member_count;
    }
}

void room_add_member(struct room *room, struct member *member)
{
    if (room->member_count == room->member_capacity) {
        room->member_capacity = MAX_OF((uint32_t)MEMBERS_CAPACITY_FIRST, room->member_capacity * 2);
        room->members = mem_resize(room->members, room->member_capacity * sizeof(struct member *));
    }
    member->index = room->member_count;
    room->members[room->member_count++] = member;
    restart_round(room);
    if (!list_is_empty(&room->idle)) { /* left by the last one, whose session @member resumes */
        become_needed(room, member_client(member)->source);
    }
}

void room_remove_member(struct room *room, struct member *member, uint64_t now_ms)
{
    ASSERT(room->members[member->index] == member);
    struct member *last = room->members[--room->member_count];
    room->members[member->index] = last;
    last->index = member->index;
    restart_round(room);
    room_left_by(room, member, now_ms);
}

void room_wake(struct room *room)
{
    if (list_is_empty(&room->dirty)) {
        list_append(&room->hub->dirty_rooms, &room->dirty);
    }
}

void room_wake_members(struct room *room)
{
    room->news_left = room->member_count;
    room_wake(room);
}

void room_maybe_idle(struct room *room, uint64_t now_ms)
{
    if (room->member_count == 0 && list_is_empty(&room->joining) && list_is_empty(&room->queue) &&
        list_is_empty(&room->batch)) {
        struct hub *hub = room->hub;
        if (list_is_empty(&room->idle)) {
            hub->rooms_of_source[room->source]--;
            list_append(&hub->idle_rooms, &room->idle);
            hub->idle_count++;
        }
        timers_set(hub->timers, &room->grace_timer, now_ms + hub->settings.room_grace_ms);
    }
}

enum room_offset_result room_translate_offset(const struct room *room, uint64_t epoch, uint64_t id,
                                              uint64_t *ret_id)
{
    if (epoch > room->epoch) {
        return ROOM_OFFSET_AHEAD;
    }
    if (epoch == 0 || epoch == room->epoch) {
        *ret_id = id;
        return id > room->log.head ? ROOM_OFFSET_AHEAD : ROOM_OFFSET_OK;
    }
    uint64_t first = first_id_after(room, epoch);
    if (first == 0) {
        return ROOM_OFFSET_INVALID;
    }
    *ret_id = MIN_OF(id, first - 1);
    return *ret_id == id ? ROOM_OFFSET_OK : ROOM_OFFSET_CUT;
}

/* --- what NATS brings
 * ------------------------------------------------------------------------------------------- */

static void on_batch(struct room *room, struct contract_room_event *event, uint64_t now_ms)
{
    uint64_t first = event->batch.first_id;
    if (room->state == ROOM_OPENING) {
        ahead_add(room, event, now_ms);
        return;
    }
    if (!note_epoch(room, event->batch.epoch, now_ms) || event->batch.message_count == 0) {
        contract_free(event);
        return;
    }
    if (first > room->log.head + 1) {
        ahead_add(room, event, now_ms);
        return;
    }
    room_append_messages(room, first, event->batch.messages, event->batch.message_count, now_ms);
    contract_free(event);
    ahead_drain(room, now_ms);
}

void hub_on_room_event(struct hub *hub, struct contract_room_event *event, uint64_t now_ms)
{
    struct room *room = map_get(&hub->rooms, event->room);
    if (room == NULL) {
        contract_free(event); /* from before we left the room */
    } else if (event->type == CONTRACT_BATCH) {
        on_batch(room, event, now_ms);
    } else {
        if (event->type == CONTRACT_SESSION_RESUMED) {
            client_on_session_resumed(hub, room, event, now_ms);
        } else {
            presence_on_wanted(room, event, now_ms);
        }
        contract_free(event);
    }
}

void hub_on_bus_restored(struct hub *hub, uint64_t now_ms)
{
    size_t cursor = 0;
    for (struct request *request; (request = map_next(&hub->requests, &cursor)) != NULL;) {
        request_hurry(request, now_ms);
    }
    cursor = 0;
    for (struct room *room; (room = map_next(&hub->rooms, &cursor)) != NULL;) {
        send_hurry(room, now_ms);
        room_check_head(room, now_ms);
    }
    presence_on_restored(hub, now_ms);
}
