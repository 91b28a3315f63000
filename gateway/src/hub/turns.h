/*
 * turns.h - whose turn it is, where more wait than can be served: fair queueing (RFC 970, section 4).
 *
 * Those of one source wait in a row; the rows take turns. So whoever asks for much waits for it itself: others wait
 * for one of each row, however long the rows are. The row of source 0 comes before all: it is for what everybody needs, and whoever
 * uses it bounds that.
 *
 * Memory  A row lives while somebody waits in it.
 * Thread  The loop's.
 */
#ifndef PARLEY_HUB_TURNS_H
#define PARLEY_HUB_TURNS_H

#include "base/list.h"
#include "base/map.h"

struct turns_row;

struct turns {
    struct map rows;   /* by source */
    struct list order; /* of rows; the first is next */
};

/* Embedded in what waits. */
struct turn {
    struct list link;
    struct turns_row *row; /* NULL: it does not wait */
};

void turns_init(struct turns *turns);

/* Nobody must wait any more. */
void turns_release(struct turns *turns);

void turn_init(struct turn *turn);

static inline bool turn_is_waiting(const struct turn *turn)
{
    return turn->row != NULL;
}

static inline bool turns_are_empty(const struct turns *turns)
{
    return list_is_empty(&turns->order);
}

/* @turn, which does not wait yet, is the last of @source. */
void turns_add(struct turns *turns, struct turn *turn, uint32_t source);

/* Whose turn it is: it does not wait any more. NULL: nobody waits. */
struct turn *turns_take(struct turns *turns);

/* @turn, if it waits, is of @source from now on, where nobody waits in that one's row. */
void turns_hasten(struct turns *turns, struct turn *turn, uint32_t source);

/* @turn gives up, if it waits. */
void turns_leave(struct turns *turns, struct turn *turn);

#endif
