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

static struct queue_load *share_of(struct queue *queue, const struct queue_entry *entry)
{
    return &queue->shares[entry->owner % QUEUE_SHARES];
}

static void load_add(struct queue_load *load, const struct queue_entry *entry)
{
    load->count++;
    load->bytes += entry->bytes;
}

static void load_remove(struct queue_load *load, const struct queue_entry *entry)
{
    load->count--;
    load->bytes -= entry->bytes;
}

/* A first entry always fits. */
static bool load_has_room(const struct queue_load *load, const struct queue_entry *entry,
                          size_t entries_max, size_t bytes_max)
{
    return load->count == 0 ||
           (load->count < entries_max && load->bytes + entry->bytes <= bytes_max);
}

static enum queue_push_result try_push(struct queue *queue, struct queue_entry *entry)
{
    struct queue_load *share = share_of(queue, entry);
    if (queue->is_closed ||
        !load_has_room(&queue->load, entry, queue->entries_max, queue->bytes_max)) {
        return QUEUE_FULL;
    }
    if (!load_has_room(share, entry, queue->entries_max / QUEUE_SHARE_PART,
                       queue->bytes_max / QUEUE_SHARE_PART)) {
        return QUEUE_CROWDED;
    }
    entry->next = NULL;
    *queue->last = entry;
    queue->last = &entry->next;
    load_add(&queue->load, entry);
    load_add(share, entry);
    pthread_cond_signal(&queue->changed);
    return QUEUE_TAKEN;
}

enum queue_push_result queue_push(struct queue *queue, struct queue_entry *entry)
{
    pthread_mutex_lock(&queue->mutex);
    enum queue_push_result result = try_push(queue, entry);
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
    struct queue_entry *last = NULL;
    struct queue_load taken = {0};
    for (struct queue_entry *entry = list;
         entry != NULL && load_has_room(&taken, entry, entries_max, bytes_max);
         entry = entry->next) {
        load_add(&taken, entry);
        load_remove(&queue->load, entry);
        load_remove(share_of(queue, entry), entry);
        last = entry;
    }
    queue->first = last->next;
    if (queue->first == NULL) {
        queue->last = &queue->first;
    }
    last->next = NULL;
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
    struct queue_load load = queue->load;
    pthread_mutex_unlock(&queue->mutex);
    return load;
}
