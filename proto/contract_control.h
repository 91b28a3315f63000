/*
 * contract_control.h - what store-services tell all gateways on behalf of their API, and what gateways answer. As contract.h.
 */
#ifndef PARLEY_CONTRACT_CONTROL_H
#define PARLEY_CONTRACT_CONTROL_H

#include "contract.h"

#define CONTRACT_CONTROL_SUBJECT "parley.v1.control"

enum {
    CONTRACT_COUNTS_MAX = 1000,      /* rooms of one COUNT */
    CONTRACT_REVOCATIONS_MAX = 1024, /* of one REVOKE */
};

enum contract_control_type { CONTRACT_KICK, CONTRACT_REVOKE, CONTRACT_COUNT };

struct contract_revocation {
    struct bytes user, token_id; /* one of them has len 0 */
    uint64_t before_ms, until_ms;
};

struct contract_control {
    enum contract_control_type type;
    struct bytes user, session, room; /* of KICK; len 0: any */
    size_t revocation_count;
    struct contract_revocation *revocations;
    size_t room_count;
    struct bytes *rooms;
};

struct contract_control_reply {
    struct bytes gateway;
    uint32_t members;
    size_t count_count;
    uint32_t *counts;
};

void contract_encode_control(struct buf *out, const struct contract_control *control);
void contract_encode_control_reply(struct buf *out, const struct contract_control_reply *reply);

MUST_USE struct contract_control *contract_decode_control(struct bytes payload);
MUST_USE struct contract_control_reply *contract_decode_control_reply(struct bytes payload);

#endif
