/*
 * contract.h - what gateways and store-services say to each other, as plain structs; and the NATS subjects.
 *
 * contract.c is the only file that sees protobuf-c. The meaning of every field is written in parley.proto; the names here
 * are the same.
 *
 * Ownership  Encoders append to a buffer of the caller's and borrow the rest. Decoders return one heap object that owns
 *            all that its slices point at, or NULL when the payload is not such a message; free it with
 *            contract_free(). A decoded slice is followed by a NUL byte.
 * Thread     Any; no state.
 */
#ifndef PARLEY_CONTRACT_H
#define PARLEY_CONTRACT_H

#include "base/bytes.h"

enum {
    CONTRACT_MESSAGE_BYTES_MAX = 512 * 1024, /* of every payload */
    CONTRACT_SHARDS = 64,
    /* messages of a range reply, and the grid that gateways ask in: 256k+1 … 256k+256 */
    CONTRACT_PAGE = 256,
    CONTRACT_ROOM_BYTES_MAX = 64,
    CONTRACT_SENDER_CHARS_MAX = 64,
    CONTRACT_SENDER_BYTES_MAX = 128,
    /* so that the reply, some 22 bytes an outcome, fits into a payload too */
    CONTRACT_APPEND_MESSAGES_MAX = 16384,
    CONTRACT_HEADS_ROOMS_MAX = 16384, /* likewise */
    CONTRACT_CLIENT_ID_BYTES_MAX = 64,
    CONTRACT_GATEWAY_ID_BYTES = 8,
    /* of a subject with its NUL; a room token is at most 3 × 64 bytes */
    CONTRACT_SUBJECT_BYTES_MAX = 256,
};

enum contract_status {
    CONTRACT_OK = 0,
    CONTRACT_OVERLOADED = 1,
    CONTRACT_UNAVAILABLE = 2,
    CONTRACT_INVALID = 3,
};

/* Subjects. @ret_subject has room for CONTRACT_SUBJECT_BYTES_MAX bytes; a NUL is written. */
unsigned contract_shard(struct bytes room);
void contract_append_subject(unsigned shard, char *ret_subject);
void contract_read_subject(unsigned shard, char *ret_subject);
void contract_room_subject(struct bytes room, char *ret_subject);
void contract_gateway_subject(struct bytes gateway_id, char *ret_subject);
#define CONTRACT_STORE_QUEUE_GROUP "store"

struct contract_new_message {
    struct bytes sender, session, client_id, body;
};

struct contract_append {
    struct bytes room;
    bool repeat;
    struct bytes gateway;
    size_t message_count;
    struct contract_new_message *messages;
};

struct contract_outcome {
    uint64_t id; /* 0: refused */
    uint64_t at_ms;
    bool duplicate, forbidden;
    struct bytes refusal;
};

struct contract_append_reply {
    enum contract_status status;
    uint64_t epoch;
    uint64_t head;
    size_t outcome_count;
    struct contract_outcome *outcomes;
    struct bytes reason;
};

struct contract_stored_message {
    struct bytes sender, session, client_id, body;
    uint64_t at_ms;
};

enum contract_room_event_type {
    CONTRACT_BATCH,
    CONTRACT_SESSION_RESUMED,
    CONTRACT_PRESENCE_WANTED
};

struct contract_room_event {
    struct bytes room;
    enum contract_room_event_type type;
    union {
        struct {
            uint64_t epoch;
            uint64_t first_id;
            size_t message_count;
            struct contract_stored_message *messages;
        } batch;
        struct {
            struct bytes session, gateway;
            uint64_t connection;
        } resumed;
        struct {
            struct bytes gateway; /* CONTRACT_GATEWAY_ID_BYTES */
            uint32_t valid_ms;
            bool is_new;
        } presence_wanted;
    };
};

enum contract_query_type { CONTRACT_RANGE, CONTRACT_HEADS };

struct contract_query {
    enum contract_query_type type;
    union {
        struct {
            struct bytes room;
            uint64_t from, to;
            uint32_t limit;
            bool newest;
        } range;
        struct {
            size_t room_count;
            struct bytes *rooms;
        } heads;
    };
};

struct contract_epoch_start {
    uint64_t epoch;
    uint64_t first_id;
};

struct contract_head {
    uint64_t epoch;
    uint64_t head;
};

struct contract_query_reply {
    enum contract_status status; /* the union is zero unless CONTRACT_OK */
    struct bytes reason;
    enum contract_query_type type;
    union {
        struct {
            uint64_t epoch, head, oldest, first_id;
            size_t message_count;
            struct contract_stored_message *messages;
            size_t epoch_count;
            struct contract_epoch_start *epochs;
        } range;
        struct {
            size_t head_count;
            struct contract_head *heads;
        } heads;
    };
};

void contract_encode_append(struct buf *out, const struct contract_append *append);
void contract_encode_append_reply(struct buf *out, const struct contract_append_reply *reply);
void contract_encode_room_event(struct buf *out, const struct contract_room_event *event);
void contract_encode_query(struct buf *out, const struct contract_query *query);
void contract_encode_query_reply(struct buf *out, const struct contract_query_reply *reply);

MUST_USE struct contract_append *contract_decode_append(struct bytes payload);
MUST_USE struct contract_append_reply *contract_decode_append_reply(struct bytes payload);
MUST_USE struct contract_room_event *contract_decode_room_event(struct bytes payload);
MUST_USE struct contract_query *contract_decode_query(struct bytes payload);
MUST_USE struct contract_query_reply *contract_decode_query_reply(struct bytes payload);

/*
 * The room of an encoded append request, without decoding the rest; empty where it does not stand at the beginning, as it
 * does in all that contract_encode_append() makes. Borrows.
 */
struct bytes contract_peek_append_room(struct bytes payload);

/* Frees what a decoder returned. Accepts NULL. */
void contract_free(void *decoded);

/*
 * Upper bounds of the encoded length of one message of an Append, or of a Batch or RangeReply, with its own header: so
 * that a sender can stop filling before CONTRACT_MESSAGE_BYTES_MAX. The rest of such a payload (room, epochs, …) takes
 * at most CONTRACT_ENVELOPE_BYTES_MAX.
 */
enum { CONTRACT_ENVELOPE_BYTES_MAX = 8 * 1024 };
size_t contract_new_message_size(const struct contract_new_message *message);
size_t contract_stored_message_size(const struct contract_stored_message *message);

#endif
