/*
 * roster.h - who is in a room on other gateways, and who types there, as far as they have said so lately.
 *
 * Invariants  1. members is the sum of the gateways' counts.
 *             2. Names are kept for ROSTER_NAMES_MAX members at most, of the room and of all rooms for
 *                PRESENCE_BYTES_MAX; past either there are none, and the counts go on.
 */
#ifndef PARLEY_HUB_ROSTER_H
#define PARLEY_HUB_ROSTER_H

#include "limits.h"
#include "proto/contract_peer.h"

/* What one gateway said. */
struct roster_gateway {
    char id[CONTRACT_GATEWAY_ID_BYTES];
    uint32_t count;
    bool has_names;
    uint32_t more_typers;
    uint64_t until_ms, typing_until_ms; /* it is gone then, and what it said of typers */
    struct buf names, typers;           /* each name as a byte with its length, and itself */
};

/* What the names of all rosters take together. */
struct roster_budget {
    size_t bytes; /* PRESENCE_BYTES_MAX at most */
};

struct roster {
    struct roster_gateway *gateways;
    uint32_t count, capacity;
    uint64_t members;
    struct roster_budget *budget;
};

/* Keeps @budget. */
void roster_init(struct roster *roster, struct roster_budget *budget);
void roster_release(struct roster *roster);

enum roster_result {
    ROSTER_KNOWN,   /* as it was */
    ROSTER_CHANGED, /* of a gateway that was there */
    ROSTER_ADDED,   /* a gateway that was not */
    ROSTER_IGNORED, /* one too many, or typers of a gateway that is not there */
};

/* Borrows @news. Names are kept while the room has @members_here members on this gateway. */
enum roster_result roster_note(struct roster *roster, const struct contract_presence *news,
                               uint32_t members_here, uint64_t now_ms);

/* Forgets what is not valid any more. Returns whether there was such. */
bool roster_expire(struct roster *roster, uint64_t now_ms);

/* When the next of it is not valid any more; UINT64_MAX: never. */
uint64_t roster_next_expiry(const struct roster *roster);

/* Whether every gateway's names are there. */
bool roster_has_names(const struct roster *roster);

/* Takes the next name off the front of @names, which is the content of a `names` or `typers`. False: there is none. */
bool roster_next_name(struct bytes *names, struct bytes *ret_name);

#endif
