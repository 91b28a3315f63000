#include "turns.h"

#include <stdlib.h>

struct turns_row {
    uint32_t source;
    struct list link; /* turns.order */
    struct list waiting;
};

static struct bytes row_key(const void *row)
{
    const uint32_t *source = &((const struct turns_row *)row)->source;
    return bytes_of((const char *)source, sizeof(*source));
}

void turns_init(struct turns *turns)
{
    map_init(&turns->rows, row_key);
    list_init(&turns->order);
}

void turns_release(struct turns *turns)
{
    ASSERT(turns_are_empty(turns));
    map_release(&turns->rows);
}

void turn_init(struct turn *turn)
{
    list_init(&turn->link);
    turn->row = NULL;
}

static struct turns_row *row_of(const struct turns *turns, uint32_t source)
{
    return map_get(&turns->rows, bytes_of((const char *)&source, sizeof(source)));
}

/* @row comes after all others, or, where it is everybody's, first. */
static void line_up(struct turns *turns, struct turns_row *row)
{
    list_append(row->source == 0 ? turns->order.next : &turns->order, &row->link);
}

void turns_add(struct turns *turns, struct turn *turn, uint32_t source)
{
    ASSERT(!turn_is_waiting(turn));
    struct turns_row *row = row_of(turns, source);
    if (row == NULL) {
        row = mem_alloc_zeroed(sizeof(*row));
        row->source = source;
        list_init(&row->link);
        list_init(&row->waiting);
        map_add(&turns->rows, row);
        line_up(turns, row);
    }
    list_append(&row->waiting, &turn->link);
    turn->row = row;
}

void turns_hasten(struct turns *turns, struct turn *turn, uint32_t source)
{
    if (turn_is_waiting(turn) && row_of(turns, source) == NULL) {
        turns_leave(turns, turn);
        turns_add(turns, turn, source);
    }
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    if (!turn_is_waiting(turn)) {
        return;
    }
    struct turns_row *row = turn->row;
    list_leave(&turn->link);
    turn->row = NULL;
    if (list_is_empty(&row->waiting)) {
        list_leave(&row->link);
        ASSERT(map_remove(&turns->rows, row_key(row)) == row);
        free(row);
    }
}

struct turn *turns_take(struct turns *turns)
{
    struct list *first = list_take_first(&turns->order);
    if (first == NULL) {
        return NULL;
    }
    struct turns_row *row = CONTAINER_OF(first, struct turns_row, link);
    line_up(turns, row);
    struct list *node = list_first(&row->waiting);
    ASSERT(node != NULL); /* else the row would have gone */
    struct turn *turn = CONTAINER_OF(node, struct turn, link);
    turns_leave(turns, turn);
    return turn;
}
