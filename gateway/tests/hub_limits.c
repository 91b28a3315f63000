#include "hub_limits.h"

#include "hub/client.h"
#include "hub/presence.h"
#include "hub/room.h"

enum {
    CLOSE_FRAME_BYTES_MAX = 2 + 125,
    SEND_BYTES_MAX = 64 * 1024 + 1024, /* of one */
    ENTRY_BYTES = 64,                  /* of what holds a segment in its lists */
};

/* What a log's bound counts: the newest segment stays, whatever its size. */
static size_t bounded_bytes(const struct room_log *log)
{
    const struct segment *newest = room_log_find(log, log->head);
    return newest == NULL ? 0 : log->bytes - MIN_OF(log->bytes, segment_size(newest) + ENTRY_BYTES);
}

static const char *client_broken(const struct client *client)
{
    if (client->sio.eio.outbox.len > CLIENT_OUTBOX_BYTES_MAX + CLOSE_FRAME_BYTES_MAX) {
        return "a client's outbox is too long";
    }
    return client->send_count > CLIENT_SENDS_MAX ? "a client has too many sends" : NULL;
}

static size_t count(const struct list *list)
{
    size_t n = 0;
    LIST_EACH (node, list) {
        n++;
    }
    return n;
}

/* What is kept of who is in @room, whose names count in @names_bytes. */
static const char *presence_broken(const struct room *room, size_t *names_bytes)
{
    const struct presence *presence = room->presence;
    uint32_t wanting = 0, typing = 0;
    for (uint32_t i = 0; i < room->member_count; i++) {
        wanting += room->members[i]->wants_presence;
        typing += room->members[i]->is_typing;
    }
    if (presence == NULL) {
        return wanting > 0 || typing > 0 ? "members want to know who is here, and nobody tells"
                                         : NULL;
    }
    if (wanting != presence->wanting || typing != presence->typer_count ||
        typing > TYPERS_OF_ROOM_MAX) {
        return "presence counts other members than there are";
    }
    uint64_t members = 0;
    for (uint32_t i = 0; i < presence->roster.count; i++) {
        members += presence->roster.gateways[i].count;
        *names_bytes += presence->roster.gateways[i].names.len;
    }
    if (members != presence->roster.members || presence->roster.count > ROSTER_GATEWAYS_MAX) {
        return "a roster counts other members than it has, or has too many gateways";
    }
    return timer_is_set(&presence->timer) ? NULL : "presence that is never looked at again";
}

static const char *room_broken(const struct room *room)
{
    if (room->queue_count > ROOM_SENDS_MAX || room->queue_bytes > ROOM_SENDS_BYTES_MAX) {
        return "a room's queue is too long";
    }
    if (count(&room->queue) > room->queue_count) {
        return "a room's queue is longer than was counted";
    }
    if (count(&room->batch) > APPEND_MESSAGES_MAX) {
        return "a batch is too long";
    }
    if (room->ahead_count > AHEAD_EVENTS_MAX || room->ahead_messages > AHEAD_MESSAGES_MAX) {
        return "a room keeps too much ahead of its log";
    }
    if (bounded_bytes(&room->log) > room->log.budget->room_bytes_max) {
        return "a room's log is too large";
    }
    for (uint32_t i = 0; i < room->member_count; i++) {
        const char *wrong = client_broken(member_client(room->members[i]));
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

static const char *rooms_broken(const struct hub *hub)
{
    size_t idle = count(&hub->idle_rooms), needed = 0;
    for (size_t i = 0; i < hub->source_capacity; i++) {
        needed += hub->rooms_of_source[i];
    }
    if (idle != hub->idle_count || idle + needed != hub->stats.rooms) {
        return "rooms are neither idle nor needed, or both";
    }
    return hub->stats.rooms > hub->settings.rooms_max ? "there are too many rooms" : NULL;
}

static const char *queries_broken(const struct hub *hub)
{
    for (size_t i = 0; i < CONTRACT_SHARDS; i++) {
        if (hub->query_shards[i].asked > QUERIES_OF_SHARD_MAX) {
            return "too many queries of a shard wait for answers";
        }
    }
    return NULL;
}

static const char *pages_broken(const struct page_cache *pages)
{
    if (pages->fetching > pages->fetching_max || pages->fetching_max > PAGES_FETCHING_MAX) {
        return "too many pages are fetched at a time";
    }
    if (pages->bytes + pages->fetching * pages->answer_bytes_max > pages->bytes_max) {
        return "pages, and what is promised to answers, are too large";
    }
    return NULL;
}

const char *hub_limits_broken(const struct hub *hub)
{
    size_t cursor = 0, log_bytes = 0, bounded = 0, names_bytes = 0;
    for (const struct room *room; (room = map_next(&hub->rooms, &cursor)) != NULL;) {
        const char *wrong = room_broken(room);
        wrong = wrong != NULL ? wrong : presence_broken(room, &names_bytes);
        if (wrong != NULL) {
            return wrong;
        }
        log_bytes += room->log.bytes;
        bounded += bounded_bytes(&room->log);
    }
    if (log_bytes != hub->log_budget.bytes) {
        return "the logs' bytes are not what was counted";
    }
    if (names_bytes != hub->presence.names.bytes || names_bytes > PRESENCE_BYTES_MAX) {
        return "the rosters' names are not what was counted, or too many";
    }
    if (bounded > hub->log_budget.bytes_max) {
        return "all logs together are too large";
    }
    if (hub->send_bytes > SENDS_BYTES_MAX + SEND_BYTES_MAX || hub->ahead_bytes > AHEAD_BYTES_MAX) {
        return "all rooms together keep too many sends, or too much ahead of their logs";
    }
    const char *wrong = rooms_broken(hub);
    wrong = wrong != NULL ? wrong : queries_broken(hub);
    return wrong != NULL ? wrong : pages_broken(&hub->pages);
}
