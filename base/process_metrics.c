#include "process_metrics.h"

#include "metrics.h"
#include "version.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The number that is the field @place, counted from 0, of a file of one line; 0 when it cannot be read. */
static double field_of(const char *path, unsigned place)
{
    char line[1024];
    FILE *file = fopen(path, "re");
    size_t len = file == NULL ? 0 : fread(line, 1, sizeof(line) - 1, file);
    if (file != NULL) {
        fclose(file);
    }
    line[len] = '\0';
    /* Only the program's name, in parentheses, has blanks of its own. */
    const char *at = strrchr(line, ')');
    at = at == NULL ? line : at + 1;
    for (unsigned i = 0; at != NULL && i < place; i++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtod(at, NULL);
}

/* When the process began, in seconds since 1970: found once, since it must not change when clocks are set. */
static double start_time(void)
{
    enum { STARTED_TICKS_BEHIND_NAME = 19 }; /* "starttime" of proc(5), since boot */
    static double began;
    if (began == 0) {
        double since_boot =
            field_of("/proc/self/stat", STARTED_TICKS_BEHIND_NAME) / (double)sysconf(_SC_CLK_TCK);
        began = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) + since_boot;
    }
    return began;
}

void process_metrics_write(struct buf *out, const char *service)
{
    struct buf labels = BUF_INIT;
    buf_append_format(&labels, "service=\"%s\",version=\"%s\"", service, parley_version);
    buf_append_char(&labels, '\0');
    metrics_family(out, "parley_build_info", METRIC_GAUGE, "Always 1; the labels say what runs.");
    metrics_sample(out, "parley_build_info", labels.data, 1);
    buf_release(&labels);
    metrics_single(out, "process_start_time_seconds", METRIC_GAUGE,
                   "When the process began, in seconds since 1970.", start_time());
    metrics_single(out, "process_cpu_seconds_total", METRIC_COUNTER,
                   "CPU time of all threads, user's and system's.",
                   seconds_of(CLOCK_PROCESS_CPUTIME_ID));
    metrics_single(out, "process_resident_memory_bytes", METRIC_GAUGE, "Memory that is in RAM now.",
                   field_of("/proc/self/statm", 1) * (double)sysconf(_SC_PAGESIZE));
    struct mallinfo2 heap = mallinfo2();
    metrics_single(
        out, "parley_heap_bytes", METRIC_GAUGE,
        "Memory that the program holds now, as malloc counts it: what is resident beyond "
        "that is malloc's own, the program's text and libraries.",
        (double)(heap.uordblks + heap.hblkhd));
}
