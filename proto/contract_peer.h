/*
 * contract_peer.h - what gateways say to each other, about sessions ("Between gateways" in parley.proto) and about who is
 * in a room (Presence).
 *
 * Ownership and threads as in contract.h.
 */
#ifndef PARLEY_CONTRACT_PEER_H
#define PARLEY_CONTRACT_PEER_H

#include "contract.h"

enum {
    /* of a PeerRequest's or a PeerAnswer's body; longer ones go in parts */
    CONTRACT_PEER_PART_BYTES = 384 * 1024,
    CONTRACT_PEER_NUMBERS_MAX = 4096, /* of one CHECK; more go in several */
    CONTRACT_HANDOVER_BYTES_MAX = 4 * 1024 * 1024,
    CONTRACT_NAMES_MAX = 200, /* of a census */
    CONTRACT_TYPERS_MAX = 5,  /* that are named */
};

/* Names a request: whose, and its number there. Without padding, since it is the key of maps. */
struct contract_peer_key {
    char gateway[CONTRACT_GATEWAY_ID_BYTES];
    uint64_t number;
};

static_assert(sizeof(struct contract_peer_key) == CONTRACT_GATEWAY_ID_BYTES + sizeof(uint64_t),
              "no padding");

/* Whether @gateway_id is one: a token of a NATS subject as it stands. */
bool contract_gateway_id_is_valid(struct bytes gateway_id);

enum contract_peer_request_type {
    CONTRACT_PEER_CHECK,
    CONTRACT_PEER_GET,
    CONTRACT_PEER_POST,
    CONTRACT_PEER_CLAIM,
    CONTRACT_PEER_PROBE,
    CONTRACT_PEER_MOVE,
    CONTRACT_PEER_RELEASE,
    CONTRACT_PEER_CANCEL,
};

struct contract_peer_request {
    struct contract_peer_key key;
    enum contract_peer_request_type type;
    struct bytes session;
    struct bytes body;
    uint64_t offset; /* of the body, in all of its parts together */
    bool more, octet_stream;
    size_t number_count;
    const uint64_t *numbers;
};

enum contract_peer_answer_type {
    CONTRACT_PEER_CHECKED,
    CONTRACT_PEER_PAYLOAD,
    CONTRACT_PEER_BAD_REQUEST,
    CONTRACT_PEER_UNKNOWN,
    CONTRACT_PEER_CLAIMED,
    CONTRACT_PEER_BUSY,
    CONTRACT_PEER_PROBED,
    CONTRACT_PEER_MOVED,
    CONTRACT_PEER_OVER,
    CONTRACT_PEER_FORWARD,
};

struct contract_peer_answer {
    enum contract_peer_answer_type type;
    struct bytes body;
    uint64_t offset; /* as in a request */
    bool more;
    size_t number_count;
    const uint64_t *numbers;
};

struct contract_handover_send {
    bool has_ack, duplicate;
    uint64_t ack_id, id;
    struct bytes client_id;
};

struct contract_handover_history {
    uint64_t ack_id, before, after;
    bool forward;
    uint32_t limit;
};

struct contract_handover_member {
    struct bytes room, session, username, auth;
    bool no_echo, wants_presence, may_not_write;
    uint64_t expires_ms, issued_ms;
    struct bytes token_id;
    uint64_t epoch, cursor;
    size_t send_count;
    struct contract_handover_send *sends;
    size_t history_count;
    struct contract_handover_history *histories;
};

struct contract_handover {
    uint32_t heartbeat_in_ms;
    bool awaits_pong;
    struct bytes undelivered;
    size_t member_count;
    struct contract_handover_member *members;
    struct bytes incomplete;
    size_t attachment_count;
    struct bytes *attachments;
};

enum contract_moved_outcome_type {
    CONTRACT_MOVED_STORED,
    CONTRACT_MOVED_REFUSED,
    CONTRACT_MOVED_UNAVAILABLE,
    CONTRACT_MOVED_SETTLED,
};

struct contract_moved_outcome {
    enum contract_moved_outcome_type type;
    uint32_t send, told;
    uint64_t id;
    bool duplicate, forbidden;
    struct bytes reason;
};

/* What the gateway @gateway says of its members in @room. */
struct contract_presence {
    struct bytes room, gateway; /* CONTRACT_GATEWAY_ID_BYTES */
    bool has_census, has_typing;
    struct {
        uint32_t count;
        bool has_names, wants_presence;
        uint32_t valid_ms;
        size_t name_count; /* CONTRACT_NAMES_MAX at most */
        struct bytes *names;
    } census;
    struct {
        size_t user_count; /* CONTRACT_TYPERS_MAX at most */
        struct bytes *users;
        uint32_t more;
    } typing;
};

/* Subject of what is said of @room; as contract_room_subject(). */
void contract_presence_subject(struct bytes room, char *ret_subject);

void contract_encode_presence(struct buf *out, const struct contract_presence *presence);
MUST_USE struct contract_presence *contract_decode_presence(struct bytes payload);

void contract_encode_peer_request(struct buf *out, const struct contract_peer_request *request);
void contract_encode_peer_answer(struct buf *out, const struct contract_peer_answer *answer);
void contract_encode_handover(struct buf *out, const struct contract_handover *handover);
void contract_encode_moved_outcome(struct buf *out, const struct contract_moved_outcome *outcome);

MUST_USE struct contract_peer_request *contract_decode_peer_request(struct bytes payload);
MUST_USE struct contract_peer_answer *contract_decode_peer_answer(struct bytes payload);
MUST_USE struct contract_handover *contract_decode_handover(struct bytes payload);
MUST_USE struct contract_moved_outcome *contract_decode_moved_outcome(struct bytes payload);

#endif
