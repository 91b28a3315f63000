#include "schedule.h"

#include <stdlib.h>

static const struct {
    const char *name, *words;
} KINDS[FAULTS] = {
#define X(name, text, what) [FAULT_##name] = {text, what},
    SCHEDULE_FAULTS(X)
#undef X
};

void schedule_init(struct schedule *schedule, uint64_t seed)
{
    *schedule = (struct schedule){
        .seed = seed,
        .people_max = SCHEDULE_PEOPLE_MAX,
        .gateways_max = UINT64_MAX,
        .rooms_max = SCHEDULE_ROOMS_MAX,
    };
    memset(schedule->steps, true, sizeof(schedule->steps));
}

const char *schedule_fault_name(enum schedule_fault fault)
{
    return KINDS[fault].name;
}

const char *schedule_fault_words(enum schedule_fault fault)
{
    return KINDS[fault].words;
}

/* Takes what stands in front of the next comma off @rest. */
static struct bytes take_item(struct bytes *rest)
{
    const char *comma = memchr(rest->data, ',', rest->len);
    size_t len = comma != NULL ? (size_t)(comma - rest->data) : rest->len;
    struct bytes item = bytes_of(rest->data, len);
    *rest = bytes_skip(*rest, comma != NULL ? len + 1 : len);
    return item;
}

bool schedule_parse_steps(struct schedule *schedule, const char *text)
{
    struct bytes rest = bytes_of_string(text);
    memset(schedule->steps, false, sizeof(schedule->steps));
    if (strcmp(text, "none") == 0) {
        return true;
    }
    while (rest.len > 0) {
        struct bytes item = take_item(&rest);
        const char *dash = memchr(item.data, '-', item.len);
        size_t len = dash != NULL ? (size_t)(dash - item.data) : item.len;
        uint64_t from, to;
        if (!bytes_to_u64(bytes_of(item.data, len), &from) ||
            !bytes_to_u64(dash != NULL ? bytes_skip(item, len + 1) : item, &to) || from > to ||
            to >= SCHEDULE_STEPS) {
            return false;
        }
        memset(&schedule->steps[from], true, to - from + 1);
    }
    return true;
}

bool schedule_parse_without(struct schedule *schedule, const char *text)
{
    struct bytes rest = bytes_of_string(text);
    while (rest.len > 0) {
        struct bytes item = take_item(&rest);
        int fault = 0;
        while (fault < FAULTS && !bytes_equal(item, bytes_of_string(KINDS[fault].name))) {
            fault++;
        }
        if (fault == FAULTS) {
            return false;
        }
        schedule->without[fault] = true;
    }
    return true;
}

static void write_steps(const struct schedule *schedule, struct buf *out)
{
    const char *separator = " --steps ";
    for (unsigned i = 0; i < SCHEDULE_STEPS; i++) {
        unsigned end = i;
        while (end < SCHEDULE_STEPS && schedule->steps[end]) {
            end++;
        }
        if (end > i) {
            buf_append_format(out, "%s%u", separator, i);
            separator = ",";
        }
        if (end > i + 1) {
            buf_append_format(out, "-%u", end - 1);
        }
        i = end;
    }
    if (*separator == ' ') {
        buf_append_format(out, "%snone", separator);
    }
}

void schedule_write(const struct schedule *schedule, struct buf *out)
{
    buf_append_format(out, "--seed %llu", (unsigned long long)schedule->seed);
    if (memchr(schedule->steps, false, sizeof(schedule->steps)) != NULL) {
        write_steps(schedule, out);
    }
    if (schedule->people_max < SCHEDULE_PEOPLE_MAX) {
        buf_append_format(out, " --people %llu", (unsigned long long)schedule->people_max);
    }
    if (schedule->gateways_max < UINT64_MAX) {
        buf_append_format(out, " --gateways %llu", (unsigned long long)schedule->gateways_max);
    }
    if (schedule->rooms_max < SCHEDULE_ROOMS_MAX) {
        buf_append_format(out, " --rooms %llu", (unsigned long long)schedule->rooms_max);
    }
    const char *separator = " --without ";
    for (int fault = 0; fault < FAULTS; fault++) {
        if (schedule->without[fault]) {
            buf_append_format(out, "%s%s", separator, KINDS[fault].name);
            separator = ",";
        }
    }
}
