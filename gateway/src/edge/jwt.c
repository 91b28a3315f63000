#include "jwt.h"

#include "proto/contract.h"
#include "wire/base64.h"
#include "wire/chat.h"
#include "wire/json.h"
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 32 };

/* Seconds since 1970 of the year 9999: what is beyond is no date. */
static const double DATE_MAX = 253402300799.0;

/* A token's three parts, and the claims. */
struct reading {
    struct buf header_text, claims_text, signature;
    struct bytes signed_input;   /* of the token */
    struct bytes header, claims; /* scanned objects */
};

static void reading_release(struct reading *reading)
{
    buf_release(&reading->header_text);
    buf_release(&reading->claims_text);
    buf_release(&reading->signature);
}

/* Cuts off the part in front of the next '.'. */
static bool take_part(struct bytes *rest, struct bytes *ret_part)
{
    const char *dot = rest->len > 0 ? memchr(rest->data, '.', rest->len) : NULL;
    if (dot == NULL) {
        return false;
    }
    *ret_part = bytes_of(rest->data, (size_t)(dot - rest->data));
    *rest = bytes_skip(*rest, ret_part->len + 1);
    return true;
}

static bool read_object(struct bytes part, struct buf *text, struct bytes *ret_object)
{
    return base64url_decode(part, text) && json_scan(buf_bytes(text), ret_object) &&
           json_type_of(*ret_object) == JSON_OBJECT;
}

/* Two parts and a third one without a '.': with more it would be encrypted, and its signature none of base64url. */
static bool read_token(struct bytes token, struct reading *reading)
{
    struct bytes rest = token, header, claims;
    if (!take_part(&rest, &header) || !take_part(&rest, &claims)) {
        return false;
    }
    reading->signed_input = bytes_of(token.data, token.len - rest.len - 1);
    return read_object(header, &reading->header_text, &reading->header) &&
           read_object(claims, &reading->claims_text, &reading->claims) &&
           base64url_decode(rest, &reading->signature);
}

/* Appends a member's text; false: it is there, and is none. */
static bool get_text(struct bytes object, struct bytes name, struct buf *text)
{
    struct bytes value;
    return !json_object_get(object, name, &value) ||
           (json_type_of(value) == JSON_STRING &&
            json_string_decode(value, text) == JSON_STRING_OK);
}

static bool has_member(struct bytes object, struct bytes name)
{
    struct bytes value;
    return json_object_get(object, name, &value);
}

static enum jwt_result refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return JWT_REFUSED;
}

static enum jwt_result put_off(const char **ret_why, const char *why)
{
    *ret_why = why;
    return JWT_STALE;
}

/* --- the signature ------------------------------------------------------------------------------------------------ */

static enum jwt_result check_signature(const struct jwt_rules *rules, const struct reading *reading,
                                       const char **ret_why)
{
    struct buf name = BUF_INIT, key_id = BUF_INIT;
    enum jwk_algorithm algorithm = JWK_HS256;
    bool is_read = get_text(reading->header, BYTES("alg"), &name) &&
                   get_text(reading->header, BYTES("kid"), &key_id);
    bool is_known = is_read && jwk_algorithm_of(buf_bytes(&name), &algorithm);
    enum jwt_result result = JWT_OK;
    if (!is_known) {
        result = refuse(ret_why, "the token's algorithm is none of HS256, RS256, ES256 and EdDSA");
    } else if (has_member(reading->header, BYTES("crit"))) {
        result = refuse(ret_why, "the token asks for extensions that are not known here");
    } else {
        switch (jwk_verify(rules->keys, algorithm, buf_bytes(&key_id), reading->signed_input,
                           buf_bytes(&reading->signature))) {
        case JWK_SIGNED: break;
        case JWK_NOT_SIGNED: result = refuse(ret_why, "the token's signature is wrong"); break;
        case JWK_NO_SUCH_KEY:
            result = put_off(ret_why, "the token is signed with a key that is not known here");
            break;
        case JWK_NO_SUCH_KEYS:
            result = refuse(ret_why, "there is no key here for the token's algorithm");
            break;
        }
    }
    buf_release(&name);
    buf_release(&key_id);
    return result;
}

