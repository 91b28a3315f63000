/*
 * main.c - parley-store: settings, signals, the admin port; the rest is store.h, or command.h.
 *
 * The main thread runs a libh2o loop for the admin port. Two descriptors wake it: a signalfd for SIGTERM and SIGINT, and
 * an eventfd that lanes and NATS write to when they are connected, or see that the settings are wrong.
 *
 * SIGTERM has a thread drain the store, while the loop goes on: /readyz fails, a second signal ends the process at once,
 * and END_MS_MAX does so in any case.
 */
#include "api_http.h"
#include "base/admin.h"
#include "base/clock.h"
#include "base/health.h"
#include "base/log.h"
#include "base/loop.h"
#include "command.h"
#include "limits.h"
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct program {
    struct store_config config;
    struct store *store;
    struct api_http *api_http;
    h2o_loop_t *loop;
    int signal_fd, event_fd;
    atomic_bool is_wrong;
    pthread_mutex_t why_mutex;
    struct buf why_wrong; /* under why_mutex */
    pthread_t drainer;    /* while is_draining */
    uint64_t ends_until_ms;
    atomic_bool is_drained;
    bool receives, is_draining, ends;
    int exit_status;
};

/* Tells the user why there is nothing to run. */
static void complain(struct bytes sentence)
{
    fprintf(stderr, "parley-store: %.*s\n", BYTES_FMT(sentence));
}

/* From the lanes' threads. */

static void wake(struct program *program)
{
    uint64_t one = 1;
    ssize_t written = write(program->event_fd, &one, sizeof(one));
    (void)written; /* it can only be full, and then it wakes as well */
}

static void on_ready(void *user)
{
    wake(user);
}

static void on_wrong(void *user, struct bytes why)
{
    struct program *program = user;
    pthread_mutex_lock(&program->why_mutex);
    buf_clear(&program->why_wrong);
    buf_append_bytes(&program->why_wrong, why);
    pthread_mutex_unlock(&program->why_mutex);
    atomic_store(&program->is_wrong, true);
    wake(program);
}

/* In the loop. */

static void end(struct program *program, int exit_status)
{
    program->ends = true;
    program->exit_status = exit_status;
}

static void *run_drainer(void *user)
{
    struct program *program = user;
    store_drain(program->store);
    atomic_store(&program->is_drained, true);
    wake(program);
    return NULL;
}

static void begin_drain(struct program *program)
{
    program->is_draining = true;
    program->ends_until_ms = clock_monotonic_ms() + END_MS_MAX;
    ASSERT(pthread_create(&program->drainer, NULL, run_drainer, program) == 0);
}

/* Whatever is unanswered: threads may be waiting for Postgres or NATS, and nobody can hurry them. */
static void end_at_once(const char *why)
{
    LOG(LOG_WARN, "drain_cut_short", F_STR("why", why));
    _exit(0);
}

