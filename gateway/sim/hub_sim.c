/*
 * hub-sim - a cluster under seeded faults, and one assertion: nothing lost, nothing twice, in order, acks true.
 *
 *     hub-sim [--seed N] [--schedules K] [--jobs J]      K schedules, of the seeds N, N + 1, ...; J at a time
 *     hub-sim --seed N --shrink                          makes the schedule of a seed that fails as small as it goes
 *     hub-sim --seed N ... [--verbose] [--trace FILE]    tells what happens; writes all that arrives anywhere
 *
 * Each schedule draws a cluster (gateways, memory, how bad the bus is) and then, for some seconds of virtual time, what
 * happens: people write, sockets fill up or take nothing for seconds, connections go, clients upgrade at another
 * gateway, gateways are killed and started, the store goes and comes, freezes and goes on, dies between COMMIT and
 * publish, fails over, has its backup restored. Clients come back to any gateway with what the library keeps (pid,
 * offset), and send again what was not acknowledged. Then the faults end, and everyone must have all.
 *
 * Checked with every packet, by the clients of fake_world: P1, P2, P3 and P5 as far as one client can tell. After every
 * moment: the log (P3, P6) and all limits (P7). After every step: that every send ended (P4). In the end: that everyone
 * has all that is stored, and that all that was said is (P5, P8).
 *
 * A seed decides everything, to the bit. A failure prints the arguments that make it again; --shrink prints those of
 * the least that fails still: fewer steps, people, gateways, rooms, kinds of faults. Millions of schedules, on demand:
 *
 *     scripts/build release hub-sim
 *     build/release/tests/hub-sim --seed 1000000 --schedules 1000000 --jobs "$(nproc)"
 */
#include "base/map.h"
#include "cluster.h"
#include "seeded_random.h"
#include "shrink.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 256 };

static struct buf last_words; /* made before, since a signal handler may not */

static void set_last_words(const struct schedule *schedule)
{
    buf_clear(&last_words);
    buf_append_bytes(&last_words, BYTES("hub-sim: failed with "));
    schedule_write(schedule, &last_words);
    buf_append_char(&last_words, '\n');
}

static void tell_schedule(int signal_number)
{
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, last_words.data, last_words.len);
    (void)written;
    signal(SIGABRT, SIG_DFL);
}

/* The names are the sanitizers'. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

struct options {
    struct schedule schedule;
    uint64_t schedules, jobs;
    bool is_verbose, is_shrinking;
    const char *trace;
};

static void usage(void)
{
    fprintf(
        stderr,
        "usage: hub-sim [--seed N] [--schedules K] [--jobs J]\n"
        "       hub-sim --seed N [--steps LIST] [--people K] [--gateways K] [--rooms K]\n"
        "               [--without FAULTS] [--shrink | [--verbose] [--trace FILE]]\n"
        "\n"
        "LIST is such as 0-17,40 (or none); FAULTS are some of these, with commas between them:\n");
    for (int fault = 0; fault < FAULTS; fault++) {
        fprintf(stderr, "  %-12s %s\n", schedule_fault_name((enum schedule_fault)fault),
                schedule_fault_words((enum schedule_fault)fault));
    }
    exit(2);
}

/* Where the number that @name sets is kept. */
static uint64_t *find_number(struct options *options, const char *name)
{
    struct schedule *schedule = &options->schedule;
    return strcmp(name, "--seed") == 0        ? &schedule->seed
           : strcmp(name, "--schedules") == 0 ? &options->schedules
           : strcmp(name, "--jobs") == 0      ? &options->jobs
           : strcmp(name, "--people") == 0    ? &schedule->people_max
           : strcmp(name, "--gateways") == 0  ? &schedule->gateways_max
           : strcmp(name, "--rooms") == 0     ? &schedule->rooms_max
                                              : NULL;
}

static bool read_value(struct options *options, const char *name, const char *value)
{
    uint64_t *number = find_number(options, name);
    if (number != NULL) {
        return bytes_to_u64(bytes_of_string(value), number) &&
               (*number > 0 || strcmp(name, "--seed") == 0);
    }
    if (strcmp(name, "--steps") == 0) {
        return schedule_parse_steps(&options->schedule, value);
    }
    if (strcmp(name, "--without") == 0) {
        return schedule_parse_without(&options->schedule, value);
    }
    options->trace = value;
    return strcmp(name, "--trace") == 0;
}

static void read_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.schedules = 1, .jobs = 1};
    schedule_init(&options->schedule, 1);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options->is_verbose = true;
        } else if (strcmp(argv[i], "--shrink") == 0) {
            options->is_shrinking = true;
        } else if (i + 1 < argc && read_value(options, argv[i], argv[i + 1])) {
            i++;
        } else {
            usage();
        }
    }
    if (options->jobs > JOBS_MAX) {
        usage();
    }
}

static int run_shrink(struct options *options)
{
    struct buf arguments = BUF_INIT;
    unsigned tries = shrink(&options->schedule);
    if (tries == 0) {
        printf("it does not fail: nothing to shrink\n");
        return 1;
    }
    schedule_write(&options->schedule, &arguments);
    printf("the least that fails:\n  hub-sim %.*s\n", BYTES_FMT(buf_bytes(&arguments)));
    buf_release(&arguments);
    return 0;
}

/* Every @jobs th schedule, from number @job on. */
static void run_job(const struct options *options, uint64_t job)
{
    FILE *trace = options->trace != NULL ? fopen(options->trace, "we") : NULL;
    if (options->trace != NULL && trace == NULL) {
        perror(options->trace);
        exit(2);
    }
    if (trace != NULL) {
        setvbuf(trace, NULL, _IOLBF, 0); /* a broken promise ends the program at once */
    }
    for (uint64_t i = job; i < options->schedules; i += options->jobs) {
        struct schedule schedule = options->schedule;
        schedule.seed += i;
        set_last_words(&schedule);
        cluster_run(&schedule, trace, options->is_verbose);
    }
    if (trace != NULL && fclose(trace) != 0) {
        perror(options->trace);
        exit(2);
    }
    buf_release(&last_words);
}

/* Returns whether all went well; the first that does not ends the others. */
static bool run_jobs(const struct options *options)
{
    pid_t children[JOBS_MAX];
    for (uint64_t job = 0; job < options->jobs; job++) {
        children[job] = fork();
        ASSERT(children[job] >= 0);
        if (children[job] == 0) {
            run_job(options, job);
            exit(0);
        }
    }
    bool is_well = true;
    for (uint64_t left = options->jobs; left > 0; left--) {
        int status;
        pid_t ended = wait(&status);
        ASSERT(ended > 0);
        bool has_failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        for (uint64_t job = 0; job < options->jobs; job++) {
            if (children[job] == ended) {
                children[job] = 0;
            } else if (has_failed && is_well && children[job] != 0) {
                kill(children[job], SIGKILL);
            }
        }
        is_well &= !has_failed;
    }
    return is_well;
}

int main(int argc, char **argv)
{
    struct options options;
    read_options(argc, argv, &options);
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* The maps' key is drawn once in a process: before any schedule, so that it is the same in all. */
    seeded_random_set(0);
    (void)map_hash(BYTES("any"));
    if (options.is_shrinking) {
        return run_shrink(&options);
    }
    signal(SIGABRT, tell_schedule);
    if (options.jobs == 1) {
        run_job(&options, 0);
    } else if (!run_jobs(&options)) {
        return 1;
    }
    printf("%llu schedules, from seed %llu on: nothing lost, nothing twice, in order, acks true\n",
           (unsigned long long)options.schedules, (unsigned long long)options.schedule.seed);
    return 0;
}
