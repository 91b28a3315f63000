#include "jwk.h"

#include "wire/base64.h"
#include "wire/json.h"
#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    ES256_BYTES = 32, /* of a coordinate, and of each half of a signature */
    ED25519_BYTES = 32,
    SHA256_BYTES = 32,
};

struct jwk {
    enum jwk_algorithm algorithm;
    struct buf id; /* empty: none */
    EVP_PKEY *public_key;
    struct buf secret; /* of HS256 */
};

struct jwk_set {
    struct jwk keys[JWK_KEYS_MAX];
    size_t count;
};

static const char TOO_MANY[] = "holds more than 32 keys";
static_assert(JWK_KEYS_MAX == 32, "as the sentence says");

bool jwk_algorithm_of(struct bytes name, enum jwk_algorithm *ret_algorithm)
{
    static const struct bytes NAMES[] = {
        [JWK_HS256] = {"HS256", 5},
        [JWK_RS256] = {"RS256", 5},
        [JWK_ES256] = {"ES256", 5},
        [JWK_EDDSA] = {"EdDSA", 5},
    };
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (bytes_equal(name, NAMES[i])) {
            *ret_algorithm = (enum jwk_algorithm)i;
            return true;
        }
    }
    return false;
}

struct jwk_set *jwk_set_new(void)
{
    return mem_alloc_zeroed(sizeof(struct jwk_set));
}

static void wipe(struct buf *secret)
{
    OPENSSL_cleanse(secret->data, secret->len);
    buf_release(secret);
}

static void jwk_release(struct jwk *key)
{
    EVP_PKEY_free(key->public_key);
    buf_release(&key->id);
    wipe(&key->secret);
}

void jwk_set_free(struct jwk_set *set)
{
    if (set != NULL) {
        for (size_t i = 0; i < set->count; i++) {
            jwk_release(&set->keys[i]);
        }
        free(set);
    }
}

size_t jwk_set_count(const struct jwk_set *set)
{
    return set->count;
}

/* --- adding ------------------------------------------------------------------------------------------------------- */

/* Takes @key's parts. */
static const char *add(struct jwk_set *set, struct jwk *key)
{
    if (set->count == JWK_KEYS_MAX) {
        jwk_release(key);
        return TOO_MANY;
    }
    set->keys[set->count++] = *key;
    return NULL;
}

static const char *secret_error(size_t bytes)
{
    return bytes < JWK_SECRET_BYTES_MIN ? "holds a secret of less than 32 bytes" : NULL;
}

const char *jwk_set_add_secret(struct jwk_set *set, struct bytes secret)
{
    const char *error = secret_error(secret.len);
    if (error != NULL) {
        return error;
    }
    struct jwk key = {.algorithm = JWK_HS256};
    buf_append_bytes(&key.secret, secret);
    return add(set, &key);
}

/* Which algorithm a public key is for; or why it is for none, and then *@ret_is_ours false where that is no fault. */
static const char *algorithm_of_key(EVP_PKEY *key, enum jwk_algorithm *ret_algorithm,
                                    bool *ret_is_ours)
{
    *ret_is_ours = true;
    char group[32] = "";
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        *ret_algorithm = JWK_RS256;
        return EVP_PKEY_get_bits(key) < JWK_RSA_BITS_MIN ||
                       EVP_PKEY_get_bits(key) > JWK_RSA_BITS_MAX
                   ? "holds an RSA key of less than 2048 or more than 8192 bits"
                   : NULL;
    case EVP_PKEY_EC:
        *ret_algorithm = JWK_ES256;
        *ret_is_ours = EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
                       strcmp(group, SN_X9_62_prime256v1) == 0;
        break;
    case EVP_PKEY_ED25519: *ret_algorithm = JWK_EDDSA; break;
    default: *ret_is_ours = false;
    }
    return *ret_is_ours ? NULL
                        : "holds a key that is neither RSA nor on the curves P-256 or Ed25519";
}

/* --- JWK ---------------------------------------------------------------------------------------------------------- */

