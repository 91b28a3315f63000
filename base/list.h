/*
 * list.h - intrusive doubly linked lists. A node that is in no list points at itself, as an empty
 * list does, so that leaving is always allowed.
 */
#ifndef PARLEY_LIST_H
#define PARLEY_LIST_H

#include "base.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *node)
{
    node->prev = node->next = node;
}

static inline bool list_is_empty(const struct list *node)
{
    return node->next == node;
}

static inline void list_leave(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Puts @node, which is in no list, at the end of @list. */
static inline void list_append(struct list *list, struct list *node)
{
    ASSERT(list_is_empty(node));
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Moves all nodes of @from to the end of @to. */
static inline void list_append_all(struct list *to, struct list *from)
{
    if (!list_is_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
    }
}

/* The first node, or NULL. */
static inline struct list *list_first(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->next;
}

/* Takes the first node out and returns it, or NULL. */
static inline struct list *list_take_first(struct list *list)
{
    struct list *node = list_first(list);
    if (node != NULL) {
        list_leave(node);
    }
    return node;
}

/* The list must not change meanwhile; LIST_EACH_SAFE allows @node to leave it. */
#define LIST_EACH(node, head) \
    for (struct list *node = (head)->next; node != (head); node = node->next)
#define LIST_EACH_SAFE(node, following, head)                                       \
    for (struct list *node = (head)->next, *following = node->next; node != (head); \
         node = following, following = node->next)

#endif
