/*
 * log.c - events as logfmt, JSON or a line for people, each one write(2) to standard error.
 *
 * Text of others is shown as it is where it is printable UTF-8. All else is escaped: control
 * characters (a terminal obeys them), line separators and direction marks (they forge lines), and
 * bytes that are not UTF-8.
 */
#include "log.h"

#include "clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *service_name = "parley";
static enum log_format line_format = LOG_LOGFMT;
static enum log_level level_min = LOG_INFO;
static bool with_colours;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* NO_COLOR and CLICOLOR_FORCE are what terminal programs have agreed on. */
static bool wants_colours(void)
{
    const char *never = getenv("NO_COLOR");
    const char *always = getenv("CLICOLOR_FORCE");
    if (never != NULL && never[0] != '\0') {
        return false;
    }
    return (always != NULL && always[0] != '\0' && strcmp(always, "0") != 0) ||
           isatty(STDERR_FILENO);
}

void log_open(const char *service, enum log_format format, enum log_level level)
{
    service_name = service;
    line_format = format;
    level_min = level;
    with_colours = format == LOG_CONSOLE && wants_colours();
}

bool log_is_on(enum log_level level)
{
    return level >= level_min;
}

/*
 * Counts a line of @site. Returns false when the site has had its lines of this second; else writes
 * how many were suppressed since the last line that went out. Threads that cross a second's edge
 * together may lose count by a few.
 */
static bool admit(struct log_site *site, uint32_t *ret_suppressed)
{
    uint64_t second = clock_monotonic_ms() / 1000 + 1; /* a new site's 0 is no second */
    uint64_t last = atomic_load_explicit(&site->second, memory_order_relaxed);
    if (last != second && atomic_compare_exchange_strong(&site->second, &last, second)) {
        atomic_store_explicit(&site->lines, 0, memory_order_relaxed);
    }
    if (atomic_fetch_add_explicit(&site->lines, 1, memory_order_relaxed) >= LOG_SITE_LINES_MAX) {
        atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
        return false;
    }
    *ret_suppressed = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
    return true;
}

/*
 * Decodes the first character of @text, not empty. Returns its length, or 0 when it is not UTF-8
 * (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF).
 */
static size_t decode_utf8(struct bytes text, uint32_t *ret_char)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text.data[0];
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len == 0 || len > text.len || first > 0xf4) {
        return 0;
    }
    uint32_t c = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char next = (unsigned char)text.data[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (next & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *ret_char = c;
    return len;
}

static bool is_shown_as_it_is(uint32_t c)
{
    bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    bool is_line_separator = c == 0x2028 || c == 0x2029;
    bool is_direction_mark = c == 0x061c || c == 0x200e || c == 0x200f ||
                             (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    return !is_control && !is_line_separator && !is_direction_mark && c != '"' && c != '\\';
}

static void append_escape(struct buf *out, uint32_t c)
{
    switch (c) {
    case '"': buf_append_bytes(out, BYTES("\\\"")); break;
    case '\\': buf_append_bytes(out, BYTES("\\\\")); break;
    case '\n': buf_append_bytes(out, BYTES("\\n")); break;
    case '\r': buf_append_bytes(out, BYTES("\\r")); break;
    case '\t': buf_append_bytes(out, BYTES("\\t")); break;
    default: buf_append_format(out, "\\u%04x", (unsigned)c); break; /* none is past U+FFFF */
    }
}

/* Appends @text in double quotes. What is past LOG_VALUE_BYTES_MAX is cut, with an ellipsis. */
static void append_quoted(struct buf *out, struct bytes text)
{
    bool is_cut = text.len > LOG_VALUE_BYTES_MAX;
    struct bytes rest = bytes_of(text.data, MIN_OF(text.len, (size_t)LOG_VALUE_BYTES_MAX));
    buf_append_char(out, '"');
    while (rest.len > 0) {
        uint32_t c;
        size_t len = decode_utf8(rest, &c);
        if (len == 0) {
            len = 1;
            if (line_format == LOG_JSON) {
                buf_append_bytes(out, BYTES("\\ufffd")); /* JSON has no way to write a byte */
            } else {
                buf_append_format(out, "\\x%02x", (unsigned)(unsigned char)rest.data[0]);
            }
        } else if (is_shown_as_it_is(c)) {
            buf_append(out, rest.data, len);
        } else {
            append_escape(out, c);
        }
        rest = bytes_skip(rest, len);
    }
    buf_append_bytes(out, is_cut ? BYTES("…\"") : BYTES("\""));
}

static bool needs_quotes(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return true;
        }
    }
    return text.len == 0 || text.len > LOG_VALUE_BYTES_MAX;
}