/* The decoded base64url of a member; empty where that is missing or wrong. */
static struct buf member_bytes(struct bytes object, struct bytes name)
{
    struct bytes value;
    struct buf decoded = BUF_INIT;
    if (json_object_get(object, name, &value) && json_type_of(value) == JSON_STRING &&
        !base64url_decode(bytes_of(value.data + 1, value.len - 2), &decoded)) {
        buf_clear(&decoded);
    }
    return decoded;
}

/* Whether a member is absent, or this text. */
static bool member_may_be(struct bytes object, struct bytes name, struct bytes text)
{
    struct bytes value;
    return !json_object_get(object, name, &value) ||
           (json_type_of(value) == JSON_STRING && json_string_equals(value, text));
}

static bool member_is(struct bytes object, struct bytes name, struct bytes text)
{
    struct bytes value;
    return json_object_get(object, name, &value) && member_may_be(object, name, text);
}

/* The operations that it is for, where it says so, have "verify" among them (RFC 7517, section 4.3). */
static bool may_verify(struct bytes object)
{
    struct bytes value, operation;
    if (!json_object_get(object, BYTES("key_ops"), &value)) {
        return true;
    }
    if (json_type_of(value) != JSON_ARRAY) {
        return false;
    }
    struct json_iterator operations = json_iterate(value);
    while (json_next_element(&operations, &operation)) {
        if (json_type_of(operation) == JSON_STRING &&
            json_string_equals(operation, BYTES("verify"))) {
            return true;
        }
    }
    return false;
}

/* Makes a public key of what @build holds, which it frees. NULL: it makes no sense. */
static EVP_PKEY *key_of_params(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *rsa_key(struct bytes object)
{
    struct buf modulus = member_bytes(object, BYTES("n")),
               exponent = member_bytes(object, BYTES("e"));
    EVP_PKEY *key = NULL;
    if (modulus.len > 0 && modulus.len <= JWK_RSA_BITS_MAX / 8 + 1 && exponent.len > 0 &&
        exponent.len <= 8) {
        BIGNUM *n = BN_bin2bn((unsigned char *)modulus.data, (int)modulus.len, NULL);
        BIGNUM *e = BN_bin2bn((unsigned char *)exponent.data, (int)exponent.len, NULL);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        ASSERT(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
               OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1);
        key = key_of_params("RSA", build);
        BN_free(n);
        BN_free(e);
    }
    buf_release(&modulus);
    buf_release(&exponent);
    return key;
}

static EVP_PKEY *p256_key(struct bytes object)
{
    struct buf x = member_bytes(object, BYTES("x")), y = member_bytes(object, BYTES("y"));
    EVP_PKEY *key = NULL;
    if (x.len == ES256_BYTES && y.len == ES256_BYTES) {
        struct buf point = BUF_INIT;
        buf_append_char(&point, POINT_CONVERSION_UNCOMPRESSED);
        buf_append_bytes(&point, buf_bytes(&x));
        buf_append_bytes(&point, buf_bytes(&y));
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        ASSERT(OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
                                               SN_X9_62_prime256v1, 0) == 1 &&
               OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.data,
                                                point.len) == 1);
        key = key_of_params("EC", build); /* which looks whether the point is on the curve */
        buf_release(&point);
    }
    buf_release(&x);
    buf_release(&y);
    return key;
}

static EVP_PKEY *ed25519_key(struct bytes object)
{
    struct buf x = member_bytes(object, BYTES("x"));
    EVP_PKEY *key = NULL;
    if (x.len == ED25519_BYTES) {
        key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (unsigned char *)x.data, x.len);
    }
    buf_release(&x);
    return key;
}

