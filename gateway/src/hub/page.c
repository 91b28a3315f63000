#include "page.h"

#include "room.h"
#include <stdlib.h>

enum page_state {
    PAGE_IDLE,
    PAGE_QUEUED,
    PAGE_FETCHING,
    PAGE_TELLING, /* while waiters are told: it is not freed under whoever is at that */
};

struct page_key {
    const struct room *room;
    uint64_t number;
};

struct page {
    struct page_key key;
    struct room *room;
    enum page_state state;
    struct list of_room; /* the room's pages */
    struct turn queue;   /* cache.queue, while QUEUED */
    struct list waiters;
    struct list parts; /* by id */
    struct request request;
    uint64_t from, to;        /* FETCHING: what is asked for ... */
    uint64_t target;          /* ... and for whose sake */
    bool was_asked;           /* from its first id on */
    uint32_t answer_messages; /* of the last answer */
};

struct page_part {
    struct list use;     /* cache.ready, fresh or marked */
    bool is_fresh;       /* not ready */
    struct list of_page; /* page.parts */
    struct page *page;
    struct segment *segment;
    size_t bytes;
};

static uint64_t page_number(uint64_t id)
{
    return (id - 1) / CONTRACT_PAGE;
}

static uint64_t page_first_id(const struct page *page)
{
    return page->key.number * CONTRACT_PAGE + 1;
}

static uint64_t page_last_id(const struct page *page)
{
    return (page->key.number + 1) * CONTRACT_PAGE;
}

static struct bytes page_key(const void *page)
{
    return bytes_of((const char *)&((const struct page *)page)->key, sizeof(struct page_key));
}

static struct page *find(const struct page_cache *cache, const struct room *room, uint64_t id)
{
    struct page_key key = {.room = room, .number = page_number(id)};
    return map_get(&cache->pages, bytes_of((const char *)&key, sizeof(key)));
}

static struct page_part *find_part(const struct page *page, uint64_t id)
{
    LIST_EACH (node, &page->parts) {
        struct page_part *part = CONTAINER_OF(node, struct page_part, of_page);
        if (segment_covers(part->segment, id)) {
            return part;
        }
    }
    return NULL;
}

void page_cache_init(struct page_cache *cache, struct hub *hub, size_t bytes_max,
                     size_t answer_bytes_max)
{
    answer_bytes_max = MIN_OF(answer_bytes_max, bytes_max);
    size_t fetching_max = MIN_OF(bytes_max / 2 / answer_bytes_max, (size_t)PAGES_FETCHING_MAX);
    *cache = (struct page_cache){
        .hub = hub,
        .bytes_max = bytes_max,
        .answer_bytes_max = answer_bytes_max,
        .fetching_max = MAX_OF(fetching_max, (size_t)1),
    };
    map_init(&cache->pages, page_key);
    turns_init(&cache->queue);
    list_init(&cache->ready);
    list_init(&cache->fresh);
    list_init(&cache->marked);
}

