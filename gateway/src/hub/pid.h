/*
 * pid.h - session tokens: what a Socket.IO client gives back as `pid` to resume a session
 * (connection state recovery).
 *
 * A token holds all that any gateway needs to resume the session without asking anyone:
 *
 *     <key id>.<base64url of sid|epoch|start|issued|room|user>.<base64url of HMAC-SHA-256, first 16
 * bytes>
 *
 * The MAC covers everything in front of it. It is not encrypted: it holds nothing that its owner
 * does not know.
 */
#ifndef PARLEY_HUB_PID_H
#define PARLEY_HUB_PID_H

#include "base/bytes.h"
#include "wire/chat.h"

enum {
    PID_KEYS_MAX = 8,
    PID_KEY_ID_BYTES_MAX = 16,
    PID_KEY_BYTES_MIN = 16,
    PID_KEY_BYTES_MAX = 64,
    PID_SID_BYTES = 20,
};

struct pid_key {
    char id[PID_KEY_ID_BYTES_MAX];
    uint8_t id_len;
    uint8_t key_len;
    unsigned char key[PID_KEY_BYTES_MAX];
};

/* The first key signs, all verify. */
struct pid_keys {
    size_t count;
    struct pid_key keys[PID_KEYS_MAX];
};

/*
 * Reads "id:hex,id:hex": ids of [A-Za-z0-9_-], keys of PID_KEY_BYTES_MIN..PID_KEY_BYTES_MAX bytes.
 * Returns NULL, or what is wrong (a static sentence without the key).
 */
MUST_USE const char *pid_keys_parse(struct bytes text, struct pid_keys *ret_keys);

/* One random key, for a gateway that was given none. */
void pid_keys_make(struct pid_keys *ret_keys);

struct pid {
    struct bytes sid; /* PID_SID_BYTES of it */
    struct bytes room;
    struct bytes user;
    uint64_t epoch;
    uint64_t start; /* newest id that the session had not to be sent when it began */
    uint64_t issued_ms;
};

/* Appends the token of @pid, at most CHAT_PID_BYTES_MAX bytes. */
void pid_sign(const struct pid_keys *keys, const struct pid *pid, struct buf *out);

/*
 * Whether @token was signed with one of @keys. On success @ret_pid's slices point into @storage,
 * which the caller provides and releases. @ret_pid is written only on success.
 */
MUST_USE bool pid_verify(const struct pid_keys *keys, struct bytes token, struct buf *storage,
                         struct pid *ret_pid);

#endif
