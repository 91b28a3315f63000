/* meter.c - two readings make a measure. */
#include "meter.h"
#include "base/clock.h"
#include "process.h"

static bool fail(struct buf *error, pid_t pid, const char *what)
{
    buf_append_format(error, "Process %d, which is to be measured, %s.", (int)pid, what);
    return false;
}

bool meter_read(const struct meter *meter, struct meter_reading *ret_reading, struct buf *ret_error)
{
    struct meter_reading reading = {.at_us = clock_monotonic_us(), .own_us = process_own_cpu_us()};
    for (size_t i = 0; i < meter->server_count; i++) {
        uint64_t cpu_us;
        if (!process_cpu_us(meter->servers[i], &cpu_us)) {
            return fail(ret_error, meter->servers[i], "is not there");
        }
        reading.servers_us += cpu_us;
    }
    for (size_t i = 0; i < meter->watched_count; i++) {
        if (!process_family_cpu_us(meter->watched[i].pid, &reading.watched_us[i])) {
            return fail(ret_error, meter->watched[i].pid, "is not there");
        }
    }
    *ret_reading = reading;
    return true;
}

bool meter_read_pss(const struct meter *meter, uint64_t *ret_bytes, struct buf *ret_error)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < meter->server_count; i++) {
        uint64_t bytes;
        if (!process_pss_bytes(meter->servers[i], &bytes)) {
            return fail(ret_error, meter->servers[i], "does not show its memory");
        }
        sum += bytes;
    }
    *ret_bytes = sum;
    return true;
}

static double seconds(uint64_t begin_us, uint64_t end_us)
{
    return end_us < begin_us ? 0 : (double)(end_us - begin_us) / 1e6;
}

double meter_server_s(const struct meter_reading *begin, const struct meter_reading *end)
{
    return seconds(begin->servers_us, end->servers_us);
}

double meter_own_s(const struct meter_reading *begin, const struct meter_reading *end)
{
    return seconds(begin->own_us, end->own_us);
}

double meter_wall_s(const struct meter_reading *begin, const struct meter_reading *end)
{
    return seconds(begin->at_us, end->at_us);
}

void meter_write(const struct meter *meter, const struct meter_reading *begin,
                 const struct meter_reading *end, struct buf *out)
{
    buf_append_format(out, "\"seconds\":%.3f,\"server_cpu_s\":%.3f,\"load_cpu_s\":%.3f",
                      meter_wall_s(begin, end), meter_server_s(begin, end),
                      meter_own_s(begin, end));
    buf_append_bytes(out, BYTES(",\"watched_cpu_s\":{"));
    for (size_t i = 0; i < meter->watched_count; i++) {
        buf_append_format(out, "%s\"%s\":%.3f", i == 0 ? "" : ",", meter->watched[i].name,
                          seconds(begin->watched_us[i], end->watched_us[i]));
    }
    buf_append_char(out, '}');
}
