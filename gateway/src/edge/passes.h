/*
 * passes.h - AUTH: what makes a pass of a token. Keys and rules from the settings; the file of keys is read again when it changes.
 *
 *   JWT_SECRET, JWT_KEYS_FILE, JWT_ISSUER, JWT_AUDIENCE, JWT_LEEWAY  ──▶  jwt_check()  ──▶  struct hub_pass
 *
 * A file that makes no sense, or is gone, is told of, and the keys of the last good one go on.
 *
 * Thread  The loop's.
 */
#ifndef PARLEY_EDGE_PASSES_H
#define PARLEY_EDGE_PASSES_H

#include "base/timers.h"
#include "config.h"
#include "hub/hub.h"

/* The file is looked at so often. */
enum { PASSES_LOOK_MS = 500 };

struct passes;

/*
 * Reads the settings and the keys, and goes on looking at their file. *@ret_passes is NULL where AUTH is none. False: the reason
 * is in @ret_error. Keeps @config and @timers by reference. Returns owned.
 */
MUST_USE bool passes_new(const struct gateway_config *config, struct timers *timers,
                         struct passes **ret_passes, struct buf *ret_error);

/* Accepts NULL. */
void passes_free(struct passes *passes);

/* hub_world.admit. */
enum hub_admission passes_admit(struct passes *passes, struct bytes token, struct bytes room,
                                struct hub_pass *ret_pass, const char **ret_why);

#endif
