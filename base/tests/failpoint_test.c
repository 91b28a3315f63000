#include "base/failpoint.h"
#include "testing.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/failpoint_test.XXXXXX";

static void order(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool order_waits(const char *name)
{
    char path[128];
    struct stat found;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return stat(path, &found) == 0;
}

/* How a process changes that passes the place @name, and then ends with 7. */
static int status_of_passing(const char *name, pid_t *ret_pid)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        failpoint_pass(name);
        _exit(7);
    }
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid);
    *ret_pid = pid;
    return status;
}

TEST(without_an_order_nothing_happens)
{
    pid_t pid;
    order("another", "kill\n");
    int status = status_of_passing("place", &pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(order_waits("another"));
}

TEST(the_first_that_passes_is_killed_and_nobody_after_it)
{
    pid_t pid;
    order("place", "kill\n");
    int status = status_of_passing("place", &pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(!order_waits("place"));
    status = status_of_passing("place", &pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

TEST(a_stopped_process_goes_on_where_it_was)
{
    pid_t pid;
    order("place", "stop");
    int status = status_of_passing("place", &pid);
    CHECK(WIFSTOPPED(status));
    CHECK(kill(pid, SIGCONT) == 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

TEST(a_sleeper_goes_on)
{
    pid_t pid;
    order("place", "sleep 1");
    int status = status_of_passing("place", &pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(!order_waits("place"));
}

TEST(an_order_that_makes_no_sense_ends_the_process)
{
    pid_t pid;
    order("place", "kil");
    int status = status_of_passing("place", &pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || setenv("FAILPOINT_DIR", folder, 1) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/another", folder);
    (void)unlink(path);
    return rmdir(folder);
}

TEST_MAIN_WITH(make_folder, remove_folder, TEST_OF(without_an_order_nothing_happens),
               TEST_OF(the_first_that_passes_is_killed_and_nobody_after_it),
               TEST_OF(a_stopped_process_goes_on_where_it_was), TEST_OF(a_sleeper_goes_on),
               TEST_OF(an_order_that_makes_no_sense_ends_the_process))
