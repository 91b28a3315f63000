#include "queue.h"

#include <errno.h>
#include <time.h>

void queue_init(struct queue *queue, size_t entries_max, size_t bytes_max)
{
    *queue = (struct queue){.entries_max = entries_max, .bytes_max = bytes_max};
    queue->last = &queue->first;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void queue_release(struct queue *queue)
{
    ASSERT(queue->first == NULL);
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->mutex);
}

enum queue_push_result queue_push(struct queue *queue, struct queue_entry *entry)
{
    enum queue_push_result result = QUEUE_FULL;
    pthread_mutex_lock(&queue->mutex);
    bool fits = queue->count < queue->entries_max &&
                (queue->count == 0 || queue->bytes + entry->bytes <= queue->bytes_max);
    if (fits && !queue->is_closed) {
        entry->next = NULL;
        *queue->last = entry;
        queue->last = &entry->next;
        queue->count++;
        queue->bytes += entry->bytes;
        pthread_cond_signal(&queue->changed);
        result = QUEUE_TAKEN;
    }
    pthread_mutex_unlock(&queue->mutex);
    return result;
}

static struct timespec time_from_now(uint64_t ms)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += (time_t)(ms / 1000);
    time.tv_nsec += (long)(ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

/* Takes the first entries off. The queue is locked and not empty. */
static struct queue_entry *cut(struct queue *queue, size_t entries_max, size_t bytes_max)
{
    struct queue_entry *list = queue->first;
    struct queue_entry *last = list;
    size_t count = 1;
    size_t bytes = last->bytes;
    while (last->next != NULL && count < entries_max && bytes + last->next->bytes <= bytes_max) {
        last = last->next;
        count++;
        bytes += last->bytes;
    }
    queue->first = last->next;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    last->next = NULL;
    queue->count -= count;
    queue->bytes -= bytes;
    return list;
}

enum queue_take_result queue_take(struct queue *queue, size_t entries_max, size_t bytes_max,
                                  uint64_t wait_ms, struct queue_entry **ret_list)
{
    enum queue_take_result result = QUEUE_GIVEN;
    struct timespec until = time_from_now(wait_ms);
    pthread_mutex_lock(&queue->mutex);
    while (queue->first == NULL && result == QUEUE_GIVEN) {
        if (queue->is_closed) {
            result = QUEUE_CLOSED;
        } else if (pthread_cond_timedwait(&queue->changed, &queue->mutex, &until) == ETIMEDOUT &&
                   queue->first == NULL) {
            result = QUEUE_IDLE;
        }
    }
    if (result == QUEUE_GIVEN) {
        *ret_list = cut(queue, entries_max, bytes_max);
    }
    pthread_mutex_unlock(&queue->mutex);
    return result;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->is_closed = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

struct queue_load queue_load(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    struct queue_load load = {.count = queue->count, .bytes = queue->bytes};
    pthread_mutex_unlock(&queue->mutex);
    return load;
}
