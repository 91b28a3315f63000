/*
 * config.h - settings from the environment, described by one table.
 *
 * Each program has a config.def of SETTING_* lines. From it come the struct (one field a setting), the parser, --help
 * and docs/configuration.md. A value that does not parse or is out of range ends the program's start with one sentence
 * that names the setting and says what to write. A variable that is set to nothing counts as not set.
 *
 *     SETTING_STRING(nats_url, "NATS_URL", "nats://127.0.0.1:4222", "Where NATS is; several, separated by commas.")
 *     SETTING_INT(port, "PORT", 3000, 0, 65535, "Port of the page and of Socket.IO.")
 *     SETTING_DURATION(ping_interval_ms, "PING_INTERVAL", 25000, 100, 3600000, "…")      "25s", "250ms", "2m", "1h"
 *     SETTING_SIZE(content_bytes_max, "CONTENT_BYTES_MAX", 16384, 1, 65536, "…")         "16KiB", "1MiB" or bytes
 *     SETTING_BOOL(log_messages, "LOG_MESSAGES", false, "…")                             "on", "off"
 *     SETTING_CHOICE(log_format, "LOG_FORMAT", "logfmt", "logfmt|json|console", "…")     the index of the choice
 *     SETTING_SECRET(session_keys, "SESSION_KEYS", "", "…")                              as STRING; never shown;
 *                                                                                        SESSION_KEYS_FILE names a file
 *
 * Fields: STRING and SECRET char * (owned by the struct), INT, DURATION and SIZE int64_t, BOOL bool, CHOICE int.
 */
#ifndef PARLEY_CONFIG_H
#define PARLEY_CONFIG_H

#include "bytes.h"

enum setting_type {
    SETTING_TYPE_STRING,
    SETTING_TYPE_SECRET,
    SETTING_TYPE_INT,
    SETTING_TYPE_DURATION,
    SETTING_TYPE_SIZE,
    SETTING_TYPE_BOOL,
    SETTING_TYPE_CHOICE,
};

struct setting {
    enum setting_type type;
    const char *variable;     /* the environment variable */
    const char *help;         /* one or two sentences */
    size_t offset;            /* of the field in the program's struct */
    const char *text_default; /* STRING, SECRET, CHOICE */
    const char *choices;      /* CHOICE: separated by '|' */
    int64_t number_default;   /* INT, DURATION, SIZE, BOOL */
    int64_t min, max;         /* INT, DURATION (ms), SIZE (bytes) */
};

/*
 * Fills @config (a zeroed struct of the program's) from the environment. Returns false, with a sentence for the user in
 * @ret_error (owned by the caller: buf_release), at the first wrong value; @config is then half filled: release it.
 */
MUST_USE bool config_load(const struct setting *settings, size_t count, void *config,
                          struct buf *ret_error);

/* Frees the strings of @config. */
void config_release(const struct setting *settings, size_t count, void *config);

/* Text of --help, and the table of docs/configuration.md. Appended to @out. */
void config_write_help(const struct setting *settings, size_t count, struct buf *out);
void config_write_markdown(const struct setting *settings, size_t count, struct buf *out);

/*
 * What both programs do with their arguments: none starts; "--help", "--version", "--config-markdown",
 * "--metrics-markdown" print and exit 0; anything else is told on standard error, exit 2. @write_metrics writes what the
 * program's /metrics tells, of a program that has done nothing yet. (--healthcheck and --readycheck need the settings:
 * health.h.)
 */
void config_handle_arguments(int argc, char **argv, const char *program, const char *summary,
                             const struct setting *settings, size_t count,
                             void (*write_metrics)(struct buf *out));

/*
 * A program's config.h:   struct gateway_config {
 *                         #include "base/config_fields.h"
 *                         #include "config.def"
 *                         };
 * and its config.c:       #define CONFIG_STRUCT struct gateway_config
 *                         const struct setting gateway_settings[] = {
 *                         #include "base/config_table.h"
 *                         #include "config.def"
 *                         };
 */
#endif
