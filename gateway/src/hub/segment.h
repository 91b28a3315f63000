/*
 * segment.h - a contiguous run of a room's messages, as the bytes that go on the wire.
 *
 * Frames lie one behind the other in one block, so that a member who needs all of them costs one
 * iovec. A room's log is a list of segments; a page of older messages is one.
 *
 * Thread      The loop's.
 * Invariants  1. Frame i is the message first_id + i; frames only join at the end.
 *             2. A frame's bytes never change and never move.
 */
#ifndef PARLEY_HUB_SEGMENT_H
#define PARLEY_HUB_SEGMENT_H

#include "base/bytes.h"

struct segment_frame {
    uint64_t sender_hash; /* map_hash() of the session that sent it */
    uint32_t end;         /* offset of the first byte behind it */
};

struct segment {
    struct segment *next; /* for whoever owns it */
    uint64_t first_id;
    uint32_t count;
    uint32_t frames_capacity;
    uint32_t len;
    uint32_t capacity;
    struct segment_frame *frames;
    char bytes[];
};

/* An empty segment that has room for @capacity bytes of frames. Returns owned. */
struct segment *segment_new(uint64_t first_id, uint32_t capacity);
void segment_free(struct segment *segment);

/* Whether a frame of @len bytes fits still. */
static inline bool segment_has_room(const struct segment *segment, size_t len)
{
    return segment->capacity - segment->len >= len;
}

/* Adds the frame of the next id, which must fit. Borrows @frame. */
void segment_append(struct segment *segment, uint64_t sender_hash, struct bytes frame);

/* The id behind the last. */
static inline uint64_t segment_end_id(const struct segment *segment)
{
    return segment->first_id + segment->count;
}

static inline bool segment_covers(const struct segment *segment, uint64_t id)
{
    return id >= segment->first_id && id < segment_end_id(segment);
}

/* Where the frame of @id starts; of segment_end_id(): where the next one would. */
static inline uint32_t segment_offset(const struct segment *segment, uint64_t id)
{
    return id == segment->first_id ? 0 : segment->frames[id - segment->first_id - 1].end;
}

/* The frame of @id, which the segment covers. */
struct bytes segment_frame(const struct segment *segment, uint64_t id);

/* The id of the frame that the byte at @offset belongs to. */
uint64_t segment_id_at(const struct segment *segment, uint32_t offset);

/* Heap bytes that the segment takes. */
size_t segment_size(const struct segment *segment);

#endif
