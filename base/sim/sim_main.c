#include "sim_main.h"

#include "base/map.h"
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
    buf_append_bytes(&last_words, bytes_of_string(schedule->simulation->name));
    buf_append_bytes(&last_words, BYTES(": failed with "));
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

NORETURN static void usage(const struct simulation *simulation)
{
    fprintf(
        stderr,
        "usage: %s [--seed N] [--schedules K] [--jobs J]\n"
        "       %s --seed N [--steps LIST] [%s K] [%s K] [%s K]\n"
        "               [--without FAULTS] [--shrink | [--verbose] [--trace FILE]]\n"
        "\n"
        "LIST is such as 0-17,40 (or none); FAULTS are some of these, with commas between them:\n",
        simulation->name, simulation->name, simulation->bounds[0].name, simulation->bounds[1].name,
        simulation->bounds[2].name);
    for (size_t fault = 0; fault < simulation->fault_count; fault++) {
        fprintf(stderr, "  %-12s %s\n", simulation->faults[fault].name,
                simulation->faults[fault].words);
    }
    exit(2);
}

/* Where the number that @name sets is kept. */
static uint64_t *find_number(struct options *options, const char *name)
{
    return strcmp(name, "--seed") == 0        ? &options->schedule.seed
           : strcmp(name, "--schedules") == 0 ? &options->schedules
           : strcmp(name, "--jobs") == 0      ? &options->jobs
                                              : schedule_bound(&options->schedule, name);
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

static void read_options(const struct simulation *simulation, int argc, char **argv,
                         struct options *options)
{
    *options = (struct options){.schedules = 1, .jobs = 1};
    schedule_init(&options->schedule, simulation, 1);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options->is_verbose = true;
        } else if (strcmp(argv[i], "--shrink") == 0) {
            options->is_shrinking = true;
        } else if (i + 1 < argc && read_value(options, argv[i], argv[i + 1])) {
            i++;
        } else {
            usage(simulation);
        }
    }
    if (options->jobs > JOBS_MAX) {
        usage(simulation);
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
    printf("the least that fails:\n  %s %.*s\n", options->schedule.simulation->name,
           BYTES_FMT(buf_bytes(&arguments)));
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
        schedule.simulation->run(&schedule, trace, options->is_verbose);
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

int sim_main(const struct simulation *simulation, int argc, char **argv)
{
    struct options options;
    read_options(simulation, argc, argv, &options);
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
    printf("%llu schedules, from seed %llu on: %s\n", (unsigned long long)options.schedules,
           (unsigned long long)options.schedule.seed, simulation->promise);
    return 0;
}
