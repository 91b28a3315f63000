/*
 * addresses.h - how many connections each address has.
 *
 * Of an IPv6 address the first 64 bits count: a household has that many to itself (RFC 6177). What a connection keeps is a
 * number, its share, so that it costs an idle one four bytes; 0 is none. All of one address have the same one.
 *
 * Limits  Who asks has a bound on all connections; an address that has none any more is forgotten, and its place is used again.
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_ADDRESSES_H
#define PARLEY_EDGE_ADDRESSES_H

#include "base/map.h"
#include "proxies.h"

struct address_count;

struct addresses {
    uint32_t connections_max; /* of one address; 0: there is no limit */
    struct map by_network;
    struct address_count **counts; /* by share - 1 */
    uint32_t count, capacity;
    uint32_t first_unused; /* a share whose address has gone; 0: none */
};

void addresses_init(struct addresses *addresses, uint32_t connections_max);
void addresses_release(struct addresses *addresses);

/* Counts one more of @address: *@ret_share is to be given back. False, with nothing changed, when it has connections_max. */
MUST_USE bool addresses_take(struct addresses *addresses, const struct address *address,
                             uint32_t *ret_share);

/* One less; *@share is 0 from now on. 0 is no share, and nothing happens. */
void addresses_give_back(struct addresses *addresses, uint32_t *share);

#endif
