/*
 * stats.h - what the hub counts by kind. Plain numbers that only grow, but for those that say "now".
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_HUB_STATS_H
#define PARLEY_HUB_STATS_H

#include "base/metrics.h"
#include "wire/chat.h"
#include "wire/eio.h"

enum {
    HUB_CHAT_CODES = CHAT_RATE_LIMITED + 1,
    HUB_CLOSE_REASONS = EIO_CLOSE_MOVED + 1,
};

/* How a member joined: without an offset, with one as a new session, or as the session that it was. */
enum hub_join { HUB_JOIN_NEW, HUB_JOIN_CAUGHT_UP, HUB_JOIN_RESUMED, HUB_JOINS };

/* Why ids are not sent to a member; HUB_GAP_NONE: all are. */
enum hub_gap { HUB_GAP_NONE, HUB_GAP_LIMIT, HUB_GAP_RETENTION, HUB_GAP_EPOCH, HUB_GAPS };

/* Where the first that a joining member is to be sent lies. */
enum hub_source { HUB_SOURCE_MEMORY, HUB_SOURCE_STORE, HUB_SOURCES };

/* How a `chat history` ended. */
enum hub_history { HUB_HISTORY_OK, HUB_HISTORY_OVERLOADED, HUB_HISTORY_UNAVAILABLE, HUB_HISTORIES };

struct hub_counts {
    uint64_t messages_refused[HUB_CHAT_CODES];
    uint64_t joins[HUB_JOINS][HUB_GAPS][HUB_SOURCES];
    uint64_t gaps_told[HUB_GAPS];
    uint64_t histories[HUB_HISTORIES];
    uint64_t clients_closed[HUB_CLOSE_REASONS];
    struct histogram append_us;             /* from a message's arrival to its outcome */
    struct histogram commit_to_delivery_us; /* from Postgres's clock to ours, as it joins the log */
};

const char *hub_join_name(enum hub_join join);
const char *hub_gap_name(enum hub_gap gap);
const char *hub_source_name(enum hub_source source);
const char *hub_history_name(enum hub_history history);

/* The gap that a chat gap event calls @reason. */
enum hub_gap hub_gap_of(const char *reason);

#endif
