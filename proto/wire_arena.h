/*
 * wire_arena.h - how the contract's files use protobuf-c: a decoded object and all that it points at live in one arena,
 * and what is encoded is borrowed.
 *
 * The arena's first block begins with its own header, and the object follows at a fixed distance, so that
 * contract_free() finds the one from the other. For contract.c and contract_peer.c only.
 */
#ifndef PARLEY_PROTO_WIRE_ARENA_H
#define PARLEY_PROTO_WIRE_ARENA_H

#include "base/bytes.h"
#include "parley.pb-c.h"

/* Starts an arena for a payload of @payload_len bytes, with a zeroed object of @object_size bytes, which is returned. */
void *arena_new(size_t object_size, size_t payload_len);

/* @count zeroed elements in the arena of @object; NULL when there are none. */
void *arena_array(void *object, size_t count, size_t size);

/*
 * Decodes @payload of at most @bytes_max bytes. Returns NULL when it is no such message. What is returned lives as long
 * as @object.
 */
void *wire_unpack(void *object, const ProtobufCMessageDescriptor *type, struct bytes payload,
                  size_t bytes_max);

/* Appends the encoded @message to @out. */
void wire_pack(struct buf *out, const ProtobufCMessage *message);

/* Borrow, both ways; a decoded slice is followed by a NUL. */
ProtobufCBinaryData to_wire(struct bytes b);
struct bytes from_wire(ProtobufCBinaryData b);

/* A repeated message field as protobuf-c wants it: an array of pointers to the elements. One heap block holds both. */
struct wire_array {
    void *elements;
    void **pointers;
};

struct wire_array wire_array_new(size_t count, size_t element_size);
void wire_array_free(struct wire_array array);

/* contract_decode_NAME(): an object in an arena of its own that read_NAME() fills, or nothing. */
#define DEFINE_DECODER(name)                                                      \
    struct contract_##name *contract_decode_##name(struct bytes payload)          \
    {                                                                             \
        struct contract_##name *object = arena_new(sizeof(*object), payload.len); \
        if (!read_##name(object, payload)) {                                      \
            contract_free(object);                                                \
            return NULL;                                                          \
        }                                                                         \
        return object;                                                            \
    }

#endif
