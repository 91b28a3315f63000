#include "failpoint.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void sleep_ms(unsigned long ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

static void do_order(const char *name, const char *order)
{
    static const char SLEEP[] = "sleep ";
    char *end = NULL;
    unsigned long ms = 0;
    if (strncmp(order, SLEEP, sizeof(SLEEP) - 1) == 0) {
        ms = strtoul(order + sizeof(SLEEP) - 1, &end, 10);
    }
    if (strcmp(order, "kill") == 0) {
        (void)raise(SIGKILL);
    } else if (strcmp(order, "stop") == 0) {
        (void)kill(getpid(), SIGSTOP);
    } else if (end != NULL && ms > 0 && *end == '\0') {
        sleep_ms(ms);
    } else {
        (void)fprintf(stderr, "failpoint %s: \"%s\" is none of kill, stop, sleep MS\n", name,
                      order);
        abort();
    }
}

void failpoint_pass(const char *name)
{
    const char *folder = getenv("FAILPOINT_DIR");
    if (folder == NULL) {
        return;
    }
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char order[32] = "";
    if (fgets(order, sizeof(order), file) == NULL) {
        order[0] = '\0';
    }
    (void)fclose(file);
    if (unlink(path) == 0) { /* else somebody else was faster */
        order[strcspn(order, "\n")] = '\0';
        do_order(name, order);
    }
}
