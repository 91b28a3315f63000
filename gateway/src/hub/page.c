#include "page.h"

#include "room.h"
#include <stdlib.h>

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

void page_cache_init(struct page_cache *cache, struct hub *hub, size_t bytes_max)
{
    *cache = (struct page_cache){.hub = hub, .bytes_max = bytes_max};
    map_init(&cache->pages, page_key);
    list_init(&cache->queue);
    list_init(&cache->ready);
}

void page_cache_release(struct page_cache *cache)
{
    ASSERT(cache->pages.count == 0);
    map_release(&cache->pages);
}

void page_waiter_init(struct page_waiter *waiter,
                      void (*on_page)(struct page_waiter *waiter, uint64_t now_ms))
{
    waiter->on_page = on_page;
    list_init(&waiter->link);
}

static void tell_waiters(struct page *page, uint64_t now_ms)
{
    struct list told;
    list_init(&told);
    list_append_all(&told, &page->waiters);
    for (struct list *node; (node = list_take_first(&told)) != NULL;) {
        struct page_waiter *waiter = CONTAINER_OF(node, struct page_waiter, link);
        waiter->on_page(waiter, now_ms);
    }
}

static void drop_segments(struct page_cache *cache, struct page *page)
{
    while (page->segments != NULL) {
        struct segment *segment = page->segments;
        page->segments = segment->next;
        segment_free(segment);
    }
    page->segments_end = &page->segments;
    cache->bytes -= page->bytes;
    page->bytes = 0;
}

static void leave_fetching(struct page_cache *cache, struct page *page)
{
    if (page->state == PAGE_FETCHING) {
        request_cancel(&page->request);
        cache->fetching--;
    }
}

static void page_free(struct page_cache *cache, struct page *page)
{
    ASSERT(list_is_empty(&page->waiters));
    leave_fetching(cache, page);
    drop_segments(cache, page);
    list_leave(&page->use);
    list_leave(&page->of_room);
    ASSERT(map_remove(&cache->pages, page_key(page)) == page);
    free(page);
}

static struct contract_query next_query(const struct page *page)
{
    return (struct contract_query){
        .type = CONTRACT_RANGE,
        .range = {.room = room_name(page->room),
                  .from = page->next_id,
                  .to = page_last_id(page),
                  .limit = CONTRACT_PAGE},
    };
}

static void ask_next(struct page *page, uint64_t now_ms)
{
    struct contract_query query = next_query(page);
    request_start(&page->request, page->room->shard, &query, now_ms);
}

/* Of another epoch, or no answer to what was asked. */
static void ask_again_later(struct page *page, uint64_t now_ms)
{
    struct contract_query query = next_query(page);
    request_start_later(&page->request, page->room->shard, &query, now_ms);
    room_check_head(page->room, now_ms); /* finds out about a newer epoch, and drops its pages */
}

static void fetch_queued(struct page_cache *cache, uint64_t now_ms)
{
    while (!cache->is_held && cache->fetching < PAGES_FETCHING_MAX &&
           !list_is_empty(&cache->queue)) {
        struct page *page = CONTAINER_OF(list_take_first(&cache->queue), struct page, use);
        page->state = PAGE_FETCHING;
        page->next_id = page_first_id(page);
        cache->fetching++;
        ask_next(page, now_ms);
    }
}

void page_cache_trim(struct page_cache *cache, uint64_t now_ms)
{
    struct list *used_last = cache->ready.prev;
    LIST_EACH_SAFE (node, following, &cache->ready) {
        struct page *page = CONTAINER_OF(node, struct page, use);
        if (cache->bytes <= cache->bytes_max || node == used_last) {
            break;
        }
        if (!cache->is_held || page->holds < cache->holds) {
            page_free(cache, page);
        }
    }
    cache->is_held = false;
    fetch_queued(cache, now_ms);
}

bool page_cache_hold(struct page_cache *cache)
{
    cache->is_held = cache->bytes > cache->bytes_max;
    cache->holds += cache->is_held;
    return cache->is_held;
}

