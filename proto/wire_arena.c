#include "wire_arena.h"

#include "contract.h"
#include <stdlib.h>

enum { ARENA_ALIGN = 16, ARENA_HEADER = 48, ARENA_BLOCK_MIN = 1024 };

struct arena_block {
    struct arena_block *next;
};

struct arena {
    struct arena_block *more; /* blocks after the first */
    char *free, *end;         /* of the newest block */
};

static_assert(sizeof(struct arena) <= ARENA_HEADER && ARENA_HEADER % ARENA_ALIGN == 0,
              "the object behind the header is aligned");
static_assert(sizeof(struct arena_block) <= ARENA_ALIGN, "so is what is behind a block's");

static size_t align_up(size_t size)
{
    return (size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* The byte behind what is returned is a NUL: so every slice is followed by one. */
static void *arena_alloc(void *allocator_data, size_t size)
{
    struct arena *arena = allocator_data;
    size_t need = align_up(size + 1);
    if ((size_t)(arena->end - arena->free) < need) {
        size_t block_size = ARENA_ALIGN + MAX_OF(need, (size_t)ARENA_BLOCK_MIN);
        struct arena_block *block = mem_alloc(block_size);
        block->next = arena->more;
        arena->more = block;
        arena->free = (char *)block + ARENA_ALIGN;
        arena->end = (char *)block + block_size;
    }
    char *result = arena->free;
    result[size] = '\0';
    arena->free += need;
    return result;
}

static void arena_free_nothing(void *allocator_data, void *pointer)
{
    (void)allocator_data;
    (void)pointer;
}

void *arena_new(size_t object_size, size_t payload_len)
{
    /* protobuf-c makes some 100 bytes of struct for each small message besides the text itself. */
    size_t size =
        ARENA_HEADER + align_up(object_size) + ARENA_BLOCK_MIN + align_up(payload_len) * 2;
    char *block = mem_alloc(size);
    *(struct arena *)block = (struct arena){
        .free = block + ARENA_HEADER + align_up(object_size),
        .end = block + size,
    };
    return memset(block + ARENA_HEADER, 0, object_size);
}

static struct arena *arena_of(void *object)
{
    return (struct arena *)((char *)object - ARENA_HEADER);
}

void *arena_array(void *object, size_t count, size_t size)
{
    return count == 0 ? NULL : memset(arena_alloc(arena_of(object), count * size), 0, count * size);
}

void contract_free(void *decoded)
{
    if (decoded == NULL) {
        return;
    }
    struct arena *arena = arena_of(decoded);
    for (struct arena_block *block = arena->more; block != NULL;) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

void *wire_unpack(void *object, const ProtobufCMessageDescriptor *type, struct bytes payload,
                  size_t bytes_max)
{
    if (payload.len > bytes_max) {
        return NULL;
    }
    ProtobufCAllocator allocator = {
        .alloc = arena_alloc,
        .free = arena_free_nothing,
        .allocator_data = arena_of(object),
    };
    return protobuf_c_message_unpack(type, &allocator, payload.len, (const uint8_t *)payload.data);
}

void wire_pack(struct buf *out, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    out->len += protobuf_c_message_pack(message, (uint8_t *)buf_reserve(out, size));
}

ProtobufCBinaryData to_wire(struct bytes b)
{
    union {
        const char *data;
        uint8_t *wire; /* protobuf-c only reads it while packing, but has no const */
    } pointer = {.data = b.data};
    return (ProtobufCBinaryData){.len = b.len, .data = pointer.wire};
}

struct bytes from_wire(ProtobufCBinaryData b)
{
    return b.len == 0 ? BYTES("") : bytes_of((const char *)b.data, b.len);
}

struct wire_array wire_array_new(size_t count, size_t element_size)
{
    if (count == 0) {
        return (struct wire_array){0};
    }
    void **pointers = mem_alloc(count * (sizeof(void *) + element_size));
    char *elements = (char *)(pointers + count);
    for (size_t i = 0; i < count; i++) {
        pointers[i] = elements + i * element_size;
    }
    return (struct wire_array){.elements = elements, .pointers = pointers};
}

void wire_array_free(struct wire_array array)
{
    free(array.pointers);
}
