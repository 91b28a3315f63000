#include "passes.h"

#include "base/clock.h"
#include "base/log.h"
#include "jwt.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Far more than JWK_KEYS_MAX keys need. */
enum { KEYS_FILE_BYTES_MAX = 256 * 1024 };

/* What says that a file is another one than before. */
struct file_state {
    struct timespec changed;
    ino_t inode;
    off_t size;
};

struct passes {
    const struct gateway_config *config;
    struct timers *timers;
    struct timer look;
    struct jwk_set *keys;
    struct file_state seen;
    struct jwt last; /* what the last hub_pass borrows from */
};

static struct file_state state_of(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0) {
        return (struct file_state){0};
    }
    return (struct file_state){found.st_mtim, found.st_ino, found.st_size};
}

static bool is_same(const struct file_state *a, const struct file_state *b)
{
    return a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->inode == b->inode && a->size == b->size;
}

/* Appends what the file holds. Returns NULL, or what is wrong. */
static const char *read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return strerror(errno);
    }
    size_t got = fread(buf_reserve(out, KEYS_FILE_BYTES_MAX + 1), 1, KEYS_FILE_BYTES_MAX + 1, file);
    out->len += (uint32_t)got;
    const char *error = ferror(file)                ? "it cannot be read"
                        : got > KEYS_FILE_BYTES_MAX ? "it is longer than 256 KiB"
                                                    : NULL;
    fclose(file);
    return error;
}

/* Makes a set of all keys. NULL, with a sentence in @ret_error. Returns owned. */
static struct jwk_set *read_keys(const struct gateway_config *config, struct buf *ret_error)
{
    struct jwk_set *keys = jwk_set_new();
    struct bytes secret = bytes_of_string(config->jwt_secret);
    const char *error = secret.len > 0 ? jwk_set_add_secret(keys, secret) : NULL;
    if (error != NULL) {
        buf_append_format(ret_error,
                          "JWT_SECRET %s: take at least 32 random ones, as from openssl "
                          "rand -base64 32",
                          error);
    } else if (config->jwt_keys_file[0] != '\0') {
        struct buf text = BUF_INIT;
        error = read_file(config->jwt_keys_file, &text);
        if (error != NULL) {
            buf_append_format(ret_error, "JWT_KEYS_FILE is %s: %s", config->jwt_keys_file, error);
        } else if ((error = jwk_set_add_file(keys, buf_bytes(&text))) != NULL) {
            buf_append_format(ret_error,
                              "JWT_KEYS_FILE is %s, which %s: it needs a JWK Set, or public keys "
                              "in PEM",
                              config->jwt_keys_file, error);
        }
        buf_release(&text);
    }
    if (error != NULL) {
        jwk_set_free(keys);
        return NULL;
    }
    return keys;
}

static void on_look(struct timer *timer, uint64_t now_ms)
{
    struct passes *passes = CONTAINER_OF(timer, struct passes, look);
    const char *path = passes->config->jwt_keys_file;
    timers_set(passes->timers, &passes->look, now_ms + PASSES_LOOK_MS);
    struct file_state state = state_of(path);
    if (is_same(&state, &passes->seen)) {
        return;
    }
    passes->seen = state;
    struct buf error = BUF_INIT;
    struct jwk_set *keys = read_keys(passes->config, &error);
    if (keys != NULL) {
        jwk_set_free(passes->keys);
        passes->keys = keys;
        LOG(LOG_INFO, "token_keys_read", F_STR("file", path), F_INT("keys", jwk_set_count(keys)));
    } else {
        LOG(LOG_ERROR, "token_keys_refused", F_BYTES("reason", buf_bytes(&error)));
    }
    buf_release(&error);
}

static bool check_settings(const struct gateway_config *config, struct buf *ret_error)
{
    bool has_keys = config->jwt_secret[0] != '\0' || config->jwt_keys_file[0] != '\0';
    if (config->auth == AUTH_JWT && !has_keys) {
        buf_append_bytes(ret_error, BYTES("AUTH is jwt, and there is no key to check tokens with: "
                                          "set JWT_KEYS_FILE or JWT_SECRET"));
        return false;
    }
    if (config->auth == AUTH_NONE && has_keys) {
        buf_append_bytes(ret_error, BYTES("JWT_KEYS_FILE or JWT_SECRET is set, and AUTH is none, "
                                          "which asks nobody for a token: set AUTH to jwt"));
        return false;
    }
    return true;
}

bool passes_new(const struct gateway_config *config, struct timers *timers,
                struct passes **ret_passes, struct buf *ret_error)
{
    *ret_passes = NULL;
    if (!check_settings(config, ret_error)) {
        return false;
    }
    if (config->auth == AUTH_NONE) {
        LOG(LOG_WARN, "names_are_free",
            F_STR("hint", "AUTH is none: anybody comes in, under any name and into any room"));
        return true;
    }
    struct file_state seen = state_of(config->jwt_keys_file);
    struct jwk_set *keys = read_keys(config, ret_error);
    if (keys == NULL) {
        return false;
    }
    struct passes *passes = mem_alloc_zeroed(sizeof(*passes));
    passes->config = config;
    passes->timers = timers;
    passes->keys = keys;
    passes->seen = seen;
    timer_init(&passes->look, on_look);
    if (config->jwt_keys_file[0] != '\0') {
        timers_set(timers, &passes->look, clock_monotonic_ms() + PASSES_LOOK_MS);
    }
    *ret_passes = passes;
    return true;
}

void passes_free(struct passes *passes)
{
    if (passes != NULL) {
        timers_clear(passes->timers, &passes->look);
        jwt_release(&passes->last);
        jwk_set_free(passes->keys);
        free(passes);
    }
}

enum hub_admission passes_admit(struct passes *passes, struct bytes token, struct bytes room,
                                struct hub_pass *ret_pass, const char **ret_why)
{
    struct jwt_rules rules = {
        .keys = passes->keys,
        .issuer = bytes_of_string(passes->config->jwt_issuer),
        .audience = bytes_of_string(passes->config->jwt_audience),
        .leeway_ms = (uint64_t)passes->config->jwt_leeway_ms,
    };
    struct jwt *jwt = &passes->last;
    jwt_release(jwt);
    switch (jwt_check(&rules, token, room, clock_wall_ms(), jwt, ret_why)) {
    case JWT_OK: break;
    case JWT_STALE: return HUB_STALE;
    case JWT_REFUSED: return HUB_UNAUTHORIZED;
    }
    if (!jwt->may_read) {
        *ret_why = "the token does not open this room";
        return HUB_FORBIDDEN;
    }
    *ret_pass = (struct hub_pass){
        .username = buf_bytes(&jwt->subject),
        .id = buf_bytes(&jwt->id),
        .expires_ms = jwt->expires_ms,
        .issued_ms = jwt->issued_ms,
        .may_write = jwt->may_write,
    };
    return HUB_ADMITTED;
}