static void on_signal(h2o_socket_t *socket, const char *error)
{
    (void)error;
    struct program *program = socket->data;
    struct signalfd_siginfo info;
    while (read(program->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        const char *name = info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
        if (program->is_draining) {
            end_at_once("a second signal");
        }
        LOG(LOG_INFO, "draining", F_STR("signal", name));
        begin_drain(program);
    }
}

/* When the loop, which listens to signals otherwise, has ended. */
static void on_late_signal(int number)
{
    (void)number;
    _exit(0);
}

static void let_signals_end(void)
{
    struct sigaction action = {.sa_handler = on_late_signal};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

static void end_as_wrong(struct program *program)
{
    struct buf sentence = BUF_INIT;
    pthread_mutex_lock(&program->why_mutex);
    buf_append_format(&sentence, "DATABASE_URL leads to no database that can be used: %.*s",
                      BYTES_FMT(buf_bytes(&program->why_wrong)));
    pthread_mutex_unlock(&program->why_mutex);
    complain(buf_bytes(&sentence));
    buf_release(&sentence);
    end(program, 1);
}

static void on_event(h2o_socket_t *socket, const char *error)
{
    (void)error;
    struct program *program = socket->data;
    uint64_t count;
    if (read(program->event_fd, &count, sizeof(count)) != sizeof(count)) {
        return;
    }
    if (program->is_draining) {
        program->ends = atomic_load(&program->is_drained);
    } else if (!program->receives && store_can_receive(program->store)) {
        struct buf why = BUF_INIT;
        program->receives = store_receive(program->store, &why);
        if (program->receives) {
            LOG(LOG_INFO, "ready", F_STR("shards", program->config.shards));
        } else {
            complain(buf_bytes(&why));
            end(program, 1);
        }
        buf_release(&why);
    } else if (atomic_load(&program->is_wrong) && !program->receives) {
        end_as_wrong(program);
    }
}

static void write_unready(void *user, struct buf *out)
{
    struct program *program = user;
    if (program->is_draining) {
        buf_append_bytes(out, BYTES("draining: this store-service is shutting down"));
    } else {
        store_write_unready(program->store, out);
    }
}

static void write_metrics(void *user, struct buf *out)
{
    store_write_metrics(((struct program *)user)->store, out);
}

static void serve_api(void *user, h2o_req_t *req)
{
    api_http_serve(((struct program *)user)->api_http, req);
}

/* Start. */

/* Before any thread is there: all of them inherit the mask, so that signals arrive at the descriptor alone. */
static void catch_signals(struct program *program)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    program->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    program->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(program->signal_fd >= 0 && program->event_fd >= 0);
}

static h2o_socket_t *watch(struct program *program, int fd, h2o_socket_cb callback)
{
    h2o_socket_t *socket = h2o_evloop_socket_create(program->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    socket->data = program;
    h2o_socket_read_start(socket, callback);
    return socket;
}

static void run_loop(struct program *program)
{
    while (!program->ends) {
        int32_t wait_ms = INT32_MAX;
        if (program->is_draining) {
            uint64_t now_ms = clock_monotonic_ms();
            if (now_ms >= program->ends_until_ms) {
                end_at_once("too much time has passed");
            }
            wait_ms = (int32_t)(program->ends_until_ms - now_ms);
        }
        h2o_evloop_run(program->loop, wait_ms);
    }
}

static void run(struct program *program)
{
    struct buf why = BUF_INIT;
    program->loop = h2o_evloop_create();
    struct lane_events events = {.on_ready = on_ready, .on_wrong = on_wrong, .user = program};
    struct admin *admin = NULL;
    h2o_socket_t *signals = watch(program, program->signal_fd, on_signal);
    h2o_socket_t *wakes = watch(program, program->event_fd, on_event);
    program->store = store_new(&program->config, &events, &why);
    if (program->store != NULL) {
        program->api_http =
            api_http_new(program->loop, store_api(program->store), program->config.api_key);
        struct admin_callbacks callbacks = {.write_unready = write_unready,
                                            .write_metrics = write_metrics,
                                            .serve_api = serve_api,
                                            .user = program};
        admin = admin_new(program->loop, program->config.admin_host,
                          (int)program->config.admin_port, &callbacks, &why);
    }
    if (admin == NULL) {
        complain(buf_bytes(&why));
        end(program, 1);
    } else {
        LOG(LOG_INFO, "started", F_STR("admin_host", program->config.admin_host),
            F_INT("admin_port", admin_port(admin)));
    }
    run_loop(program);
    let_signals_end();
    if (program->is_draining) {
        pthread_join(program->drainer, NULL);
    }
    admin_free(admin);
    store_free(program->store);
    api_http_free(program->api_http);
    h2o_socket_close(signals);
    h2o_socket_close(wakes);
    loop_free(program->loop);
    buf_release(&why);
    if (program->exit_status == 0) {
        LOG(LOG_INFO, "ended");
    }
}

int main(int argc, char **argv)
{
    struct command command = command_of(argc, argv);
    const char *health = health_page(argc, argv);
    if (command.run == NULL && health == NULL) {
        config_handle_arguments(argc, argv, "parley-store",
                                "appends messages to rooms, and reads them\n\n" COMMAND_HELP,
                                store_settings, store_settings_count, stats_write_unused);
    }
    static struct program program = {.why_mutex = PTHREAD_MUTEX_INITIALIZER};
    struct buf why = BUF_INIT;
    int exit_status = command.run != NULL ? command.exit_status_failure : 1;
    if (!config_load(store_settings, store_settings_count, &program.config, &why)) {
        complain(buf_bytes(&why));
    } else if (health != NULL) {
        exit_status =
            health_check(program.config.admin_host, (int)program.config.admin_port, health);
    } else {
        log_open("store", (enum log_format)program.config.log_format,
                 (enum log_level)program.config.log_level);
        if (command.run != NULL) {
            exit_status = command_run(&command, &program.config);
        } else {
            catch_signals(&program);
            run(&program);
            exit_status = program.exit_status;
        }
    }
    buf_release(&why);
    buf_release(&program.why_wrong);
    config_release(store_settings, store_settings_count, &program.config);
    return exit_status;
}
