#include "access_log.h"

#include "base/bytes.h"
#include "wire/json.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct access_log {
    h2o_logger_t super;
    enum access_log_format format;
    bool is_coloured;
};

/* What the formats are made of; the texts borrow from the request. */
struct entry {
    char remote[NI_MAXHOST];
    struct bytes user, method, url, referrer, agent;
    unsigned http_major, http_minor, status;
    char length[24]; /* of the body, or "-" */
    double ms;
    struct timeval now;
};

static struct bytes bytes_of_iovec(h2o_iovec_t iovec)
{
    return bytes_of(iovec.base, iovec.len);
}

static struct bytes header(const h2o_req_t *req, const h2o_token_t *token)
{
    ssize_t at = h2o_find_header(&req->headers, token, SIZE_MAX);
    return at == -1 ? (struct bytes){0} : bytes_of_iovec(req->headers.entries[at].value);
}

/* The user of "Authorization: Basic …", decoded into the request's memory; empty where there is none. */
static struct bytes basic_user(h2o_req_t *req)
{
    struct bytes value = header(req, H2O_TOKEN_AUTHORIZATION);
    if (value.len < 6 || strncasecmp(value.data, "Basic ", 6) != 0) {
        return (struct bytes){0};
    }
    int len = (int)value.len - 6;
    unsigned char *decoded = h2o_mem_alloc_pool(&req->pool, (size_t)len + 4);
    int decoded_len = EVP_DecodeBlock(decoded, (const unsigned char *)value.data + 6, len);
    const char *colon = decoded_len <= 0 ? NULL : memchr(decoded, ':', (size_t)decoded_len);
    return colon == NULL ? (struct bytes){0}
                         : bytes_of((const char *)decoded, (size_t)(colon - (const char *)decoded));
}

static void read_entry(h2o_req_t *req, struct entry *entry)
{
    *entry = (struct entry){
        .user = basic_user(req),
        .method = bytes_of_iovec(req->input.method),
        .url = bytes_of_iovec(req->input.path),
        .referrer = header(req, H2O_TOKEN_REFERER),
        .agent = header(req, H2O_TOKEN_USER_AGENT),
        .http_major = (unsigned)req->version >> 8,
        .http_minor = (unsigned)req->version & 0xff,
        .status = (unsigned)req->res.status,
    };
    struct sockaddr_storage address;
    socklen_t len = req->conn->callbacks->get_peername(req->conn, (void *)&address);
    size_t remote_len =
        len > 0 ? h2o_socket_getnumerichost((void *)&address, len, entry->remote) : SIZE_MAX;
    if (remote_len == SIZE_MAX) {
        strcpy(entry->remote, "-");
    }
    if (req->res.content_length != SIZE_MAX) {
        snprintf(entry->length, sizeof(entry->length), "%zu", req->res.content_length);
    } else {
        strcpy(entry->length, "-");
    }
    gettimeofday(&entry->now, NULL);
    struct timeval begin = req->timestamps.request_begin_at;
    double ms = (double)(entry->now.tv_sec - begin.tv_sec) * 1e3 +
                (double)(entry->now.tv_usec - begin.tv_usec) / 1e3;
    entry->ms = ms < 0 ? 0 : ms; /* the clock may have been set back */
}

static void append_field(struct buf *line, struct bytes text)
{
    if (text.len == 0) {
        buf_append_char(line, '-');
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            buf_append_format(line, "\\x%02X", c);
        } else {
            buf_append_char(line, (char)c);
        }
    }
}

static void append_date(struct buf *line, const struct entry *entry)
{
    struct tm tm;
    char text[64];
    gmtime_r(&entry->now.tv_sec, &tm);
    strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    buf_append(line, text, strlen(text));
}

static void append_request_line(struct buf *line, const struct entry *entry)
{
    append_field(line, entry->method);
    buf_append_char(line, ' ');
    append_field(line, entry->url);
    buf_append_format(line, " HTTP/%u.%u", entry->http_major, entry->http_minor);
}

/* :remote-addr - :remote-user [:date[clf]] ":method :url HTTP/:http-version" :status :res[content-length] */
static void append_common(struct buf *line, const struct entry *entry)
{
    buf_append_format(line, "%s - ", entry->remote);
    append_field(line, entry->user);
    buf_append_bytes(line, BYTES(" ["));
    append_date(line, entry);
    buf_append_bytes(line, BYTES("] \""));
    append_request_line(line, entry);
    buf_append_format(line, "\" %u %s", entry->status, entry->length);
}

static void append_combined(struct buf *line, const struct entry *entry)
{
    append_common(line, entry);
    buf_append_bytes(line, BYTES(" \""));
    append_field(line, entry->referrer);
    buf_append_bytes(line, BYTES("\" \""));
    append_field(line, entry->agent);
    buf_append_char(line, '"');
}