/* --- the claims --------------------------------------------------------------------------------------------------- */

/* A NumericDate (RFC 7519, section 2), in milliseconds. False: it is none. */
static bool read_date(struct bytes value, uint64_t *ret_ms)
{
    char text[NUMBER_BYTES_MAX + 1];
    if (json_type_of(value) != JSON_NUMBER || value.len > NUMBER_BYTES_MAX) {
        return false;
    }
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    double seconds = strtod(text, NULL); /* the process never sets a locale */
    if (!(seconds >= 0 && seconds <= DATE_MAX)) {
        return false;
    }
    *ret_ms = (uint64_t)(seconds * 1000);
    return true;
}

static enum jwt_result check_dates(const struct jwt_rules *rules, struct bytes claims,
                                   uint64_t now_ms, struct jwt *jwt, const char **ret_why)
{
    struct bytes value;
    uint64_t not_before_ms = 0;
    if (!json_object_get(claims, BYTES("exp"), &value)) {
        return refuse(ret_why, "the token never expires: it needs exp");
    }
    if (!read_date(value, &jwt->expires_ms) ||
        (json_object_get(claims, BYTES("nbf"), &value) && !read_date(value, &not_before_ms)) ||
        (json_object_get(claims, BYTES("iat"), &value) && !read_date(value, &jwt->issued_ms))) {
        return refuse(ret_why, "the token's exp, nbf or iat is no date");
    }
    jwt->expires_ms += rules->leeway_ms;
    if (now_ms >= jwt->expires_ms) {
        return put_off(ret_why, "the token has expired");
    }
    return not_before_ms > now_ms + rules->leeway_ms
               ? put_off(ret_why, "the token is not valid yet")
               : JWT_OK;
}

/* Whether a member is @text, or an array that has it. */
static bool names(struct bytes value, struct bytes text)
{
    if (json_type_of(value) == JSON_STRING) {
        return json_string_equals(value, text);
    }
    if (json_type_of(value) != JSON_ARRAY) {
        return false;
    }
    struct bytes element;
    struct json_iterator elements = json_iterate(value);
    while (json_next_element(&elements, &element)) {
        if (json_type_of(element) == JSON_STRING && json_string_equals(element, text)) {
            return true;
        }
    }
    return false;
}

static enum jwt_result check_parties(const struct jwt_rules *rules, struct bytes claims,
                                     const char **ret_why)
{
    struct bytes value;
    if (rules->issuer.len > 0 &&
        !(json_object_get(claims, BYTES("iss"), &value) && json_type_of(value) == JSON_STRING &&
          json_string_equals(value, rules->issuer))) {
        return refuse(ret_why, "the token's iss is not JWT_ISSUER");
    }
    bool has_audience = json_object_get(claims, BYTES("aud"), &value);
    if (rules->audience.len == 0) {
        return has_audience ? refuse(ret_why, "the token has an aud, and JWT_AUDIENCE is not set")
                            : JWT_OK;
    }
    return has_audience && names(value, rules->audience)
               ? JWT_OK
               : refuse(ret_why, "the token's aud is not JWT_AUDIENCE");
}

static enum jwt_result check_subject(struct bytes claims, struct jwt *jwt, const char **ret_why)
{
    static const char WHY[] = "the token's sub must have 1 to 64 characters, at most 128 bytes and "
                              "no control characters";
    static_assert(CONTRACT_SENDER_CHARS_MAX == 64 && CONTRACT_SENDER_BYTES_MAX == 128,
                  "as the sentence says");
    if (!get_text(claims, BYTES("sub"), &jwt->subject) ||
        !chat_name_is_valid(buf_bytes(&jwt->subject), CONTRACT_SENDER_CHARS_MAX) ||
        jwt->subject.len > CONTRACT_SENDER_BYTES_MAX) {
        return refuse(ret_why, WHY);
    }
    if (!get_text(claims, BYTES("jti"), &jwt->id) || jwt->id.len > JWT_ID_BYTES_MAX) {
        return refuse(ret_why, "the token's jti is no text of at most 64 bytes");
    }
    return JWT_OK;
}

