/* process.c - /proc/<pid>/stat, task/<tid>/schedstat and smaps_rollup, see proc(5). */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Fields of stat, counted from the one behind the command's closing bracket. */
enum { STAT_PARENT = 1, STAT_USER_TICKS = 11, STAT_SYSTEM_TICKS = 12, STAT_FIELDS = 13 };

enum { FILE_BYTES_MAX = 4096, PATH_BYTES_MAX = 320 };

static bool read_path(const char *path, char text[FILE_BYTES_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t len = read(fd, text, FILE_BYTES_MAX - 1);
    close(fd);
    text[MAX_OF(len, 0)] = '\0';
    return len > 0;
}

static bool read_file(pid_t pid, const char *name, char text[FILE_BYTES_MAX])
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return read_path(path, text);
}

static bool read_stat(pid_t pid, uint64_t ret_fields[STAT_FIELDS])
{
    char text[FILE_BYTES_MAX];
    if (!read_file(pid, "stat", text)) {
        return false;
    }
    const char *at = strrchr(text, ')');
    if (at == NULL || strlen(at) < 4) {
        return false;
    }
    at += 3; /* the state, a letter, is field 0 */
    for (int i = 1; i < STAT_FIELDS; i++) {
        char *end;
        ret_fields[i] = strtoull(at, &end, 10);
        at = end;
    }
    return true;
}

static uint64_t us_of_ticks(uint64_t ticks)
{
    return ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* By the scheduler's own clock, in ns. Returns false when there is no such process, or no such clock. */
static bool read_schedstat_us(pid_t pid, uint64_t *ret_us)
{
    char path[PATH_BYTES_MAX], text[FILE_BYTES_MAX];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return false;
    }
    uint64_t sum_ns = 0;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        if (isdigit((unsigned char)entry->d_name[0]) && read_path(path, text)) {
            sum_ns += strtoull(text, NULL, 10);
        }
    }
    closedir(threads);
    if (sum_ns > 0) {
        *ret_us = sum_ns / 1000;
    }
    return sum_ns > 0;
}

static bool read_ticks_us(pid_t pid, uint64_t *ret_us)
{
    uint64_t fields[STAT_FIELDS];
    if (!read_stat(pid, fields)) {
        return false;
    }
    *ret_us = us_of_ticks(fields[STAT_USER_TICKS] + fields[STAT_SYSTEM_TICKS]);
    return true;
}

bool process_cpu_us(pid_t pid, uint64_t *ret_us)
{
    return read_schedstat_us(pid, ret_us) || read_ticks_us(pid, ret_us);
}

bool process_family_cpu_us(pid_t pid, uint64_t *ret_us)
{
    uint64_t sum;
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        return false;
    }
    bool is_there = read_ticks_us(pid, &sum);
    for (struct dirent *entry; is_there && (entry = readdir(processes)) != NULL;) {
        uint64_t fields[STAT_FIELDS];
        if (isdigit((unsigned char)entry->d_name[0]) &&
            read_stat((pid_t)strtol(entry->d_name, NULL, 10), fields) &&
            fields[STAT_PARENT] == (uint64_t)pid) {
            sum += us_of_ticks(fields[STAT_USER_TICKS] + fields[STAT_SYSTEM_TICKS]);
        }
    }
    closedir(processes);
    if (is_there) {
        *ret_us = sum;
    }
    return is_there;
}

bool process_pss_bytes(pid_t pid, uint64_t *ret_bytes)
{
    char text[FILE_BYTES_MAX];
    if (!read_file(pid, "smaps_rollup", text)) {
        return false;
    }
    const char *line = strstr(text, "\nPss:");
    if (line == NULL) {
        return false;
    }
    *ret_bytes = strtoull(line + strlen("\nPss:"), NULL, 10) * 1024;
    return true;
}

uint64_t process_own_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}
