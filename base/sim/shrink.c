#include "shrink.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRY_SECONDS_MAX = 60 };

static bool fails(const struct schedule *schedule, unsigned *tries)
{
    ++*tries;
    fflush(stdout);
    pid_t child = fork();
    ASSERT(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        ASSERT(nowhere >= 0 && dup2(nowhere, STDERR_FILENO) >= 0);
        alarm(TRY_SECONDS_MAX); /* one that never ends has failed, too */
        schedule->simulation->run(schedule, NULL, false);
        _exit(0);
    }
    int status;
    ASSERT(waitpid(child, &status, 0) == child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Makes @smaller the schedule where it fails as well. */
static bool take_if_fails(struct schedule *schedule, const struct schedule *smaller,
                          unsigned *tries)
{
    bool is_taken = fails(smaller, tries);
    if (is_taken) {
        *schedule = *smaller;
    }
    return is_taken;
}

static bool shrink_faults(struct schedule *schedule, unsigned *tries)
{
    bool is_smaller = false;
    for (size_t fault = 0; fault < schedule->simulation->fault_count; fault++) {
        if (!schedule->without[fault]) {
            struct schedule smaller = *schedule;
            smaller.without[fault] = true;
            is_smaller |= take_if_fails(schedule, &smaller, tries);
        }
    }
    return is_smaller;
}

/* Tries less and less of what bound @i counts. */
static bool shrink_bound(struct schedule *schedule, size_t i, unsigned *tries)
{
    struct schedule smaller = *schedule;
    for (uint64_t n = 1; n < schedule->bounds[i]; n++) {
        smaller.bounds[i] = n;
        if (take_if_fails(schedule, &smaller, tries)) {
            return true;
        }
    }
    return false;
}

static size_t count_steps(const struct schedule *schedule, size_t from, size_t to)
{
    size_t count = 0;
    for (size_t i = from; i < MIN_OF(to, (size_t)SCHEDULE_STEPS); i++) {
        count += schedule->steps[i];
    }
    return count;
}

static bool shrink_steps(struct schedule *schedule, unsigned *tries)
{
    bool is_smaller = false;
    for (size_t size = SCHEDULE_STEPS / 2; size > 0; size /= 2) {
        for (size_t end = SCHEDULE_STEPS; end > 0; end -= MIN_OF(end, size)) {
            size_t from = end - MIN_OF(end, size);
            if (count_steps(schedule, from, end) > 0) {
                struct schedule smaller = *schedule;
                memset(&smaller.steps[from], false, end - from);
                is_smaller |= take_if_fails(schedule, &smaller, tries);
            }
        }
    }
    return is_smaller;
}

unsigned shrink(struct schedule *schedule)
{
    unsigned tries = 0;
    if (!fails(schedule, &tries)) {
        return 0;
    }
    for (bool is_smaller = true; is_smaller;) {
        is_smaller = shrink_steps(schedule, &tries);
        is_smaller |= shrink_faults(schedule, &tries);
        for (size_t i = 0; i < SCHEDULE_BOUNDS; i++) {
            is_smaller |= shrink_bound(schedule, i, &tries);
        }
        printf("%zu of %d steps, after %u tries\n", count_steps(schedule, 0, SCHEDULE_STEPS),
               SCHEDULE_STEPS, tries);
    }
    return tries;
}
