/*
 * page.h - pages of older messages: what members read when a room's log in memory does not reach
 * back to their cursor.
 *
 * Page k of a room holds the ids 256k+1 … 256k+256, so that members with different offsets share
 * pages, and whoever wants one that is being fetched waits for the same answer (single flight).
 * Pages of all rooms share a budget; the least recently used leave first. A page at the head may be
 * short; it is fetched again when more is wanted of it.
 *
 *   (none) ──want──▶ QUEUED ──slot free──▶ FETCHING ──last answer──▶ READY ──evicted, room gone──▶
 * (none)
 *
 * Thread      The loop's.
 * Invariants  1. At most PAGES_FETCHING_MAX pages are FETCHING.
 *             2. bytes <= bytes_max at a turn's end, but for the page that was used last, and while the
 * cache is held: then nothing more is fetched, and whoever waited for a page reads it before it goes.
 *             3. Waiters are only on pages that are QUEUED or FETCHING; each is told once and has
 * left the list then.
 */
#ifndef PARLEY_HUB_PAGE_H
#define PARLEY_HUB_PAGE_H

#include "base/list.h"
#include "base/map.h"
#include "request.h"
#include "segment.h"

struct room;

enum page_state { PAGE_QUEUED, PAGE_FETCHING, PAGE_READY };

struct page_key {
    const struct room *room;
    uint64_t number;
};

struct page {
    struct page_key key;
    struct room *room;
    enum page_state state;
    struct list of_room; /* the room's pages */
    struct list use;     /* QUEUED: the queue; READY: by use, least recent first */
    struct list waiters;
    struct request request;
    struct segment *segments; /* contiguous, ascending, one for each answer */
    struct segment **segments_end;
    uint64_t next_id; /* behind the last that was read */
    uint64_t holds;   /* cache.holds when it came */
    size_t bytes;
};

/* Embedded in who waits for a page. */
struct page_waiter {
    struct list link;
    void (*on_page)(struct page_waiter *waiter, uint64_t now_ms); /* there is news: look again */
};

struct page_cache {
    struct hub *hub;
    struct map pages;
    struct list queue;
    struct list ready;
    size_t fetching;
    size_t bytes;
    size_t bytes_max;
    bool is_held;
    uint64_t holds; /* how often it was */
};

void page_cache_init(struct page_cache *cache, struct hub *hub, size_t bytes_max);
void page_cache_release(struct page_cache *cache);

void page_waiter_init(struct page_waiter *waiter,
                      void (*on_page)(struct page_waiter *waiter, uint64_t now_ms));

static inline bool page_waiter_is_waiting(const struct page_waiter *waiter)
{
    return !list_is_empty(&waiter->link);
}

static inline void page_waiter_cancel(struct page_waiter *waiter)
{
    list_leave(&waiter->link);
}

/* The segment of a READY page of @room that holds @id, or NULL. Counts as use. Valid until the next
 * page_want(). */
const struct segment *page_find(struct page_cache *cache, const struct room *room, uint64_t id);

/* Fetches the page of @room that @id is in, and tells @waiter when something of it came. */
void page_want(struct page_cache *cache, struct room *room, uint64_t id, struct page_waiter *waiter,
               uint64_t now_ms);

/*
 * Where pages are more than their bound, fetches no more until page_cache_trim(). Returns whether they are. For when some
 * who were told of a page have yet to read it.
 */
bool page_cache_hold(struct page_cache *cache);

/* Ends a hold, and drops pages until the rest is within its bound; of a held cache only those that came before the hold. */
void page_cache_trim(struct page_cache *cache, uint64_t now_ms);

/* How many pages are QUEUED or FETCHING. */
size_t page_cache_waiting(const struct page_cache *cache);

/* Drops all pages of @room; who waited is told, and looks again. */
void page_drop_room(struct page_cache *cache, struct room *room, uint64_t now_ms);

#endif