/* :method :url :status :response-time ms - :res[content-length], the status coloured by its class */
static void append_dev(struct buf *line, const struct entry *entry, bool is_coloured)
{
    unsigned colour = entry->status >= 500   ? 31
                      : entry->status >= 400 ? 33
                      : entry->status >= 300 ? 36
                      : entry->status >= 200 ? 32
                                             : 0;
    buf_append_bytes(line, is_coloured ? BYTES("\x1b[0m") : BYTES(""));
    append_field(line, entry->method);
    buf_append_char(line, ' ');
    append_field(line, entry->url);
    if (is_coloured) {
        buf_append_format(line, " \x1b[%um%u\x1b[0m", colour, entry->status);
    } else {
        buf_append_format(line, " %u", entry->status);
    }
    buf_append_format(line, " %.3f ms - %s", entry->ms, entry->length);
    buf_append_bytes(line, is_coloured ? BYTES("\x1b[0m") : BYTES(""));
}

/* :remote-addr :remote-user :method :url HTTP/:http-version :status :res[content-length] - :response-time ms */
static void append_short(struct buf *line, const struct entry *entry)
{
    buf_append_format(line, "%s ", entry->remote);
    append_field(line, entry->user);
    buf_append_char(line, ' ');
    append_request_line(line, entry);
    buf_append_format(line, " %u %s - %.3f ms", entry->status, entry->length, entry->ms);
}

/* :method :url :status :res[content-length] - :response-time ms */
static void append_tiny(struct buf *line, const struct entry *entry)
{
    append_field(line, entry->method);
    buf_append_char(line, ' ');
    append_field(line, entry->url);
    buf_append_format(line, " %u %s - %.3f ms", entry->status, entry->length, entry->ms);
}

/* As JSON text must be UTF-8 and a header need not be, other bytes are escaped as in the other formats. */
static void append_json_member(struct buf *line, const char *key, struct bytes text)
{
    buf_append_format(line, ",\"%s\":", key);
    if (text.len == 0) {
        buf_append_bytes(line, BYTES("null"));
        return;
    }
    struct buf plain = BUF_INIT;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c >= 0x7f) {
            buf_append_format(&plain, "\\x%02X", c);
        } else {
            buf_append_char(&plain, (char)c);
        }
    }
    json_write_string(line, buf_bytes(&plain));
    buf_release(&plain);
}

static void append_json(struct buf *line, const struct entry *entry)
{
    struct tm tm;
    char time[32];
    gmtime_r(&entry->now.tv_sec, &tm);
    strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_append_format(
        line,
        "{\"time\":\"%s.%03ldZ\",\"status\":%u,\"ms\":%.3f,\"bytes\":%s,\"httpVersion\":\"%u.%u\"",
        time, (long)entry->now.tv_usec / 1000, entry->status, entry->ms,
        entry->length[0] == '-' ? "null" : entry->length, entry->http_major, entry->http_minor);
    append_json_member(line, "remote", bytes_of_string(entry->remote));
    append_json_member(line, "user", entry->user);
    append_json_member(line, "method", entry->method);
    append_json_member(line, "url", entry->url);
    append_json_member(line, "referrer", entry->referrer);
    append_json_member(line, "userAgent", entry->agent);
    buf_append_char(line, '}');
}

static void log_access(h2o_logger_t *super, h2o_req_t *req)
{
    struct access_log *log = (struct access_log *)super;
    struct entry entry;
    struct buf line = BUF_INIT;
    read_entry(req, &entry);
    switch (log->format) {
    case ACCESS_LOG_OFF: return;
    case ACCESS_LOG_COMBINED: append_combined(&line, &entry); break;
    case ACCESS_LOG_COMMON: append_common(&line, &entry); break;
    case ACCESS_LOG_DEV: append_dev(&line, &entry, log->is_coloured); break;
    case ACCESS_LOG_SHORT: append_short(&line, &entry); break;
    case ACCESS_LOG_TINY: append_tiny(&line, &entry); break;
    case ACCESS_LOG_JSON: append_json(&line, &entry); break;
    }
    buf_append_char(&line, '\n');
    ssize_t written =
        write(STDOUT_FILENO, line.data, line.len); /* one call, so that lines never mix */
    (void)written; /* nobody reads the log: not this request's fault */
    buf_release(&line);
}

void access_log_register(h2o_pathconf_t *path, enum access_log_format format)
{
    if (format == ACCESS_LOG_OFF) {
        return;
    }
    struct access_log *log = (struct access_log *)h2o_create_logger(path, sizeof(*log));
    log->super.log_access = log_access;
    log->format = format;
    log->is_coloured = isatty(STDOUT_FILENO);
}
