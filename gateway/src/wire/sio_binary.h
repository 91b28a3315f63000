/*
 * sio_binary.h - packets with attachments: put together as they come in, taken apart as they go out. Only sio.c uses
 * it.
 */
#ifndef PARLEY_WIRE_SIO_BINARY_H
#define PARLEY_WIRE_SIO_BINARY_H

#include "sio.h"

/*
 * A packet that waits for its attachments. On the heap; keeps a copy of @packet's text, for an acknowledgement (which
 * nobody will look at) nothing but the count. All of it together is at most @bytes_max long.
 */
struct sio_assembly *sio_assembly_new(const struct sio_packet *packet, uint32_t bytes_max);

/* Accepts NULL. */
void sio_assembly_free(struct sio_assembly *assembly);

enum sio_assembly_result {
    SIO_ASSEMBLY_AWAITS_MORE,
    SIO_ASSEMBLY_COMPLETE,
    SIO_ASSEMBLY_TOO_MUCH, /* more than bytes_max: nothing was kept */
};

/* Adds the next attachment. Borrows @data. Not to be called when COMPLETE. */
MUST_USE enum sio_assembly_result sio_assembly_add(struct sio_assembly *assembly,
                                                   struct bytes data);

/* The packet, and those of its attachments that are there, which it returns the number of; slices of @assembly. */
const struct sio_packet *sio_assembly_packet(const struct sio_assembly *assembly);
uint32_t sio_assembly_attachments(const struct sio_assembly *assembly,
                                  struct bytes ret_attachments[SIO_ATTACHMENTS_MAX]);

/* Bytes of text and attachments. */
size_t sio_assembly_held(const struct sio_assembly *assembly);

/* Appends the packet as its client wrote it. */
void sio_assembly_append_text(const struct sio_assembly *assembly, struct buf *out);

/* Like sio_append_event_frame() and sio_append_ack_frame(), and a binary frame for each attachment behind it. */
void sio_append_binary_event_frames(struct buf *out, struct bytes namespace, struct bytes arguments,
                                    const struct bytes *attachments, uint32_t count);
void sio_append_binary_ack_frames(struct buf *out, struct bytes namespace, uint64_t ack_id,
                                  struct bytes arguments, const struct bytes *attachments,
                                  uint32_t count);

#endif
