/* presence_view.c - names: who is here, and who types. */
#include "presence_impl.h"

#include <stdlib.h>

static int compare_names(const void *a, const void *b)
{
    const struct bytes *left = a, *right = b;
    size_t len = MIN_OF(left->len, right->len);
    int order = memcmp(left->data, right->data, len);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

/* Sorts @names and leaves each once; returns how many are left. */
size_t presence_sort_names(struct bytes *names, size_t count)
{
    if (count == 0) {
        return 0;
    }
    qsort(names, count, sizeof(*names), compare_names);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (!bytes_equal(names[i], names[kept - 1])) {
            names[kept++] = names[i];
        }
    }
    return kept;
}

size_t presence_names_here(const struct room *room, struct bytes names[ROSTER_NAMES_MAX])
{
    ASSERT(room->member_count <= ROSTER_NAMES_MAX);
    for (uint32_t i = 0; i < room->member_count; i++) {
        names[i] = member_username(room->members[i]);
    }
    return room->member_count;
}

size_t presence_names_everywhere(const struct presence *presence,
                                 struct bytes names[ROSTER_NAMES_MAX])
{
    size_t count = presence_names_here(presence->room, names);
    for (uint32_t i = 0; i < presence->roster.count; i++) {
        struct bytes packed = buf_bytes(&presence->roster.gateways[i].names), name;
        while (count < ROSTER_NAMES_MAX && roster_next_name(&packed, &name)) {
            names[count++] = name;
        }
    }
    return presence_sort_names(names, count);
}

static void view_add(struct typing_view *view, struct bytes name)
{
    for (size_t i = 0; i < view->user_count; i++) {
        if (bytes_equal(view->users[i], name)) {
            return;
        }
    }
    if (view->user_count < CHAT_TYPERS_MAX) {
        view->users[view->user_count++] = name;
    } else {
        view->more++;
    }
}

/* Those who type here, but @but. */
struct typing_view typing_view_here(const struct presence *presence, const struct member *but)
{
    struct typing_view view = {0};
    for (uint32_t i = 0; i < presence->typer_count; i++) {
        if (presence->typers[i].member != but) {
            view_add(&view, member_username(presence->typers[i].member));
        }
    }
    return view;
}

/* Those who type anywhere, but @but. */
struct typing_view typing_view_all(const struct presence *presence, const struct member *but)
{
    struct typing_view view = typing_view_here(presence, but);
    for (uint32_t i = 0; i < presence->roster.count; i++) {
        const struct roster_gateway *gateway = &presence->roster.gateways[i];
        struct bytes typers = buf_bytes(&gateway->typers), name;
        while (roster_next_name(&typers, &name)) {
            view_add(&view, name);
        }
        view.more += gateway->more_typers;
    }
    return view;
}
