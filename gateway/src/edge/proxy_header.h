/*
 * proxy_header.h - what a balancer says first on a connection that it passes on without looking into it: where that comes from
 * (HAProxy's "The PROXY protocol", versions 1 and 2; whoever reads one, reads the other).
 *
 * Pure. Who may say it is proxies.h's.
 *
 * Thread  Any.
 */
#ifndef PARLEY_EDGE_PROXY_HEADER_H
#define PARLEY_EDGE_PROXY_HEADER_H

#include "base/bytes.h"
#include <sys/socket.h>

/* Of version 2; one of version 1 has 107 at most (2.1). The specification allows 65,551: balancers add some hundred bytes. */
enum { PROXY_HEADER_BYTES_MAX = 4096 };

enum proxy_header {
    PROXY_HEADER_PARTIAL, /* more has to come, and may make it a header */
    PROXY_HEADER_WHOLE,
    PROXY_HEADER_WRONG,
};

/*
 * Reads the header that @input begins with. Of a whole one, *@ret_len is its length, and *@ret_peer the address and port that it
 * names, or AF_UNSPEC where it names none that can be used: a balancer that asks on its own behalf (LOCAL), UNKNOWN, families
 * other than TCP over IPv4 and IPv6. The connection's own address counts then.
 */
MUST_USE enum proxy_header proxy_header_read(struct bytes input, size_t *ret_len,
                                             struct sockaddr_storage *ret_peer);

#endif
