/*
 * json_opinion.c - built with HAVE_JANSSON where libjansson is installed.
 */
#include "json_opinion.h"

#ifdef HAVE_JANSSON
#include <jansson.h>
#include <string.h>

/* libjansson refuses lone surrogates, U+0000 in keys, and numbers that its own types cannot hold. */
static int is_its_own_limit(const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow ||
           json_error_code(error) == json_error_null_byte_in_key ||
           strstr(error->text, "invalid Unicode") != NULL;
}

enum json_opinion json_opinion_of(const char *text, size_t len)
{
    if (memchr(text, '\0', len) != NULL) {
        return JSON_OPINION_NONE; /* it takes a NUL behind a value for the end of the text */
    }
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        return is_its_own_limit(&error) ? JSON_OPINION_NONE : JSON_OPINION_NO;
    }
    json_decref(json);
    return JSON_OPINION_YES;
}
#else
enum json_opinion json_opinion_of(const char *text, size_t len)
{
    (void)text;
    (void)len;
    return JSON_OPINION_NONE;
}
#endif
