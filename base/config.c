/* config.c - reads settings from the environment, by the table that config.h describes. */
#include "config.h"

#include "metrics.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECRET_FILE_BYTES_MAX = 64 * 1024 };

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Largest first: that is how defaults are written. */
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit size_units[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}};

static void *field_of(void *config, const struct setting *setting)
{
    return (char *)config + setting->offset;
}

/* Writes @value with the largest unit that divides it, as a user would: 25s, 16KiB. */
static void append_with_unit(struct buf *out, int64_t value, const struct unit *units, size_t count)
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].factor != 0)) {
        i++;
    }
    buf_append_format(out, "%lld%s", (long long)(value / units[i].factor), units[i].suffix);
}

static void append_number(struct buf *out, const struct setting *setting, int64_t value)
{
    if (setting->type == SETTING_TYPE_DURATION) {
        append_with_unit(out, value, duration_units, COUNT_OF(duration_units));
    } else if (setting->type == SETTING_TYPE_SIZE) {
        append_with_unit(out, value, size_units, COUNT_OF(size_units));
    } else {
        buf_append_format(out, "%lld", (long long)value);
    }
}

/* "a, b or c" from "a|b|c". */
static void append_choices(struct buf *out, const char *choices)
{
    for (const char *c = choices; *c != '\0'; c++) {
        if (*c != '|') {
            buf_append_char(out, *c);
        } else {
            buf_append_bytes(out, strchr(c + 1, '|') != NULL ? BYTES(", ") : BYTES(" or "));
        }
    }
}

/* What a user may write, as the end of a sentence; nothing for texts. */
static void append_expectation(struct buf *out, const struct setting *setting)
{
    switch (setting->type) {
    case SETTING_TYPE_STRING:
    case SETTING_TYPE_SECRET: return;
    case SETTING_TYPE_BOOL: buf_append_bytes(out, BYTES("on or off")); return;
    case SETTING_TYPE_CHOICE: append_choices(out, setting->choices); return;
    case SETTING_TYPE_INT: buf_append_bytes(out, BYTES("a whole number")); break;
    case SETTING_TYPE_DURATION: buf_append_bytes(out, BYTES("a time in ms, s, m or h")); break;
    case SETTING_TYPE_SIZE: buf_append_bytes(out, BYTES("bytes, KiB, MiB or GiB")); break;
    }
    buf_append_bytes(out, BYTES(" from "));
    append_number(out, setting, setting->min);
    buf_append_bytes(out, BYTES(" to "));
    append_number(out, setting, setting->max);
}

static void append_default(struct buf *out, const struct setting *setting)
{
    switch (setting->type) {
    case SETTING_TYPE_STRING:
    case SETTING_TYPE_SECRET:
    case SETTING_TYPE_CHOICE: buf_append_bytes(out, bytes_of_string(setting->text_default)); break;
    case SETTING_TYPE_BOOL:
        buf_append_bytes(out, setting->number_default ? BYTES("on") : BYTES("off"));
        break;
    case SETTING_TYPE_INT:
    case SETTING_TYPE_DURATION:
    case SETTING_TYPE_SIZE: append_number(out, setting, setting->number_default); break;
    }
}

static bool complain(struct buf *error, const struct setting *setting, const char *text)
{
    buf_append_format(error, "%s is \"%s\", but must be ", setting->variable, text);
    append_expectation(error, setting);
    buf_append_char(error, '.');
    return false;
}