void page_cache_release(struct page_cache *cache)
{
    ASSERT(cache->pages.count == 0 && cache->bytes == 0);
    map_release(&cache->pages);
    turns_release(&cache->queue);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void on_reply(struct request *request, const struct contract_query_reply *reply,
                     uint64_t now_ms);

static struct page *page_new(struct page_cache *cache, struct room *room, uint64_t number)
{
    struct page *page = mem_alloc_zeroed(sizeof(*page));
    page->key = (struct page_key){.room = room, .number = number};
    page->room = room;
    list_init(&page->of_room);
    turn_init(&page->queue);
    list_init(&page->waiters);
    list_init(&page->parts);
    request_init(&page->request, cache->hub, on_reply);
    list_append(&room->pages, &page->of_room);
    map_add(&cache->pages, page);
    return page;
}

/* Leaves the queue, or stops asking. */
static void become_idle(struct page_cache *cache, struct page *page)
{
    switch (page->state) {
    case PAGE_IDLE:
    case PAGE_TELLING: break;
    case PAGE_QUEUED:
        turns_leave(&cache->queue, &page->queue);
        cache->queued--;
        break;
    case PAGE_FETCHING:
        request_cancel(&page->request);
        cache->fetching--;
        break;
    }
    page->state = PAGE_IDLE;
}

static const struct page_waiter *first_waiter(const struct page *page)
{
    return CONTAINER_OF(list_first(&page->waiters), struct page_waiter, link);
}

static void enqueue(struct page_cache *cache, struct page *page)
{
    ASSERT(page->state == PAGE_IDLE);
    page->state = PAGE_QUEUED;
    cache->queued++;
    turns_add(&cache->queue, &page->queue, first_waiter(page)->source);
}

static void free_unless_needed(struct page_cache *cache, struct page *page)
{
    if (page->state == PAGE_IDLE && list_is_empty(&page->parts)) {
        list_leave(&page->of_room);
        ASSERT(map_remove(&cache->pages, page_key(page)) == page);
        free(page);
    }
}

/* Its page may go with it. */
static void drop_part(struct page_cache *cache, struct page_part *part)
{
    struct page *page = part->page;
    cache->bytes -= part->bytes;
    segment_free(part->segment);
    list_leave(&part->use);
    list_leave(&part->of_page);
    free(part);
    free_unless_needed(cache, page);
}

void page_waiter_init(struct page_waiter *waiter, uint32_t source,
                      void (*on_page)(struct page_waiter *waiter))
{
    waiter->source = source;
    waiter->on_page = on_page;
    list_init(&waiter->link);
}

void page_waiter_cancel(struct page_cache *cache, struct page_waiter *waiter)
{
    if (!page_waiter_is_waiting(waiter)) {
        return;
    }
    list_leave(&waiter->link);
    struct page *page = waiter->page; /* NULL: it was just going to be told */
    if (page != NULL && page->state == PAGE_QUEUED && list_is_empty(&page->waiters)) {
        become_idle(cache, page);
        free_unless_needed(cache, page);
    }
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static struct contract_query page_query(const struct page *page)
{
    return (struct contract_query){
        .type = CONTRACT_RANGE,
        .range = {.room = room_name(page->room),
                  .from = page->from,
                  .to = page->to,
                  .limit = CONTRACT_PAGE},
    };
}

/*
 * What to ask for. At first all of the page, which mostly comes. Where messages are so long that it does not, the id that
 * was waited for longest, and what lies beside it, up to the parts that are there.
 */
static void choose_range(struct page *page)
{
    const struct page_waiter *first = first_waiter(page);
    page->target = first->id;
    page->from = page_first_id(page);
    page->to = page_last_id(page);
    if (page->was_asked) {
        /* Half an answer of such messages, or of the longest, that an answer surely reaches to the wanted one. */
        uint64_t half = MAX_OF(page->answer_messages / 2, (uint64_t)PAGE_BACK_MESSAGES);
        uint64_t back = first->reading == PAGE_BACKWARD ? half : 0;
        page->from = MAX_OF(page->from, first->id - MIN_OF(first->id - 1, back));
    }
    LIST_EACH (node, &page->parts) {
        const struct segment *part = CONTAINER_OF(node, struct page_part, of_page)->segment;
        if (segment_end_id(part) <= first->id) {
            page->from = MAX_OF(page->from, segment_end_id(part));
        } else {
            page->to = MIN_OF(page->to, part->first_id - 1);
        }
    }
    page->was_asked = true;
}

/* Whether one more answer has its place in the budget; the least recently used leave for it. */
static bool make_room(struct page_cache *cache)
{
    size_t promised = (cache->fetching + 1) * cache->answer_bytes_max;
    struct list *node;
    while (cache->bytes + promised > cache->bytes_max &&
           (node = list_first(&cache->ready)) != NULL) {
        drop_part(cache, CONTAINER_OF(node, struct page_part, use));
        cache->hub->stats.page_parts_evicted++;
    }
    return cache->bytes + promised <= cache->bytes_max;
}

static void fetch_queued(struct page_cache *cache, uint64_t now_ms)
{
    while (cache->fetching < cache->fetching_max && !turns_are_empty(&cache->queue) &&
           make_room(cache)) {
        struct page *page = CONTAINER_OF(turns_take(&cache->queue), struct page, queue);
        cache->queued--;
        page->state = PAGE_FETCHING;
        cache->fetching++;
        choose_range(page);
        struct contract_query query = page_query(page);
        request_start(&page->request, page->room->shard, first_waiter(page)->source, &query,
                      now_ms);
    }
}

bool page_cache_mark(struct page_cache *cache)
{
    list_append_all(&cache->marked, &cache->fresh);
    return !list_is_empty(&cache->marked);
}

void page_cache_let_go(struct page_cache *cache)
{
    for (struct list *node; (node = list_take_first(&cache->marked)) != NULL;) {
        CONTAINER_OF(node, struct page_part, use)->is_fresh = false;
        list_append(&cache->ready, node);
    }
}

void page_cache_go_on(struct page_cache *cache, uint64_t now_ms)
{
    fetch_queued(cache, now_ms);
}

size_t page_cache_waiting(const struct page_cache *cache)
{
    return cache->queued + cache->fetching;
}

void page_want(struct page_cache *cache, struct room *room, uint64_t id, enum page_reading reading,
               struct page_waiter *waiter)
{
    ASSERT(id > 0 && !page_waiter_is_waiting(waiter));
    struct page *page = find(cache, room, id);
    if (page == NULL) {
        page = page_new(cache, room, page_number(id));
    }
    ASSERT(find_part(page, id) == NULL);
    waiter->page = page;
    waiter->id = id;
    waiter->reading = reading;
    list_append(&page->waiters, &waiter->link);
    if (page->state == PAGE_IDLE) {
        enqueue(cache, page);
    }
}

const struct segment *page_find(struct page_cache *cache, const struct room *room, uint64_t id)
{
    struct page *page = id == 0 ? NULL : find(cache, room, id);
    struct page_part *part = page == NULL ? NULL : find_part(page, id);
    if (part == NULL) {
        return NULL;
    }
    if (!part->is_fresh) {
        list_leave(&part->use);
        list_append(&cache->ready, &part->use);
    }
    return part->segment;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* What a part of @count messages takes, whose frames are @len bytes; its segment's table may be half empty. */
static size_t part_size(size_t count, size_t len)
{
    return sizeof(struct page_part) + sizeof(struct segment) + len +
           2 * MAX_OF(count, (size_t)2) * sizeof(struct segment_frame);
}

/* Of the messages of an answer, as many as its place in the budget holds, but one at least. */
static struct segment *encode(struct page_cache *cache, const struct room *room,
                              const struct contract_query_reply *reply)
{
    struct buf *frames = &cache->hub->scratch;
    uint32_t ends[CONTRACT_PAGE];
    size_t count = 0;
    for (buf_clear(frames); count < reply->range.message_count; count++) {
        room_append_frame(room, reply->range.first_id + count, &reply->range.messages[count],
                          frames);
        if (count > 0 && part_size(count + 1, frames->len) > cache->answer_bytes_max) {
            break;
        }
        ends[count] = (uint32_t)frames->len;
    }
    struct segment *segment = segment_new(reply->range.first_id, ends[count - 1]);
    for (size_t i = 0, start = 0; i < count; start = ends[i], i++) {
        segment_append(segment, map_hash(reply->range.messages[i].session),
                       bytes_of(frames->data + start, ends[i] - start));
    }
    return segment;
}

static void add_part(struct page_cache *cache, struct page *page, struct segment *segment)
{
    struct page_part *part = mem_alloc_zeroed(sizeof(*part));
    part->page = page;
    part->segment = segment;
    part->is_fresh = true;
    part->bytes = part_size(segment->count, segment->len);
    list_init(&part->use);
    list_init(&part->of_page);
    list_append(&cache->fresh, &part->use);
    struct list *behind = &page->parts;
    LIST_EACH (node, &page->parts) {
        if (CONTAINER_OF(node, struct page_part, of_page)->segment->first_id > segment->first_id) {
            behind = node;
            break;
        }
    }
    list_append(behind, &part->of_page);
    cache->bytes += part->bytes;
    page->answer_messages = segment->count;
    cache->hub->stats.page_parts_fetched++;
}

static void move_to_told(struct list *waiter, struct list *told)
{
    list_leave(waiter);
    list_append(told, waiter);
    CONTAINER_OF(waiter, struct page_waiter, link)->page = NULL;
}

static void tell(struct list *told)
{
    for (struct list *node; (node = list_take_first(told)) != NULL;) {
        struct page_waiter *waiter = CONTAINER_OF(node, struct page_waiter, link);
        waiter->on_page(waiter);
    }
}

/* Tells those whose id is there, or was removed; and in any case for whom the answer was asked. */
static void tell_waiters(struct page *page)
{
    struct list told;
    list_init(&told);
    LIST_EACH_SAFE (node, following, &page->waiters) {
        const struct page_waiter *waiter = CONTAINER_OF(node, struct page_waiter, link);
        bool has_news = waiter->id == page->target || waiter->id < page->room->oldest ||
                        find_part(page, waiter->id) != NULL;
        if (has_news) {
            move_to_told(node, &told);
        }
    }
    tell(&told);
}

/* Of another epoch, or no answer to what was asked. */
static void ask_again_later(struct page *page, uint64_t now_ms)
{
    struct contract_query query = page_query(page);
    request_start_later(&page->request, page->room->shard, page->request.source, &query, now_ms);
    room_check_head(page->room, now_ms); /* finds out about a newer epoch, and drops its pages */
}

static void on_reply(struct request *request, const struct contract_query_reply *reply,
                     uint64_t now_ms)
{
    struct page *page = CONTAINER_OF(request, struct page, request);
    struct room *room = page->room;
    struct page_cache *cache = &room->hub->pages;
    bool is_answer = reply->type == CONTRACT_RANGE && reply->range.message_count <= CONTRACT_PAGE &&
                     reply->range.epoch == room->epoch;
    if (!is_answer) {
        ask_again_later(page, now_ms);
        return;
    }
    if (reply->range.oldest > room->oldest) {
        room->oldest = reply->range.oldest;
    }
    become_idle(cache, page);
    page->state = PAGE_TELLING;
    bool has_messages = reply->range.message_count > 0 && reply->range.first_id >= page->from &&
                        reply->range.first_id + reply->range.message_count - 1 <= page->to;
    if (has_messages) {
        add_part(cache, page, encode(cache, room, reply));
    } else {
        room_note_head(room, reply->range.epoch, reply->range.head, now_ms);
    }
    tell_waiters(page);
    page->state = PAGE_IDLE;
    if (!list_is_empty(&page->waiters)) {
        enqueue(cache, page);
    }
    free_unless_needed(cache, page);
    fetch_queued(cache, now_ms);
}

void page_drop_room(struct page_cache *cache, struct room *room)
{
    struct list told;
    list_init(&told);
    for (struct list *node; (node = list_first(&room->pages)) != NULL;) {
        struct page *page = CONTAINER_OF(node, struct page, of_room);
        become_idle(cache, page);
        page->state = PAGE_TELLING;
        LIST_EACH_SAFE (waiter, following, &page->waiters) {
            move_to_told(waiter, &told);
        }
        LIST_EACH_SAFE (part, following, &page->parts) {
            drop_part(cache, CONTAINER_OF(part, struct page_part, of_page));
        }
        page->state = PAGE_IDLE;
        free_unless_needed(cache, page);
    }
    tell(&told);
}
