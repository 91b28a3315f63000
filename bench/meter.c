/* meter.c - two readings make a measure. */
#include "meter.h"
#include "base/clock.h"
#include "process.h"

static bool fail(struct buf *error, pid_t pid)
{
    buf_append_format(error, "Process %d, which is to be measured, is not there.", (int)pid);
    return false;
}

bool meter_read(const struct load_options *options, struct meter_reading *ret_reading,
                struct buf *ret_error)
{
    struct meter_reading reading = {.at_us = clock_monotonic_us(), .own_us = process_own_cpu_us()};
    for (size_t i = 0; i < options->server_count; i++) {
        uint64_t cpu_us;
        if (!process_cpu_us(options->servers[i], &cpu_us)) {
            return fail(ret_error, options->servers[i]);
        }
        reading.servers_us += cpu_us;
    }
    for (size_t i = 0; i < options->watched_count; i++) {
        if (!process_family_cpu_us(options->watched[i].pid, &reading.watched_us[i])) {
            return fail(ret_error, options->watched[i].pid);
        }
    }
    *ret_reading = reading;
    return true;
}

static double seconds(uint64_t begin_us, uint64_t end_us)
{
    return end_us < begin_us ? 0 : (double)(end_us - begin_us) / 1e6;
}

void meter_write(const struct load_options *options, const struct meter_reading *begin,
                 const struct meter_reading *end, struct buf *out)
{
    buf_append_format(out, "\"seconds\":%.3f,\"server_cpu_s\":%.3f,\"load_cpu_s\":%.3f",
                      seconds(begin->at_us, end->at_us),
                      seconds(begin->servers_us, end->servers_us),
                      seconds(begin->own_us, end->own_us));
    buf_append_bytes(out, BYTES(",\"watched_cpu_s\":{"));
    for (size_t i = 0; i < options->watched_count; i++) {
        buf_append_format(out, "%s\"%s\":%.3f", i == 0 ? "" : ",", options->watched[i].name,
                          seconds(begin->watched_us[i], end->watched_us[i]));
    }
    buf_append_char(out, '}');
}
