/*
 * page.h - pages of older messages: what members read when a room's log in memory does not reach
 * back to their cursor.
 *
 * Page k of a room holds the ids 256k+1 … 256k+256, so that members with different offsets share
 * pages, and whoever wants one that is being fetched waits for the same answer (single flight).
 * What one answer of the store brings is a *part* of its page: mostly all of it, less where messages
 * are long. Parts of all rooms share a budget, in which an answer has its place before it is asked
 * for; who wants more waits for its turn (turns.h), and until the least recently used parts have left.
 *
 *   (none) ──wanted──▶ QUEUED ──slot and room──▶ FETCHING ──answer──▶ IDLE ──last part left──▶ (none)
 *                        ▲                          │                  │
 *                        └── somebody still waits ──┴──── wanted ──────┘
 *
 * Progress  A part that has just come stays until everybody who was told of it has read from it once, as
 *           much as its socket takes: mostly at the turn's end. Whoever comes back later, since it
 *           reads slowly, may find that it is gone, and waits again: no member can hold room for
 *           longer than it writes.
 *
 * Thread      The loop's.
 * Invariants  1. bytes + fetching * answer_bytes_max <= bytes_max.
 *             2. fetching <= fetching_max, and those have half of the budget at most.
 *             3. Waiters are only on pages that are QUEUED or FETCHING; each is told once and has
 *                left the list then. A QUEUED page has some.
 *             4. A page's parts do not overlap; an IDLE page has some.
 */
#ifndef PARLEY_HUB_PAGE_H
#define PARLEY_HUB_PAGE_H

#include "base/list.h"
#include "base/map.h"
#include "request.h"
#include "segment.h"

struct room;
struct page;

/* Where somebody who waits reads on from there: with what is behind it, or in front of it. */
enum page_reading { PAGE_FORWARD, PAGE_BACKWARD };

/* Embedded in who waits for a page. */
struct page_waiter {
    struct list link;
    struct page *page;
    uint64_t id;
    enum page_reading reading;
    uint32_t source;                             /* client.source of who waits */
    void (*on_page)(struct page_waiter *waiter); /* there is news: look again */
};

struct page_cache {
    struct hub *hub;
    struct map pages;
    struct turns queue; /* of pages, by the source of the first who waits */
    struct list ready;  /* parts by use, least recent first */
    struct list fresh;  /* parts that have yet to be read by some who were told */
    struct list marked; /* likewise, but they came before page_cache_mark() */
    size_t queued, fetching, fetching_max;
    size_t bytes; /* of all parts */
    size_t bytes_max, answer_bytes_max;
};

/* @answer_bytes_max: what an answer's part may take; what is beyond is asked for again. */
void page_cache_init(struct page_cache *cache, struct hub *hub, size_t bytes_max,
                     size_t answer_bytes_max);
void page_cache_release(struct page_cache *cache);

void page_waiter_init(struct page_waiter *waiter, uint32_t source,
                      void (*on_page)(struct page_waiter *waiter));

static inline bool page_waiter_is_waiting(const struct page_waiter *waiter)
{
    return !list_is_empty(&waiter->link);
}

/* Nothing happens where it does not wait. */
void page_waiter_cancel(struct page_cache *cache, struct page_waiter *waiter);

/* The part of a page of @room that holds @id, or NULL. Counts as use. Valid until the turn's end. */
const struct segment *page_find(struct page_cache *cache, const struct room *room, uint64_t id);

/* Has @id fetched, which is not there, and tells @waiter when it came or when something else about it is new. */
void page_want(struct page_cache *cache, struct room *room, uint64_t id, enum page_reading reading,
               struct page_waiter *waiter);

/* Marks all parts that have come since the last time. Returns whether there are any. */
bool page_cache_mark(struct page_cache *cache);

/* All who were told of marked parts have read them: these may leave from now on. */
void page_cache_let_go(struct page_cache *cache);

/* At a turn's end: asks for what waits. */
void page_cache_go_on(struct page_cache *cache, uint64_t now_ms);

/* How many pages are QUEUED or FETCHING. */
size_t page_cache_waiting(const struct page_cache *cache);

/* Drops all pages of @room; who waited is told, and looks again. */
void page_drop_room(struct page_cache *cache, struct room *room);

#endif
