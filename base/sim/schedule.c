#include "schedule.h"

#include "seeded_random.h"

void schedule_init(struct schedule *schedule, const struct simulation *simulation, uint64_t seed)
{
    *schedule = (struct schedule){.simulation = simulation, .seed = seed};
    for (size_t i = 0; i < SCHEDULE_BOUNDS; i++) {
        schedule->bounds[i] = simulation->bounds[i].most;
    }
    memset(schedule->steps, true, sizeof(schedule->steps));
}

uint64_t schedule_dice(const struct schedule *schedule, int number)
{
    uint64_t dice = schedule->seed * 0x9E3779B97F4A7C15u + (uint64_t)(number + 2);
    (void)seeded_random_next(&dice);
    return dice;
}

uint64_t *schedule_bound(struct schedule *schedule, const char *name)
{
    for (size_t i = 0; i < SCHEDULE_BOUNDS; i++) {
        if (strcmp(schedule->simulation->bounds[i].name, name) == 0) {
            return &schedule->bounds[i];
        }
    }
    return NULL;
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
        const struct simulation *simulation = schedule->simulation;
        size_t fault = 0;
        while (fault < simulation->fault_count &&
               !bytes_equal(item, bytes_of_string(simulation->faults[fault].name))) {
            fault++;
        }
        if (fault == simulation->fault_count) {
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
    const struct simulation *simulation = schedule->simulation;
    for (size_t i = 0; i < SCHEDULE_BOUNDS; i++) {
        if (schedule->bounds[i] < simulation->bounds[i].most) {
            buf_append_format(out, " %s %llu", simulation->bounds[i].name,
                              (unsigned long long)schedule->bounds[i]);
        }
    }
    const char *separator = " --without ";
    for (size_t fault = 0; fault < simulation->fault_count; fault++) {
        if (schedule->without[fault]) {
            buf_append_format(out, "%s%s", separator, simulation->faults[fault].name);
            separator = ",";
        }
    }
}