/* Takes a JWK; leaves out one that is for something else. */
static const char *add_jwk(struct jwk_set *set, struct bytes object)
{
    struct bytes value;
    struct jwk key = {0};
    if (json_object_get(object, BYTES("d"), &value)) {
        return "holds a private key: the public one is enough, and safe";
    }
    if (!member_may_be(object, BYTES("use"), BYTES("sig")) || !may_verify(object)) {
        return NULL;
    }
    const char *error = NULL;
    bool is_ours = true;
    if (member_is(object, BYTES("kty"), BYTES("oct"))) {
        key.algorithm = JWK_HS256;
        is_ours = member_may_be(object, BYTES("alg"), BYTES("HS256"));
        key.secret = member_bytes(object, BYTES("k"));
        error = is_ours ? secret_error(key.secret.len) : NULL;
    } else {
        if (member_is(object, BYTES("kty"), BYTES("RSA"))) {
            is_ours = member_may_be(object, BYTES("alg"), BYTES("RS256"));
            key.public_key = rsa_key(object);
        } else if (member_is(object, BYTES("kty"), BYTES("EC"))) {
            is_ours = member_is(object, BYTES("crv"), BYTES("P-256")) &&
                      member_may_be(object, BYTES("alg"), BYTES("ES256"));
            key.public_key = is_ours ? p256_key(object) : NULL;
        } else {
            is_ours = member_is(object, BYTES("kty"), BYTES("OKP")) &&
                      member_is(object, BYTES("crv"), BYTES("Ed25519")) &&
                      member_may_be(object, BYTES("alg"), BYTES("EdDSA"));
            key.public_key = is_ours ? ed25519_key(object) : NULL;
        }
        if (is_ours) {
            error = key.public_key == NULL
                        ? "holds a key that makes no sense"
                        : algorithm_of_key(key.public_key, &key.algorithm, &is_ours);
        }
    }
    if (json_object_get(object, BYTES("kid"), &value) &&
        (json_type_of(value) != JSON_STRING ||
         json_string_decode(value, &key.id) != JSON_STRING_OK)) {
        error = "holds a key whose \"kid\" is no text";
    }
    if (error != NULL || !is_ours) {
        jwk_release(&key);
        return error;
    }
    return add(set, &key);
}

static const char *add_json(struct jwk_set *set, struct bytes text)
{
    struct bytes object, keys, key;
    if (!json_scan(text, &object) || json_type_of(object) != JSON_OBJECT) {
        return "is not valid JSON";
    }
    if (!json_object_get(object, BYTES("keys"), &keys)) {
        return add_jwk(set, object);
    }
    if (json_type_of(keys) != JSON_ARRAY) {
        return "is no JWK Set: \"keys\" is not an array";
    }
    const char *error = NULL;
    struct json_iterator each = json_iterate(keys);
    while (error == NULL && json_next_element(&each, &key)) {
        error = json_type_of(key) == JSON_OBJECT ? add_jwk(set, key)
                                                 : "is no JWK Set: a key is not an object";
    }
    return error;
}

/* --- PEM ---------------------------------------------------------------------------------------------------------- */

/* The key of one block of PEM; NULL: there is none in it. */
static EVP_PKEY *key_of_pem(const char *name, const unsigned char *data, long len)
{
    if (strcmp(name, PEM_STRING_PUBLIC) == 0) {
        return d2i_PUBKEY(NULL, &data, len);
    }
    X509 *certificate = strcmp(name, PEM_STRING_X509) == 0 ? d2i_X509(NULL, &data, len) : NULL;
    EVP_PKEY *key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

static const char *add_pem_block(struct jwk_set *set, const char *name, const unsigned char *data,
                                 long len)
{
    if (strstr(name, "PRIVATE KEY") != NULL) {
        return "holds a private key: the public one is enough, and safe";
    }
    struct jwk key = {.public_key = key_of_pem(name, data, len)};
    bool is_ours;
    const char *error = key.public_key == NULL
                            ? "holds a block that is neither a public key nor a certificate"
                            : algorithm_of_key(key.public_key, &key.algorithm, &is_ours);
    if (error != NULL) {
        jwk_release(&key);
        return error;
    }
    return add(set, &key);
}

static const char *add_pem(struct jwk_set *set, struct bytes text)
{
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    const char *error = NULL;
    char *name, *header;
    unsigned char *data;
    long len;
    while (error == NULL && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
        error = add_pem_block(set, name, data, len);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t)len);
    }
    BIO_free(bio);
    return error;
}

