#include "segment.h"

#include <stdlib.h>

enum { FRAMES_CAPACITY_FIRST = 4 };

struct segment *segment_new(uint64_t first_id, uint32_t capacity)
{
    struct segment *segment = mem_alloc(sizeof(*segment) + capacity);
    *segment = (struct segment){.first_id = first_id, .capacity = capacity};
    return segment;
}

void segment_free(struct segment *segment)
{
    if (segment != NULL) {
        free(segment->frames);
        free(segment);
    }
}

void segment_append(struct segment *segment, uint64_t sender_hash, struct bytes frame)
{
    ASSERT(segment_has_room(segment, frame.len));
    if (segment->count == segment->frames_capacity) {
        segment->frames_capacity = MAX_OF(FRAMES_CAPACITY_FIRST, segment->frames_capacity * 2);
        segment->frames =
            mem_resize(segment->frames, segment->frames_capacity * sizeof(segment->frames[0]));
    }
    memcpy(segment->bytes + segment->len, frame.data, frame.len);
    segment->len += (uint32_t)frame.len;
    segment->frames[segment->count++] =
        (struct segment_frame){.sender_hash = sender_hash, .end = segment->len};
}

struct bytes segment_frame(const struct segment *segment, uint64_t id)
{
    ASSERT(segment_covers(segment, id));
    uint32_t start = segment_offset(segment, id);
    return bytes_of(segment->bytes + start, segment_offset(segment, id + 1) - start);
}

uint64_t segment_id_at(const struct segment *segment, uint32_t offset)
{
    ASSERT(offset < segment->len);
    uint32_t low = 0, high = segment->count -
                             1; /* the first frame that ends behind @offset is in [low, high] */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment->frames[middle].end > offset) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return segment->first_id + low;
}

size_t segment_size(const struct segment *segment)
{
    return sizeof(*segment) + segment->capacity +
           segment->frames_capacity * sizeof(segment->frames[0]);
}
