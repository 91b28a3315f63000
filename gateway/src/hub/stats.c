#include "stats.h"

#include <string.h>

static const char *const joins[HUB_JOINS] = {"new", "caught_up", "resumed"};
static const char *const gaps[HUB_GAPS] = {"none", "limit", "retention", "epoch"};
static const char *const sources[HUB_SOURCES] = {"memory", "store"};
static const char *const histories[HUB_HISTORIES] = {"ok", "overloaded", "unavailable"};

const char *hub_join_name(enum hub_join join)
{
    return joins[join];
}

const char *hub_gap_name(enum hub_gap gap)
{
    return gaps[gap];
}

const char *hub_source_name(enum hub_source source)
{
    return sources[source];
}

const char *hub_history_name(enum hub_history history)
{
    return histories[history];
}

enum hub_gap hub_gap_of(const char *reason)
{
    enum hub_gap gap = HUB_GAP_LIMIT;
    while (gap < HUB_GAPS && strcmp(gaps[gap], reason) != 0) {
        gap++;
    }
    ASSERT(gap < HUB_GAPS);
    return gap;
}
