#include "room_log.h"

#include "limits.h"
#include <stdlib.h>

/* A segment's place among those of its log (older, newer) and among those of all logs. */
struct log_segment {
    struct room_log *log;
    struct log_segment *older, *newer;
    struct log_segment *all_older, *all_newer;
    struct segment *segment;
};

void room_log_init(struct room_log *log, struct log_budget *budget)
{
    *log = (struct room_log){.budget = budget};
}

static void account(struct room_log *log, size_t before, size_t after)
{
    log->bytes += after - before;
    log->budget->bytes += after - before;
}

static size_t entry_size(const struct log_segment *entry)
{
    return sizeof(*entry) + segment_size(entry->segment);
}

/* Removes @entry, the oldest of its log. */
static void drop_oldest(struct log_segment *entry)
{
    struct room_log *log = entry->log;
    struct log_budget *budget = log->budget;
    ASSERT(log->oldest == entry);
    account(log, entry_size(entry), 0);
    log->oldest = entry->newer;
    if (entry->newer != NULL) {
        entry->newer->older = NULL;
    } else {
        log->newest = NULL;
    }
    *(entry->all_older != NULL ? &entry->all_older->all_newer : &budget->oldest) = entry->all_newer;
    *(entry->all_newer != NULL ? &entry->all_newer->all_older : &budget->newest) = entry->all_older;
    segment_free(entry->segment);
    free(entry);
}

void room_log_reset(struct room_log *log, uint64_t head)
{
    while (log->oldest != NULL) {
        drop_oldest(log->oldest);
    }
    log->head = head;
}

void room_log_release(struct room_log *log)
{
    room_log_reset(log, 0);
}

static void trim(struct room_log *log)
{
    while (log->bytes > log->budget->room_bytes_max && log->oldest != log->newest) {
        drop_oldest(log->oldest);
    }
    struct log_budget *budget = log->budget;
    struct log_segment *entry = budget->oldest;
    while (budget->bytes > budget->bytes_max && entry != NULL) {
        struct log_segment *next = entry->all_newer;
        if (entry != log->newest) {
            drop_oldest(entry);
        }
        entry = next;
    }
}

/* Quiet rooms stay small, busy ones soon have few large blocks; but what leaves for a new one is a small part. */
static size_t next_capacity(const struct room_log *log)
{
    size_t capacity_max =
        MIN_OF(log->budget->room_bytes_max / LOG_SEGMENTS_MIN, (size_t)SEGMENT_BYTES_MAX);
    return log->newest == NULL ? SEGMENT_BYTES_MIN
                               : MIN_OF((size_t)log->newest->segment->capacity * 2, capacity_max);
}

static void begin_segment(struct room_log *log, size_t frame_len)
{
    struct log_budget *budget = log->budget;
    size_t capacity = next_capacity(log);
    struct log_segment *entry = mem_alloc(sizeof(*entry));
    *entry = (struct log_segment){
        .log = log,
        .older = log->newest,
        .all_older = budget->newest,
        .segment = segment_new(log->head + 1, (uint32_t)MAX_OF(capacity, frame_len)),
    };
    *(log->newest != NULL ? &log->newest->newer : &log->oldest) = entry;
    log->newest = entry;
    *(budget->newest != NULL ? &budget->newest->all_newer : &budget->oldest) = entry;
    budget->newest = entry;
    account(log, 0, entry_size(entry));
}

enum room_log_result room_log_append(struct room_log *log, uint64_t id, uint64_t sender_hash,
                                     struct bytes frame)
{
    if (id <= log->head) {
        return ROOM_LOG_KNOWN;
    }
    if (id > log->head + 1) {
        return ROOM_LOG_AHEAD;
    }
    bool is_new = log->newest == NULL || !segment_has_room(log->newest->segment, frame.len);
    if (is_new) {
        begin_segment(log, frame.len);
    }
    size_t before = entry_size(log->newest);
    segment_append(log->newest->segment, sender_hash, frame);
    account(log, before, entry_size(log->newest));
    log->head = id;
    if (is_new) {
        trim(log);
    }
    return ROOM_LOG_APPENDED;
}

uint64_t room_log_first(const struct room_log *log)
{
    return log->oldest != NULL ? log->oldest->segment->first_id : log->head + 1;
}

const struct segment *room_log_find(const struct room_log *log, uint64_t id)
{
    if (id > log->head || id < room_log_first(log)) {
        return NULL;
    }
    struct log_segment *entry = log->newest; /* members are mostly at the head */
    while (id < entry->segment->first_id) {
        entry = entry->older;
    }
    return entry->segment;
}