const char *jwk_set_add_file(struct jwk_set *set, struct bytes text)
{
    while (text.len > 0 && isspace((unsigned char)text.data[0])) {
        text = bytes_skip(text, 1);
    }
    size_t before = set->count;
    bool is_json = text.len > 0 && text.data[0] == '{';
    const char *error = is_json ? add_json(set, text) : add_pem(set, text);
    ERR_clear_error(); /* which is the thread's, and TLS looks at it */
    if (error == NULL && set->count == before) {
        error = is_json ? "holds no key for HS256, RS256, ES256 or EdDSA"
                        : "holds neither a JWK Set nor a public key in PEM";
    }
    return error;
}

/* --- verifying ---------------------------------------------------------------------------------------------------- */

static bool is_signed_hs256(const struct jwk *key, struct bytes input, struct bytes signature)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    ASSERT(HMAC(EVP_sha256(), key->secret.data, (int)key->secret.len,
                (const unsigned char *)input.data, input.len, digest, &len) != NULL);
    return signature.len == SHA256_BYTES && len == SHA256_BYTES &&
           CRYPTO_memcmp(signature.data, digest, SHA256_BYTES) == 0;
}

static bool is_signed(const struct jwk *key, struct bytes input, struct bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const EVP_MD *digest = key->algorithm == JWK_EDDSA ? NULL : EVP_sha256();
    bool is_good = EVP_DigestVerifyInit(context, NULL, digest, NULL, key->public_key) == 1 &&
                   EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.len,
                                    (const unsigned char *)input.data, input.len) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_good;
}

/* JOSE has the two halves of the signature side by side (RFC 7518, section 3.4), OpenSSL wants them in DER. */
static bool is_signed_es256(const struct jwk *key, struct bytes input, struct bytes signature)
{
    if (signature.len != (size_t)2 * ES256_BYTES) {
        return false;
    }
    const unsigned char *halves = (const unsigned char *)signature.data;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    ASSERT(ECDSA_SIG_set0(sig, BN_bin2bn(halves, ES256_BYTES, NULL),
                          BN_bin2bn(halves + ES256_BYTES, ES256_BYTES, NULL)) == 1);
    unsigned char *der = NULL;
    int len = i2d_ECDSA_SIG(sig, &der);
    ASSERT(len > 0);
    bool is_good = is_signed(key, input, bytes_of((const char *)der, (size_t)len));
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return is_good;
}

static bool verifies(const struct jwk *key, struct bytes input, struct bytes signature)
{
    switch (key->algorithm) {
    case JWK_HS256: return is_signed_hs256(key, input, signature);
    case JWK_ES256: return is_signed_es256(key, input, signature);
    case JWK_RS256:
    case JWK_EDDSA: break;
    }
    return is_signed(key, input, signature);
}

enum jwk_result jwk_verify(const struct jwk_set *set, enum jwk_algorithm algorithm,
                           struct bytes key_id, struct bytes input, struct bytes signature)
{
    enum jwk_result result = JWK_NO_SUCH_KEYS;
    for (size_t i = 0; i < set->count; i++) {
        const struct jwk *key = &set->keys[i];
        bool has_other_id =
            key_id.len > 0 && key->id.len > 0 && !bytes_equal(key_id, buf_bytes(&key->id));
        bool has_this_id = key_id.len > 0 && key->id.len > 0 && !has_other_id;
        if (key->algorithm == algorithm && !has_other_id) {
            if (verifies(key, input, signature)) {
                return JWK_SIGNED;
            }
            result = JWK_NOT_SIGNED;
        } else if (has_this_id) {
            result = JWK_NOT_SIGNED; /* a key that is for another algorithm */
        } else if (key->algorithm == algorithm && result == JWK_NO_SUCH_KEYS) {
            result = JWK_NO_SUCH_KEY;
        }
    }
    return result;
}
