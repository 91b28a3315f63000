/*
 * proxies.h - which address a request comes from, where balancers stand between.
 *
 * A balancer adds the address that it sees to X-Forwarded-For, at the end; what is in front of that may be anybody's
 * invention. So the list is read from its end, from the connection's own address on, for as long as who says it is trusted.
 *
 * Thread  Any.
 */
#ifndef PARLEY_EDGE_PROXIES_H
#define PARLEY_EDGE_PROXIES_H

#include "base/bytes.h"
#include <h2o.h>

enum { PROXIES_MAX = 64, ADDRESS_BYTES = 16 };

/* IPv6; an IPv4 address is the one that it is mapped to (RFC 4291, 2.5.5.2). */
struct address {
    unsigned char bytes[ADDRESS_BYTES];
};

/* The networks that are trusted. */
struct proxies {
    struct network {
        struct address first;
        unsigned prefix_bits; /* 0..128 */
    } networks[PROXIES_MAX];
    size_t count;
};

/* Reads addresses and networks as in 10.0.0.0/8, separated by commas or spaces. NULL, or what is wrong: a sentence. */
const char *proxies_parse(const char *text, struct proxies *ret_proxies);

bool proxies_trust(const struct proxies *proxies, const struct address *address);

/*
 * Reads an address as X-Forwarded-For may have it: with a port, or in brackets, or neither. False, with nothing written,
 * when it is none.
 */
MUST_USE bool address_parse(struct bytes text, struct address *ret_address);

/*
 * Goes back through @forwarded, one line of X-Forwarded-For, while *@address is trusted; what is found there becomes
 * *@address. Returns whether the line in front of it counts, too.
 */
bool proxies_look_behind(const struct proxies *proxies, struct bytes forwarded,
                         struct address *address);

/* Whether the peer of @socket is one of @proxies. */
bool proxies_trust_peer(const struct proxies *proxies, h2o_socket_t *socket);

/* Where @req comes from. All zeros for a socket that is neither IPv4 nor IPv6. */
struct address proxies_address_of(const struct proxies *proxies, h2o_req_t *req);

#endif