static void append_value(struct buf *out, const struct log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_INT: buf_append_format(out, "%lld", (long long)field->value.integer); break;
    case LOG_FIELD_BOOL:
        buf_append_bytes(out, field->value.boolean ? BYTES("true") : BYTES("false"));
        break;
    case LOG_FIELD_BYTES:
        if (line_format == LOG_JSON || needs_quotes(field->value.bytes)) {
            append_quoted(out, field->value.bytes);
        } else {
            buf_append_bytes(out, field->value.bytes);
        }
        break;
    }
}

static void write_logfmt_line(struct buf *line, enum log_level level, const char *event,
                              const char *time, const struct log_field *fields, size_t count)
{
    buf_append_format(line, "event=%s level=%s service=%s time=%s", event, level_names[level],
                      service_name, time);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(line, " %s=", fields[i].key);
        append_value(line, &fields[i]);
    }
}

static void write_json_line(struct buf *line, enum log_level level, const char *event,
                            const char *time, const struct log_field *fields, size_t count)
{
    buf_append_format(line, "{\"event\":\"%s\",\"level\":\"%s\",\"service\":\"%s\",\"time\":\"%s\"",
                      event, level_names[level], service_name, time);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(line, ",\"%s\":", fields[i].key);
        append_value(line, &fields[i]);
    }
    buf_append_char(line, '}');
}

/* "18:02:07.123  gateway  connected            user=ada room=lobby", the level as a colour, or as a
 * word if it matters. */
static void write_console_line(struct buf *line, enum log_level level, const char *event,
                               const char *time, const struct log_field *fields, size_t count)
{
    static const char *const colours[] = {"\033[2m", "\033[36m", "\033[33m", "\033[31m"};
    const char *dim = with_colours ? "\033[2m" : "";
    const char *colour = with_colours ? colours[level] : "";
    const char *plain = with_colours ? "\033[0m" : "";
    const char *word = level >= LOG_WARN ? level_names[level] : "";
    buf_append_format(line, "%s%s  %s%s  %s%s%s%-*s%s", dim, time, service_name, plain, colour,
                      word, word[0] == '\0' ? "" : ": ", count == 0 ? 0 : 20, event, plain);
    for (size_t i = 0; i < count; i++) {
        buf_append_format(line, " %s%s=%s", dim, fields[i].key, plain);
        append_value(line, &fields[i]);
    }
}

/* One write(2) a line, which keeps lines of several threads and processes whole; the rest only when
 * it was cut short. */
static void write_out(const struct buf *line)
{
    struct bytes rest = buf_bytes(line);
    while (rest.len > 0) {
        ssize_t written = write(STDERR_FILENO, rest.data, rest.len);
        if (written > 0) {
            rest = bytes_skip(rest, (size_t)written);
        } else if (written == 0 || errno != EINTR) {
            return; /* nobody reads, and there is nobody to tell */
        }
    }
}

void log_write(struct log_site *site, enum log_level level, const char *event,
               const struct log_field *fields, size_t field_count)
{
    uint32_t suppressed;
    if (!admit(site, &suppressed)) {
        return;
    }
    uint64_t now_ms = clock_wall_ms();
    time_t now_s = (time_t)(now_ms / 1000);
    bool is_console = line_format == LOG_CONSOLE;
    struct tm parts;
    char seconds[32], time_text[40];
    (void)(is_console ? localtime_r(&now_s, &parts) : gmtime_r(&now_s, &parts));
    strftime(seconds, sizeof(seconds), is_console ? "%H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(time_text, sizeof(time_text), "%s.%03u%s", seconds, (unsigned)(now_ms % 1000),
             is_console ? "" : "Z");

    struct buf line = BUF_INIT;
    switch (line_format) {
    case LOG_LOGFMT: write_logfmt_line(&line, level, event, time_text, fields, field_count); break;
    case LOG_JSON: write_json_line(&line, level, event, time_text, fields, field_count); break;
    case LOG_CONSOLE:
        write_console_line(&line, level, event, time_text, fields, field_count);
        break;
    }
    if (suppressed > 0) {
        bool is_json = line_format == LOG_JSON;
        if (is_json) {
            line.len--; /* the brace */
        }
        buf_append_format(&line, is_json ? ",\"suppressed\":%u}" : " suppressed=%u", suppressed);
    }
    buf_append_char(&line, '\n');
    write_out(&line);
    buf_release(&line);
}
