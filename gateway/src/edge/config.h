/*
 * config.h - the gateway's settings, from the environment: config.def is the only list of them.
 */
#ifndef PARLEY_EDGE_CONFIG_H
#define PARLEY_EDGE_CONFIG_H

#include "base/config.h"

struct gateway_config {
#include "base/config_fields.h"
#include "config.def"
};

/* The choices of AUTH. */
enum { AUTH_NONE, AUTH_JWT };

/* The choices of PROXY_PROTOCOL. */
enum { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_ON };

extern const struct setting gateway_settings[];
extern const size_t gateway_settings_count;

#endif
