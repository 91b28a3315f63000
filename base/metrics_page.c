/* metrics_page.c - Prometheus text as a table for people. */
#include "metrics.h"

#include <string.h>

enum { LABELS_MAX = 8 };

struct label {
    struct bytes key;
    struct buf values; /* each between blanks: " a b " */
};

struct family {
    struct bytes name, type, help;
    struct label labels[LABELS_MAX];
    size_t label_count;
};

/* Cuts @rest at the first @end; what was in front of it is returned, and all where there is none. */
static struct bytes cut(struct bytes *rest, char end)
{
    const char *at = rest->len == 0 ? NULL : memchr(rest->data, end, rest->len);
    struct bytes front = at == NULL ? *rest : bytes_of(rest->data, (size_t)(at - rest->data));
    *rest = bytes_skip(*rest, MIN_OF(front.len + 1, rest->len));
    return front;
}

static struct label *label_of(struct family *family, struct bytes key)
{
    for (size_t i = 0; i < family->label_count; i++) {
        if (bytes_equal(family->labels[i].key, key)) {
            return &family->labels[i];
        }
    }
    ASSERT(family->label_count < LABELS_MAX);
    struct label *label = &family->labels[family->label_count++];
    *label = (struct label){.key = key};
    buf_append_char(&label->values, ' ');
    return label;
}

static void note_value(struct label *label, struct bytes value)
{
    struct buf word = BUF_INIT;
    buf_append_format(&word, " %.*s ", BYTES_FMT(value));
    struct bytes all = buf_bytes(&label->values);
    if (memmem(all.data, all.len, word.data, word.len) == NULL) {
        buf_append_format(&label->values, "%.*s ", BYTES_FMT(value));
    }
    buf_release(&word);
}

/* Notes the labels of  name{key="value",key="value"} 17  . */
static void note_sample(struct family *family, struct bytes line)
{
    struct bytes name = cut(&line, ' ');
    cut(&name, '{');
    struct bytes labels = cut(&name, '}');
    while (labels.len > 0) {
        struct bytes key = cut(&labels, '=');
        cut(&labels, '"');
        struct bytes value = cut(&labels, '"');
        cut(&labels, ',');
        if (!bytes_equal(key, BYTES("le"))) {
            struct label *label = label_of(family, key);
            if (!bytes_equal(key, BYTES("version"))) {
                note_value(label, value);
            }
        }
    }
}

static void write_labels(const struct family *family, struct buf *out)
{
    for (size_t i = 0; i < family->label_count; i++) {
        const struct label *label = &family->labels[i];
        struct bytes values = bytes_skip(buf_bytes(&label->values), 1);
        buf_append_format(out, "%s`%.*s`", i > 0 ? "; " : "", BYTES_FMT(label->key));
        for (const char *before = ": "; values.len > 0; before = ", ") {
            struct bytes value = cut(&values, ' ');
            buf_append_format(out, "%s%.*s", before, BYTES_FMT(value));
        }
    }
}

/* Writes the row of @family, if there is one, and empties it. */
static void end_family(struct family *family, struct buf *out)
{
    if (family->name.len > 0) {
        buf_append_format(out, "| `%.*s` | %.*s | ", BYTES_FMT(family->name),
                          BYTES_FMT(family->type));
        write_labels(family, out);
        buf_append_format(out, " | %.*s |\n", BYTES_FMT(family->help));
    }
    for (size_t i = 0; i < family->label_count; i++) {
        buf_release(&family->labels[i].values);
    }
    *family = (struct family){0};
}

void metrics_write_markdown(struct bytes text, struct buf *out)
{
    struct bytes help = BYTES("# HELP "), type = BYTES("# TYPE ");
    struct family family = {0};
    buf_append_bytes(out, BYTES("| metric | type | labels | what it is |\n|---|---|---|---|\n"));
    while (text.len > 0) {
        struct bytes line = cut(&text, '\n');
        if (bytes_start_with(line, help)) {
            end_family(&family, out);
            line = bytes_skip(line, help.len);
            family.name = cut(&line, ' ');
            family.help = line;
        } else if (bytes_start_with(line, type)) {
            line = bytes_skip(line, type.len);
            cut(&line, ' ');
            family.type = line;
        } else {
            note_sample(&family, line);
        }
    }
    end_family(&family, out);
}
