#include "pid.h"

#include "base/random.h"
#include "wire/base64.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { MAC_BYTES = 16 };

static bool is_key_id_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Cuts off and returns what stands before @separator, or all of it. */
static struct bytes take_until(struct bytes *text, char separator)
{
    const char *at = text->len == 0 ? NULL : memchr(text->data, separator, text->len);
    struct bytes taken = at == NULL ? *text : bytes_of(text->data, (size_t)(at - text->data));
    *text = bytes_skip(*text, at == NULL ? text->len : taken.len + 1);
    return taken;
}

static const char *parse_key(struct bytes text, struct pid_key *ret_key)
{
    struct bytes id = take_until(&text, ':');
    if (id.len == 0 || id.len > PID_KEY_ID_BYTES_MAX) {
        return "a key needs an id of 1 to 16 characters and a colon in front of it";
    }
    for (size_t i = 0; i < id.len; i++) {
        if (!is_key_id_char(id.data[i])) {
            return "a key's id may only have letters, digits, '-' and '_'";
        }
    }
    if (text.len % 2 != 0 || text.len / 2 < PID_KEY_BYTES_MIN || text.len / 2 > PID_KEY_BYTES_MAX) {
        return "a key needs an even number of 32 to 128 hexadecimal digits";
    }
    memcpy(ret_key->id, id.data, id.len);
    ret_key->id_len = (uint8_t)id.len;
    ret_key->key_len = (uint8_t)(text.len / 2);
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.data[i]), low = hex_value(text.data[i + 1]);
        if (high < 0 || low < 0) {
            return "a key may only have hexadecimal digits behind its colon";
        }
        ret_key->key[i / 2] = (unsigned char)(high << 4 | low);
    }
    return NULL;
}

const char *pid_keys_parse(struct bytes text, struct pid_keys *ret_keys)
{
    struct pid_keys keys = {0};
    while (text.len > 0) {
        if (keys.count == PID_KEYS_MAX) {
            return "there may be at most 8 keys";
        }
        const char *error = parse_key(take_until(&text, ','), &keys.keys[keys.count++]);
        if (error != NULL) {
            return error;
        }
    }
    if (keys.count == 0) {
        return "there is no key";
    }
    *ret_keys = keys;
    return NULL;
}

void pid_keys_make(struct pid_keys *ret_keys)
{
    *ret_keys = (struct pid_keys){.count = 1};
    struct pid_key *key = &ret_keys->keys[0];
    key->id_len = 4;
    memcpy(key->id, "auto", 4);
    key->key_len = 32;
    random_fill(key->key, key->key_len);
}

static void compute_mac(const struct pid_key *key, struct bytes text,
                        unsigned char ret_mac[MAC_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    ASSERT(HMAC(EVP_sha256(), key->key, key->key_len, (const unsigned char *)text.data, text.len,
                digest, &digest_len) != NULL);
    ASSERT(digest_len >= MAC_BYTES);
    memcpy(ret_mac, digest, MAC_BYTES);
}

void pid_sign(const struct pid_keys *keys, const struct pid *pid, struct buf *out)
{
    struct buf fields = BUF_INIT;
    buf_append_bytes(&fields, pid->sid);
    buf_append_format(&fields, "|%llu|%llu|%llu|", (unsigned long long)pid->epoch,
                      (unsigned long long)pid->start, (unsigned long long)pid->issued_ms);
    buf_append_bytes(&fields, pid->room);
    buf_append_char(&fields, '|');
    buf_append_bytes(&fields, pid->user);

    const struct pid_key *key = &keys->keys[0];
    size_t begin = out->len;
    buf_append(out, key->id, key->id_len);
    buf_append_char(out, '.');
    base64url_append(out, buf_bytes(&fields));
    unsigned char mac[MAC_BYTES];
    compute_mac(key, bytes_of(out->data + begin, out->len - begin), mac);
    buf_append_char(out, '.');
    base64url_append(out, bytes_of((const char *)mac, MAC_BYTES));
    ASSERT(out->len - begin <= CHAT_PID_BYTES_MAX);
    buf_release(&fields);
}

static const struct pid_key *find_key(const struct pid_keys *keys, struct bytes id)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (bytes_equal(bytes_of(keys->keys[i].id, keys->keys[i].id_len), id)) {
            return &keys->keys[i];
        }
    }
    return NULL;
}

static bool parse_fields(struct bytes fields, struct pid *ret_pid)
{
    struct pid pid = {.sid = take_until(&fields, '|')};
    bool is_good = pid.sid.len == PID_SID_BYTES &&
                   bytes_to_u64(take_until(&fields, '|'), &pid.epoch) &&
                   bytes_to_u64(take_until(&fields, '|'), &pid.start) &&
                   bytes_to_u64(take_until(&fields, '|'), &pid.issued_ms);
    pid.room = take_until(&fields, '|');
    pid.user = fields; /* the last, so that it may hold a '|' */
    if (!is_good) {
        return false;
    }
    *ret_pid = pid;
    return true;
}

bool pid_verify(const struct pid_keys *keys, struct bytes token, struct buf *storage,
                struct pid *ret_pid)
{
    struct bytes rest = token;
    const struct pid_key *key = find_key(keys, take_until(&rest, '.'));
    struct bytes fields = take_until(&rest, '.');
    if (token.len > CHAT_PID_BYTES_MAX || key == NULL || rest.len == 0) {
        return false;
    }
    unsigned char mac[MAC_BYTES];
    compute_mac(key, bytes_of(token.data, token.len - rest.len - 1), mac);
    struct buf claimed = BUF_INIT;
    bool is_signed = base64url_decode(rest, &claimed) && claimed.len == MAC_BYTES &&
                     CRYPTO_memcmp(claimed.data, mac, MAC_BYTES) == 0;
    buf_release(&claimed);
    if (!is_signed) {
        return false;
    }
    size_t begin = storage->len;
    return base64url_decode(fields, storage) &&
           parse_fields(bytes_of(storage->data + begin, storage->len - begin), ret_pid);
}
