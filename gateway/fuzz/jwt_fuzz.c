/*
 * jwt_fuzz.c - whatever a token or a file of keys says: nobody comes in without a signature, and what a signed token says keeps
 * its bounds. The input's first byte says what the rest is.
 */
#include "edge/jwt.h"
#include "fuzz.h"
#include "proto/contract.h"
#include "wire/base64.h"
#include "wire/chat.h"
#include "wire/utf8.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static const char SECRET[] = "0123456789abcdef0123456789abcdef";

static struct jwk_set *keys(void)
{
    static struct jwk_set *set;
    if (set == NULL) {
        set = jwk_set_new();
        ASSERT(jwk_set_add_secret(set, BYTES(SECRET)) == NULL);
    }
    return set;
}

static enum jwt_result check(struct bytes token, struct jwt *ret_jwt)
{
    struct jwt_rules rules = {.keys = keys(), .leeway_ms = 1000};
    const char *why = NULL;
    enum jwt_result result = jwt_check(&rules, token, BYTES("room"), 1000000, ret_jwt, &why);
    ASSERT((result == JWT_OK) == (why == NULL));
    return result;
}

/* As it is: it cannot be signed with a secret that is not in the corpus. */
static void check_foreign(struct bytes token)
{
    struct jwt jwt;
    ASSERT(check(token, &jwt) != JWT_OK);
    jwt_release(&jwt);
}

/* As claims of a token that is signed well. */
static void check_signed(struct bytes claims)
{
    struct buf token = BUF_INIT;
    base64url_append(&token, BYTES("{\"alg\":\"HS256\"}"));
    buf_append_char(&token, '.');
    base64url_append(&token, claims);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (unsigned char *)token.data, token.len, digest,
         &len);
    buf_append_char(&token, '.');
    base64url_append(&token, bytes_of((const char *)digest, len));
    struct jwt jwt;
    if (check(buf_bytes(&token), &jwt) == JWT_OK) {
        struct bytes subject = buf_bytes(&jwt.subject);
        ASSERT(utf8_is_valid(subject) && subject.len <= CONTRACT_SENDER_BYTES_MAX);
        ASSERT(chat_name_is_valid(subject, CONTRACT_SENDER_CHARS_MAX));
        ASSERT(jwt.id.len <= JWT_ID_BYTES_MAX && jwt.expires_ms > 1000000);
    }
    jwt_release(&jwt);
    buf_release(&token);
}

static void check_keys(struct bytes file)
{
    struct jwk_set *set = jwk_set_new();
    if (jwk_set_add_file(set, file) == NULL) {
        ASSERT(jwk_set_count(set) >= 1 && jwk_set_count(set) <= JWK_KEYS_MAX);
    }
    jwk_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes rest = bytes_of((const char *)data + 1, size - 1);
    switch (data[0]) {
    case 't': check_foreign(rest); break;
    case 'c': check_signed(rest); break;
    case 'k': check_keys(rest); break;
    default: break;
    }
    return 0;
}
