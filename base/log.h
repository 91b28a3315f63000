/*
 * log.h - one line an event: logfmt or JSON on standard error, or a line for people (console).
 *
 * An event has a stable snake_case name and fields. Values are escaped, so that no input can forge a line. Each place
 * that logs may write LOG_SITE_LINES_MAX lines a second; what is beyond that is counted and the count is told with the
 * next line that goes out ("suppressed"). A message's text is never logged, but where the user asked for it (LOG_MESSAGES).
 *
 *     LOG(LOG_WARN, "nats_disconnected", F_STR("url", url), F_INT("attempt", n));
 *
 * Thread  Any. A line is one write(2).
 */
#ifndef PARLEY_LOG_H
#define PARLEY_LOG_H

#include "bytes.h"
#include <stdatomic.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON, LOG_CONSOLE };

enum {
    LOG_SITE_LINES_MAX = 200,
    LOG_VALUE_BYTES_MAX = 2048, /* the rest of a longer value is cut, with an ellipsis */
};

struct log_field {
    const char *key;
    enum { LOG_FIELD_BYTES, LOG_FIELD_INT, LOG_FIELD_BOOL } type;
    union {
        struct bytes bytes;
        int64_t integer;
        bool boolean;
    } value;
};

#define F_BYTES(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_BYTES, .value.bytes = (v)})
#define F_STR(k, v)   F_BYTES(k, bytes_of_string(v))
#define F_INT(k, v) \
    ((struct log_field){.key = (k), .type = LOG_FIELD_INT, .value.integer = (int64_t)(v)})
#define F_BOOL(k, v) ((struct log_field){.key = (k), .type = LOG_FIELD_BOOL, .value.boolean = (v)})

/* What one place in the code has logged lately; LOG() makes a static one. */
struct log_site {
    _Atomic uint64_t second;
    _Atomic uint32_t lines;
    _Atomic uint32_t suppressed;
};

/* Says who logs (field "service"), in what format, and from which level on. Before: logfmt, LOG_INFO. Call once. */
void log_open(const char *service, enum log_format format, enum log_level level);

bool log_is_on(enum log_level level);

#define LOG(level, event, ...)                                                                  \
    do {                                                                                        \
        static struct log_site log_site_;                                                       \
        if (log_is_on(level)) {                                                                 \
            struct log_field log_fields_[] = {__VA_ARGS__ __VA_OPT__(, )(struct log_field){0}}; \
            log_write(&log_site_, level, event, log_fields_, COUNT_OF(log_fields_) - 1);        \
        }                                                                                       \
    } while (0)

/* What LOG() calls. Borrows everything. */
void log_write(struct log_site *site, enum log_level level, const char *event,
               const struct log_field *fields, size_t field_count);

#endif