/* Reads "25s": a whole number and one of @units. */
static bool parse_with_unit(const char *text, const struct unit *units, size_t count,
                            int64_t *ret_value)
{
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < count; i++) {
        uint64_t number;
        int64_t value;
        if (strcmp(text + digits, units[i].suffix) == 0) {
            if (!bytes_to_u64(bytes_of(text, digits), &number) ||
                __builtin_mul_overflow(number, units[i].factor, &value)) {
                return false;
            }
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool parse_int(const char *text, int64_t *ret_value)
{
    static const struct unit none[] = {{"", 1}};
    bool is_negative = text[0] == '-';
    if (!parse_with_unit(text + is_negative, none, 1, ret_value)) {
        return false;
    }
    *ret_value = is_negative ? -*ret_value : *ret_value;
    return true;
}

static bool load_number(const struct setting *setting, const char *text, int64_t *ret_value,
                        struct buf *error)
{
    int64_t value;
    bool is_read;
    if (setting->type == SETTING_TYPE_DURATION) {
        is_read = parse_with_unit(text, duration_units, COUNT_OF(duration_units), &value);
        if (!is_read && parse_int(text, &value)) {
            buf_append_format(error,
                              "%s is \"%s\", a number without a unit: write for example "
                              "\"8s\" or \"8000ms\".",
                              setting->variable, text);
            return false;
        }
    } else if (setting->type == SETTING_TYPE_SIZE) {
        is_read = parse_with_unit(text, size_units, COUNT_OF(size_units), &value);
    } else {
        is_read = parse_int(text, &value);
    }
    if (!is_read || value < setting->min || value > setting->max) {
        return complain(error, setting, text);
    }
    *ret_value = value;
    return true;
}

static bool load_bool(const struct setting *setting, const char *text, bool *ret_value,
                      struct buf *error)
{
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0) {
        return complain(error, setting, text);
    }
    *ret_value = strcmp(text, "on") == 0;
    return true;
}

static bool load_choice(const struct setting *setting, const char *text, int *ret_value,
                        struct buf *error)
{
    const char *choice = setting->choices;
    for (int i = 0;; i++) {
        size_t len = strcspn(choice, "|");
        if (bytes_equal(bytes_of(choice, len), bytes_of_string(text))) {
            *ret_value = i;
            return true;
        }
        if (choice[len] == '\0') {
            return complain(error, setting, text);
        }
        choice += len + 1;
    }
}

/* Reads the whole of @path, without the newline that editors put at the end. Returns owned, or NULL
 * with errno set. */
static char *read_secret_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    struct buf content = BUF_INIT;
    ssize_t got;
    do {
        got = read(fd, buf_reserve(&content, SECRET_FILE_BYTES_MAX), SECRET_FILE_BYTES_MAX);
        content.len += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && content.len <= SECRET_FILE_BYTES_MAX) || (got < 0 && errno == EINTR));
    int error = got < 0 ? errno : content.len > SECRET_FILE_BYTES_MAX ? EFBIG : 0;
    close(fd);
    if (content.len > 0 && content.data[content.len - 1] == '\n') {
        content.len--;
        if (content.len > 0 && content.data[content.len - 1] == '\r') {
            content.len--;
        }
    }
    if (error == 0 && memchr(content.data, '\0', content.len) != NULL) {
        error = EILSEQ;
    }
    char *secret = error == 0 ? bytes_to_string(buf_bytes(&content)) : NULL;
    buf_release(&content);
    errno = error;
    return secret;
}

static const char *variable_value(const char *variable)
{
    const char *value = getenv(variable);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool load_secret(const struct setting *setting, char **ret_value, struct buf *error)
{
    const char *text = variable_value(setting->variable);
    struct buf file_variable = BUF_INIT;
    buf_append_format(&file_variable, "%s_FILE", setting->variable);
    buf_append_char(&file_variable, '\0');
    const char *path = variable_value(file_variable.data);
    bool is_loaded = false;
    if (path == NULL) {
        *ret_value = bytes_to_string(bytes_of_string(text != NULL ? text : setting->text_default));
        is_loaded = true;
    } else if (text != NULL) {
        buf_append_format(error, "%s and %s are both set: unset one of them.", setting->variable,
                          file_variable.data);
    } else {
        char *secret = read_secret_file(path);
        if (secret == NULL) {
            buf_append_format(error, "%s names \"%s\", which cannot be read: %s.",
                              file_variable.data, path, strerror(errno));
        } else {
            *ret_value = secret;
            is_loaded = true;
        }
    }
    buf_release(&file_variable);
    return is_loaded;
}

static bool load_setting(const struct setting *setting, void *field, struct buf *error)
{
    const char *text = variable_value(setting->variable);
    switch (setting->type) {
    case SETTING_TYPE_STRING:
        *(char **)field =
            bytes_to_string(bytes_of_string(text != NULL ? text : setting->text_default));
        return true;
    case SETTING_TYPE_SECRET: return load_secret(setting, field, error);
    case SETTING_TYPE_BOOL:
        *(bool *)field = setting->number_default != 0;
        return text == NULL || load_bool(setting, text, field, error);
    case SETTING_TYPE_CHOICE:
        return load_choice(setting, text != NULL ? text : setting->text_default, field, error);
    case SETTING_TYPE_INT:
    case SETTING_TYPE_DURATION:
    case SETTING_TYPE_SIZE:
        *(int64_t *)field = setting->number_default;
        return text == NULL || load_number(setting, text, field, error);
    }
    return false;
}

bool config_load(const struct setting *settings, size_t count, void *config, struct buf *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        if (!load_setting(&settings[i], field_of(config, &settings[i]), ret_error)) {
            return false;
        }
    }
    return true;
}