/* Keeps the messages of one answer as a segment. */
static void add_segment(struct page_cache *cache, struct page *page,
                        const struct contract_query_reply *reply)
{
    struct room *room = page->room;
    struct buf *scratch = &cache->hub->scratch;
    size_t count = reply->range.message_count;
    uint32_t ends[CONTRACT_PAGE];
    buf_clear(scratch);
    for (size_t i = 0; i < count; i++) {
        room_append_frame(room, reply->range.first_id + i, &reply->range.messages[i], scratch);
        ends[i] = (uint32_t)scratch->len;
    }
    struct segment *segment = segment_new(reply->range.first_id, (uint32_t)scratch->len);
    for (size_t i = 0, start = 0; i < count; start = ends[i], i++) {
        segment_append(segment, map_hash(reply->range.messages[i].session),
                       bytes_of(scratch->data + start, ends[i] - start));
    }
    *page->segments_end = segment;
    page->segments_end = &segment->next;
    page->next_id = segment_end_id(segment);
    page->bytes += segment_size(segment);
    cache->bytes += segment_size(segment);
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
    bool has_messages =
        reply->range.message_count > 0 && reply->range.first_id >= page->next_id &&
        reply->range.first_id + reply->range.message_count - 1 <= page_last_id(page);
    if (has_messages) {
        add_segment(cache, page, reply);
        if (page->next_id <= MIN_OF(page_last_id(page), reply->range.head)) {
            ask_next(page, now_ms);
            return;
        }
        room->hub->stats.pages_fetched++;
    } else {
        room_note_head(room, reply->range.epoch, reply->range.head, now_ms);
    }
    leave_fetching(cache, page);
    page->state = PAGE_READY;
    page->holds = cache->holds;
    list_append(&cache->ready, &page->use);
    tell_waiters(page, now_ms);
    fetch_queued(cache, now_ms);
}

const struct segment *page_find(struct page_cache *cache, const struct room *room, uint64_t id)
{
    struct page *page = id == 0 ? NULL : find(cache, room, id);
    if (page == NULL || page->state != PAGE_READY) {
        return NULL;
    }
    for (const struct segment *segment = page->segments; segment != NULL; segment = segment->next) {
        if (segment_covers(segment, id)) {
            list_leave(&page->use);
            list_append(&cache->ready, &page->use);
            return segment;
        }
    }
    return NULL;
}

void page_want(struct page_cache *cache, struct room *room, uint64_t id, struct page_waiter *waiter,
               uint64_t now_ms)
{
    ASSERT(id > 0 && !page_waiter_is_waiting(waiter));
    struct page *page = find(cache, room, id);
    if (page == NULL) {
        page = mem_alloc_zeroed(sizeof(*page));
        page->key = (struct page_key){.room = room, .number = page_number(id)};
        page->room = room;
        page->segments_end = &page->segments;
        list_init(&page->of_room);
        list_init(&page->use);
        list_init(&page->waiters);
        request_init(&page->request, cache->hub, on_reply);
        list_append(&room->pages, &page->of_room);
        map_add(&cache->pages, page);
        list_append(&cache->queue, &page->use);
    } else if (page->state == PAGE_READY) {
        /* It was short when it was read, and the log has moved on since. */
        drop_segments(cache, page);
        list_leave(&page->use);
        page->state = PAGE_QUEUED;
        list_append(&cache->queue, &page->use);
    }
    list_append(&page->waiters, &waiter->link);
    fetch_queued(cache, now_ms);
}

size_t page_cache_waiting(const struct page_cache *cache)
{
    size_t count = cache->fetching;
    LIST_EACH (node, &cache->queue) {
        count++;
    }
    return count;
}

void page_drop_room(struct page_cache *cache, struct room *room, uint64_t now_ms)
{
    struct list dropped;
    list_init(&dropped);
    list_append_all(&dropped, &room->pages);
    for (struct list *node; (node = list_take_first(&dropped)) != NULL;) {
        struct page *page = CONTAINER_OF(node, struct page, of_room);
        struct list waiters;
        list_init(&waiters);
        list_append_all(&waiters, &page->waiters);
        page_free(cache, page);
        for (struct list *w; (w = list_take_first(&waiters)) != NULL;) {
            struct page_waiter *waiter = CONTAINER_OF(w, struct page_waiter, link);
            waiter->on_page(waiter, now_ms);
        }
    }
    fetch_queued(cache, now_ms);
}
