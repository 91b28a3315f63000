/*
 * health.h - asks the admin port of a running program of the same settings, for container platforms: an image without a
 * shell or curl in it has a health check still.
 *
 *     --healthcheck   exit status 0 when /healthz answers 200: the process lives
 *     --readycheck    exit status 0 when /readyz answers 200: it can serve
 *
 * Both end with 1 otherwise, and say why on standard output, which is what container platforms show.
 */
#ifndef PARLEY_HEALTH_H
#define PARLEY_HEALTH_H

#include "bytes.h"

/* The page that the arguments of a program ask for, a static string; NULL when they ask for something else. */
MUST_USE const char *health_page(int argc, char **argv);

/*
 * Asks for @page on the admin port that listens on @host:@port (an address that stands for all of them is asked by the
 * loopback). Blocks for at most HEALTH_TIMEOUT_MS at each step. Returns whether the answer was 200; a sentence otherwise
 * in @ret_why.
 */
MUST_USE bool health_ask(const char *host, int port, const char *page, struct buf *ret_why);

/* What main does with a page: asks, prints what is wrong, and returns the program's exit status. */
MUST_USE int health_check(const char *host, int port, const char *page);

enum { HEALTH_TIMEOUT_MS = 3000 };

#endif