void config_release(const struct setting *settings, size_t count, void *config)
{
    for (size_t i = 0; i < count; i++) {
        if (settings[i].type == SETTING_TYPE_STRING || settings[i].type == SETTING_TYPE_SECRET) {
            char **field = field_of(config, &settings[i]);
            free(*field);
            *field = NULL;
        }
    }
}

/* Appends @text with line breaks, each line behind @indent blanks and within @width columns where
 * words allow. */
static void append_wrapped(struct buf *out, struct bytes text, size_t indent, size_t width)
{
    size_t column = 0;
    while (text.len > 0) {
        const char *blank = memchr(text.data, ' ', text.len);
        size_t word = blank == NULL ? text.len : (size_t)(blank - text.data);
        if (column > 0 && column + 1 + word > width) {
            buf_append_char(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_append_format(out, "%*s", (int)indent, "");
            column = indent;
        } else {
            buf_append_char(out, ' ');
            column++;
        }
        buf_append(out, text.data, word);
        column += word;
        text = bytes_skip(text, blank == NULL ? word : word + 1);
    }
    buf_append_char(out, '\n');
}

void config_write_help(const struct setting *settings, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_append_format(out, "  %s=", settings[i].variable);
        append_default(out, &settings[i]);
        struct buf text = BUF_INIT;
        buf_append_format(&text, "%s", settings[i].help);
        struct buf expectation = BUF_INIT;
        append_expectation(&expectation, &settings[i]);
        if (expectation.len > 0) {
            buf_append_format(&text, " (%.*s)", BYTES_FMT(buf_bytes(&expectation)));
        }
        if (settings[i].type == SETTING_TYPE_SECRET) {
            buf_append_format(&text, " (Or %s_FILE: a file that holds it.)", settings[i].variable);
        }
        buf_append_char(out, '\n');
        append_wrapped(out, buf_bytes(&text), 6, 80);
        buf_release(&expectation);
        buf_release(&text);
    }
}

static void append_cell(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '|') {
            buf_append_char(out, '\\');
        }
        buf_append_char(out, text.data[i]);
    }
}

void config_write_markdown(const struct setting *settings, size_t count, struct buf *out)
{
    buf_append_bytes(out,
                     BYTES("| variable | default | values | what it is |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < count; i++) {
        struct buf part = BUF_INIT;
        append_default(&part, &settings[i]);
        buf_append_format(out, "| `%s` | ", settings[i].variable);
        if (part.len > 0) {
            buf_append_char(out, '`');
            append_cell(out, buf_bytes(&part));
            buf_append_char(out, '`');
        }
        buf_append_bytes(out, BYTES(" | "));
        buf_clear(&part);
        append_expectation(&part, &settings[i]);
        append_cell(out, buf_bytes(&part));
        if (settings[i].type == SETTING_TYPE_SECRET) {
            buf_append_format(out, "a secret; or `%s_FILE`, a file that holds it",
                              settings[i].variable);
        }
        buf_append_bytes(out, BYTES(" | "));
        append_cell(out, bytes_of_string(settings[i].help));
        buf_append_bytes(out, BYTES(" |\n"));
        buf_release(&part);
    }
}

void config_handle_arguments(int argc, char **argv, const char *program, const char *summary,
                             const struct setting *settings, size_t count,
                             void (*write_metrics)(struct buf *out))
{
    if (argc < 2) {
        return;
    }
    struct buf out = BUF_INIT;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        buf_append_format(&out,
                          "%s - %s\n\nusage: %s [--help | --version | --config-markdown | "
                          "--metrics-markdown | --healthcheck | --readycheck]\n\n"
                          "It is set up by environment variables; these are the defaults:\n\n",
                          program, summary, program);
        config_write_help(settings, count, &out);
    } else if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        buf_append_format(&out, "%s %s\n", program, parley_version);
    } else if (argc == 2 && strcmp(argv[1], "--config-markdown") == 0) {
        config_write_markdown(settings, count, &out);
    } else if (argc == 2 && strcmp(argv[1], "--metrics-markdown") == 0) {
        struct buf text = BUF_INIT;
        write_metrics(&text);
        metrics_write_markdown(buf_bytes(&text), &out);
        buf_release(&text);
    } else {
        fprintf(stderr, "%s: \"%s\" is not understood; %s --help tells what is.\n", program,
                argc == 2 ? argv[1] : argv[2], program);
        exit(2);
    }
    fwrite(out.data, 1, out.len, stdout);
    buf_release(&out);
    exit(fflush(stdout) == 0 ? 0 : 1);
}
