/*
 * json_string.c - JSON strings and numbers to values of ours, and strings back.
 */
#include "json.h"
#include "utf8.h"

/* The 16-bit unit that the four hexadecimal digits at @digits name. */
static uint32_t read_unit(const char *digits)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        char c = digits[i];
        unit = unit << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

/* Reads the \uXXXX at *@at, two of them where they are a surrogate pair, and appends the character.
 */
static enum json_string_result decode_unicode(const char **at, const char *end, struct buf *out)
{
    uint32_t code_point = read_unit(*at + 2);
    *at += 6;
    if (code_point == 0) {
        return JSON_STRING_NUL;
    }
    if (code_point >= 0xD800 && code_point <= 0xDFFF) {
        bool is_high = code_point <= 0xDBFF;
        if (!is_high || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') {
            return JSON_STRING_LONE_SURROGATE;
        }
        uint32_t low = read_unit(*at + 2);
        if (low < 0xDC00 || low > 0xDFFF) {
            return JSON_STRING_LONE_SURROGATE;
        }
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
        *at += 6;
    }
    char encoded[4];
    buf_append(out, encoded, utf8_encode(code_point, encoded));
    return JSON_STRING_OK;
}

/* What the letter behind a backslash stands for. */
static char escaped_char(char letter)
{
    switch (letter) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return letter;
    }
}

static struct bytes without_quotes(struct bytes string)
{
    ASSERT(string.len >= 2 && string.data[0] == '"');
    return bytes_of(string.data + 1, string.len - 2);
}

enum json_string_result json_string_decode(struct bytes string, struct buf *out)
{
    struct bytes text = without_quotes(string);
    const char *at = text.data;
    const char *end = text.data + text.len;
    size_t len_before = out->len;
    buf_reserve(out, text.len); /* escapes are never shorter than what they stand for */
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *plain_end = escape != NULL ? escape : end;
        buf_append(out, at, (size_t)(plain_end - at));
        at = plain_end;
        if (escape == NULL) {
            break;
        }
        if (escape[1] != 'u') {
            buf_append_char(out, escaped_char(escape[1]));
            at += 2;
            continue;
        }
        enum json_string_result result = decode_unicode(&at, end, out);
        if (result != JSON_STRING_OK) {
            out->len = len_before;
            return result;
        }
    }
    return JSON_STRING_OK;
}

bool json_string_equals(struct bytes string, struct bytes text)
{
    struct bytes raw = without_quotes(string);
    if (raw.len < text.len) {
        return false;
    }
    if (raw.len == 0 || memchr(raw.data, '\\', raw.len) == NULL) {
        return bytes_equal(raw, text);
    }
    /* An escape is at most six times as long as its character: do not decode what cannot be equal.
     */
    if (raw.len / 6 > text.len) {
        return false;
    }
    struct buf decoded = BUF_INIT;
    bool is_equal = json_string_decode(string, &decoded) == JSON_STRING_OK &&
                    bytes_equal(buf_bytes(&decoded), text);
    buf_release(&decoded);
    return is_equal;
}

bool json_number_to_u64(struct bytes number, uint64_t *ret_value)
{
    return bytes_to_u64(number, ret_value);
}

/* Appends what JSON.stringify makes of @c, which is a quote, a backslash or below U+0020. */
static void write_escape(struct buf *out, char c)
{
    static const char LETTERS[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    buf_append_char(out, '\\');
    if (c == '"' || c == '\\') {
        buf_append_char(out, c);
    } else if (LETTERS[(unsigned char)c] != '\0') {
        buf_append_char(out, LETTERS[(unsigned char)c]);
    } else {
        buf_append_format(out, "u%04x", (unsigned char)c);
    }
}

void json_write_string(struct buf *out, struct bytes text)
{
    buf_reserve(out, text.len + 2);
    buf_append_char(out, '"');
    size_t plain = 0; /* where what needs no escape begins */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if ((unsigned char)c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        buf_append(out, text.data + plain, i - plain);
        write_escape(out, c);
        plain = i + 1;
    }
    buf_append_bytes(out, bytes_skip(text, plain));
    buf_append_char(out, '"');
}
