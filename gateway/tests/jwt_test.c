/*
 * jwt_test.c - patterns of rooms, and tokens that somebody else made: RFC 7515, appendices A.1 and A.3, and RFC 8037, A.4.
 */
#include "base/tests/testing.h"
#include "edge/jwt.h"
#include "wire/base64.h"

#include <stdlib.h>

static const char RFC7515_A1_KEY[] =
    "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
    "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";
static const char RFC7515_A1_INPUT[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
static const char RFC7515_A1_SIGNATURE[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static const char RFC7515_A3_KEY[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char RFC7515_A3_INPUT[] =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
    "Ijp0cnVlfQ";
static const char RFC7515_A3_SIGNATURE[] =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static const char RFC8037_A2_KEY[] =
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
static const char RFC8037_A4_INPUT[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
static const char RFC8037_A4_SIGNATURE[] =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static enum jwk_result verify(const char *key, enum jwk_algorithm algorithm, const char *input,
                              const char *signature)
{
    struct jwk_set *set = jwk_set_new();
    CHECK(jwk_set_add_file(set, bytes_of_string(key)) == NULL);
    struct buf decoded = BUF_INIT;
    CHECK(base64url_decode(bytes_of_string(signature), &decoded));
    enum jwk_result result =
        jwk_verify(set, algorithm, (struct bytes){0}, bytes_of_string(input), buf_bytes(&decoded));
    buf_release(&decoded);
    jwk_set_free(set);
    return result;
}

TEST(what_the_standards_have_signed_is_signed)
{
    CHECK(verify(RFC7515_A1_KEY, JWK_HS256, RFC7515_A1_INPUT, RFC7515_A1_SIGNATURE) == JWK_SIGNED);
    CHECK(verify(RFC7515_A3_KEY, JWK_ES256, RFC7515_A3_INPUT, RFC7515_A3_SIGNATURE) == JWK_SIGNED);
    CHECK(verify(RFC8037_A2_KEY, JWK_EDDSA, RFC8037_A4_INPUT, RFC8037_A4_SIGNATURE) == JWK_SIGNED);
}

TEST(a_key_is_for_one_algorithm)
{
    CHECK(verify(RFC7515_A3_KEY, JWK_HS256, RFC7515_A3_INPUT, RFC7515_A3_SIGNATURE) ==
          JWK_NO_SUCH_KEYS);
    CHECK(verify(RFC7515_A1_KEY, JWK_RS256, RFC7515_A1_INPUT, RFC7515_A1_SIGNATURE) ==
          JWK_NO_SUCH_KEYS);
}

TEST(another_text_and_another_signature_are_not_signed)
{
    CHECK(verify(RFC7515_A1_KEY, JWK_HS256, RFC7515_A3_INPUT, RFC7515_A1_SIGNATURE) ==
          JWK_NOT_SIGNED);
    CHECK(verify(RFC7515_A3_KEY, JWK_ES256, RFC7515_A3_INPUT, RFC8037_A4_SIGNATURE) ==
          JWK_NOT_SIGNED);
    CHECK(verify(RFC7515_A3_KEY, JWK_ES256, RFC7515_A3_INPUT, "AAAA") == JWK_NOT_SIGNED);
    CHECK(verify(RFC8037_A2_KEY, JWK_EDDSA, RFC8037_A4_INPUT, "") == JWK_NOT_SIGNED);
}

static bool fits(const char *pattern, const char *text)
{
    return jwt_pattern_fits(bytes_of_string(pattern), bytes_of_string(text));
}

TEST(a_star_stands_for_any_characters)
{
    CHECK(fits("*", "") && fits("*", "anything") && fits("**", "x"));
    CHECK(fits("team-*", "team-") && fits("team-*", "team-7") && !fits("team-*", "team"));
    CHECK(fits("*-7", "team-7") && fits("*-7", "a-7-7") && !fits("*-7", "team-77"));
    CHECK(fits("a*b*c", "abc") && fits("a*b*c", "a1b2b3c") && !fits("a*b*c", "acb"));
    CHECK(fits("lobby", "lobby") && !fits("lobby", "lobbys") && !fits("lobby", "Lobby"));
    CHECK(!fits("", "x") && fits("", ""));
}

TEST_MAIN(TEST_OF(what_the_standards_have_signed_is_signed), TEST_OF(a_key_is_for_one_algorithm),
          TEST_OF(another_text_and_another_signature_are_not_signed),
          TEST_OF(a_star_stands_for_any_characters))