/* --- rooms -------------------------------------------------------------------------------------------------------- */

bool jwt_pattern_fits(struct bytes pattern, struct bytes text)
{
    /* Where the last '*' is, and how much of @text it stands for so far: should the rest not fit, it stands for more. */
    size_t at = 0, star = SIZE_MAX, taken = 0;
    for (size_t i = 0; i < text.len;) {
        if (at < pattern.len && pattern.data[at] == '*') {
            star = at++;
            taken = i;
        } else if (at < pattern.len && pattern.data[at] == text.data[i]) {
            at++;
            i++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            i = ++taken;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.data[at] == '*') {
        at++;
    }
    return at == pattern.len;
}

/* Whether an array of patterns has one for @room. */
static bool opens(struct bytes patterns, struct bytes room)
{
    if (json_type_of(patterns) != JSON_ARRAY) {
        return false;
    }
    struct bytes element;
    bool is_open = false;
    struct json_iterator elements = json_iterate(patterns);
    while (!is_open && json_next_element(&elements, &element)) {
        struct buf pattern = BUF_INIT;
        is_open = json_type_of(element) == JSON_STRING &&
                  json_string_decode(element, &pattern) == JSON_STRING_OK &&
                  jwt_pattern_fits(buf_bytes(&pattern), room);
        buf_release(&pattern);
    }
    return is_open;
}

static void find_rights(struct bytes claims, struct bytes room, struct jwt *jwt)
{
    struct bytes rooms, patterns;
    if (!json_object_get(claims, BYTES("rooms"), &rooms)) {
        jwt->may_read = jwt->may_write = true;
    } else if (json_type_of(rooms) == JSON_OBJECT) {
        jwt->may_read = json_object_get(rooms, BYTES("read"), &patterns) && opens(patterns, room);
        jwt->may_write = json_object_get(rooms, BYTES("write"), &patterns) && opens(patterns, room);
    } else {
        jwt->may_read = jwt->may_write = opens(rooms, room);
    }
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static enum jwt_result check(const struct jwt_rules *rules, const struct reading *reading,
                             uint64_t now_ms, struct jwt *jwt, const char **ret_why)
{
    /* First of all: what an unsigned text says is not worth a word. */
    enum jwt_result result = check_signature(rules, reading, ret_why);
    if (result == JWT_OK) {
        result = check_parties(rules, reading->claims, ret_why);
    }
    if (result == JWT_OK) {
        result = check_subject(reading->claims, jwt, ret_why);
    }
    if (result == JWT_OK) {
        result = check_dates(rules, reading->claims, now_ms, jwt, ret_why);
    }
    return result;
}

enum jwt_result jwt_check(const struct jwt_rules *rules, struct bytes token, struct bytes room,
                          uint64_t now_ms, struct jwt *ret_jwt, const char **ret_why)
{
    *ret_jwt = (struct jwt){0};
    if (token.len > JWT_BYTES_MAX) {
        return refuse(ret_why, "the token is longer than 8192 bytes");
    }
    struct reading reading = {0};
    enum jwt_result result = read_token(token, &reading)
                                 ? check(rules, &reading, now_ms, ret_jwt, ret_why)
                                 : refuse(ret_why, "the token is no signed JSON Web Token");
    if (result == JWT_OK) {
        find_rights(reading.claims, room, ret_jwt);
    }
    reading_release(&reading);
    return result;
}

void jwt_release(struct jwt *jwt)
{
    buf_release(&jwt->subject);
    buf_release(&jwt->id);
}
