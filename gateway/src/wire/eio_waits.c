#include "eio_impl.h"

static struct eio_session *session_of(struct list *node)
{
    return CONTAINER_OF(node, struct eio_session, wait_link);
}

static bool nobody_waits(const struct eio_waits *waits)
{
    for (size_t kind = 0; kind < EIO_WAIT_KINDS; kind++) {
        if (!list_is_empty(&waits->kinds[kind])) {
            return false;
        }
    }
    return true;
}

/* Has the timer come at @due_ms or before. */
static void come_at(struct eio_waits *waits, uint64_t due_ms)
{
    if (!timer_is_set(&waits->timer) || waits->timer.due_ms > due_ms) {
        timers_set(waits->timers, &waits->timer, due_ms);
    }
}

/* Calls back all that are due in @list, which is sorted; what they begin meanwhile is not due yet. */
static void run(struct eio_waits *waits, struct list *list, uint64_t now_ms)
{
    struct list *node;
    while ((node = list_first(list)) != NULL) {
        uint32_t left_ms = eio_wait_left_ms(session_of(node), now_ms);
        if (left_ms > 0) {
            come_at(waits, now_ms + left_ms);
            return;
        }
        list_leave(node);
        eio_session_on_due(session_of(node), now_ms);
    }
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
    struct eio_waits *waits = CONTAINER_OF(timer, struct eio_waits, timer);
    struct list due;
    list_init(&due);
    list_append_all(&due, &waits->kinds[EIO_WAIT_NOTHING]);
    for (struct list *node; (node = list_take_first(&due)) != NULL;) {
        eio_session_on_due(session_of(node), now_ms);
    }
    for (size_t kind = 0; kind < EIO_WAIT_KINDS; kind++) {
        if (kind != EIO_WAIT_NOTHING) {
            run(waits, &waits->kinds[kind], now_ms);
        }
    }
}

void eio_waits_init(struct eio_waits *waits, struct timers *timers)
{
    *waits = (struct eio_waits){.timers = timers};
    timer_init(&waits->timer, on_timer);
    for (size_t kind = 0; kind < EIO_WAIT_KINDS; kind++) {
        list_init(&waits->kinds[kind]);
    }
}

uint32_t eio_wait_left_ms(const struct eio_session *session, uint64_t now_ms)
{
    int32_t left_ms = (int32_t)(session->wait_due_ms - (uint32_t)now_ms);
    return left_ms > 0 ? (uint32_t)left_ms : 0;
}

void eio_wait_begin(struct eio_session *session, enum eio_wait_kind kind, uint64_t now_ms,
                    uint32_t in_ms)
{
    ASSERT(in_ms <= INT32_MAX);
    struct eio_waits *waits = session->settings->waits;
    list_leave(&session->wait_link);
    session->wait_due_ms = (uint32_t)now_ms + in_ms;
    struct list *behind = waits->kinds[kind].prev;
    while (behind != &waits->kinds[kind] &&
           (int32_t)(session_of(behind)->wait_due_ms - session->wait_due_ms) > 0) {
        behind = behind->prev;
    }
    list_append(behind->next, &session->wait_link); /* in front of what is due later */
    come_at(waits, now_ms + in_ms);
}

void eio_wait_for_nothing(struct eio_session *session)
{
    struct eio_waits *waits = session->settings->waits;
    list_leave(&session->wait_link);
    list_append(&waits->kinds[EIO_WAIT_NOTHING], &session->wait_link);
    come_at(waits, 0);
}

void eio_wait_end(struct eio_session *session)
{
    struct eio_waits *waits = session->settings->waits;
    list_leave(&session->wait_link);
    if (timer_is_set(&waits->timer) && nobody_waits(waits)) {
        timers_clear(waits->timers, &waits->timer);
    }
}
