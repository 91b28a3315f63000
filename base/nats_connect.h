/*
 * nats_connect.h - how both services connect to NATS.
 *
 * nats.c's defaults are those of a short-lived program. Here: a server that is not there is waited for, for ever; a
 * silent one is noticed after some seconds, not 6 minutes; a publish is written at once, not a millisecond later; what
 * was published while disconnected is not replayed later, since whoever asked asks again; one thread delivers all
 * messages.
 */
#ifndef PARLEY_NATS_CONNECT_H
#define PARLEY_NATS_CONNECT_H

#include "bytes.h"
#include <nats/nats.h>

/* Where NATS is, and who we are there: nats_settings.def. Empty strings are not set. Borrows all. */
struct nats_settings {
    const char *urls; /* nats://host:4222, or tls://…, several separated by commas */
    const char *user, *password, *token, *credentials_file;
    const char *tls_ca_file, *tls_cert_file, *tls_key_file;
};

/* Of a struct that nats_settings.def is part of. */
#define NATS_SETTINGS_OF(config)                             \
    ((struct nats_settings){                                 \
        .urls = (config)->nats_url,                          \
        .user = (config)->nats_user,                         \
        .password = (config)->nats_password,                 \
        .token = (config)->nats_token,                       \
        .credentials_file = (config)->nats_credentials_file, \
        .tls_ca_file = (config)->nats_tls_ca_file,           \
        .tls_cert_file = (config)->nats_tls_cert_file,       \
        .tls_key_file = (config)->nats_tls_key_file,         \
    })

/* A NATS that asks nobody who they are. */
#define NATS_SETTINGS_OPEN(url)                     \
    ((struct nats_settings){.urls = (url),          \
                            .user = "",             \
                            .password = "",         \
                            .token = "",            \
                            .credentials_file = "", \
                            .tls_ca_file = "",      \
                            .tls_cert_file = "",    \
                            .tls_key_file = ""})

/*
 * Options for a connection that is called @name. The caller adds its callbacks, and natsOptions_Destroy()s. Returns NULL with a
 * sentence in @ret_error, which names the setting, when that can never work.
 */
MUST_USE natsOptions *nats_options_new(const struct nats_settings *settings, const char *name,
                                       struct buf *ret_error);

enum {
    NATS_RETRY_MS = 250,
    NATS_PAYLOAD_CHECK_MS = 2000, /* a server that takes too little is looked at anew so often */
};

/*
 * Tries to connect, which takes some seconds at most. Returns NULL when that did not work: then again in NATS_RETRY_MS.
 * @tries says how often that was already, and grows; the first failure is logged.
 *
 * Not natsOptions_SetRetryOnFailedConnect(): with that, nats.c 3.4 gives up for good when a server, or a proxy in front of
 * one that is not there yet, takes the first connection and closes it. Later reconnects it does well.
 */
MUST_USE natsConnection *nats_try_connect(natsOptions *options, unsigned *tries);

/*
 * Whether the server takes messages of @bytes (its max_payload). Logs an error where it does not: what is that long would
 * get lost, so it is as if there were no NATS, until it is configured anew (which it tells new connections only).
 */
MUST_USE bool nats_check_payload(natsConnection *connection, size_t bytes);

#endif
