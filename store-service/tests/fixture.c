#include "fixture.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS_MAX = 30000 };

NORETURN static void give_up(const char *what)
{
    fprintf(stderr, "fixture: %s\n", what);
    exit(1);
}

void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* Postgres does not run as root. */
static void become_postgres_if_root(void)
{
    if (geteuid() != 0) {
        return;
    }
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL || initgroups("postgres", user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0) {
        fputs("fixture: running as root, and there is no user postgres\n", stderr);
        _exit(1);
    }
}

/* Runs @argv, NULL-terminated; its output goes to @log. It dies with this process. */
static pid_t spawn(const char *const *argv, const char *log, bool as_postgres,
                   const char *const *environment)
{
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (as_postgres) {
        become_postgres_if_root();
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* setuid() forgets it */
    }
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    for (; environment != NULL && *environment != NULL; environment++) {
        char *copy = mem_copy_string(*environment, strlen(*environment));
        putenv(copy);
    }
    char *arguments[32] = {0};
    for (size_t i = 0; argv[i] != NULL && i < COUNT_OF(arguments) - 1; i++) {
        arguments[i] = mem_copy_string(argv[i], strlen(argv[i]));
    }
    execvp(arguments[0], arguments);
    _exit(127);
}

/* Exit status; -1 for a signal. Kills what does not end in 20 s. */
static int wait_for(pid_t pid)
{
    int status = 0;
    for (int tries = 0; waitpid(pid, &status, WNOHANG) == 0; tries++) {
        if (tries == 2000) {
            kill(pid, SIGKILL);
        }
        sleep_ms(10);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        give_up("no free port");
    }
    close(fd);
    return ntohs(address.sin_port);
}

/* The newest Postgres of the system, or what is in the PATH. */
static void postgres_program(const char *name, char *ret_path, size_t size)
{
    char pattern[128];
    snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    glob_t found;
    if (glob(pattern, 0, NULL, &found) == 0) {
        snprintf(ret_path, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
    } else {
        snprintf(ret_path, size, "%s", name);
    }
}

static void log_path(const struct fixture *fixture, const char *name, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%s.log", fixture->folder, name);
}

/* Postgres. */

void fixture_postgres_start(struct fixture *fixture)
{
    char program[256];
    char data[128];
    char log[128];
    postgres_program("postgres", program, sizeof(program));
    snprintf(data, sizeof(data), "%s/data", fixture->folder);
    log_path(fixture, "postgres", log, sizeof(log));
    /* No TCP: the socket in our folder is ours alone. No fsync: processes are killed here, not machines. */
    const char *argv[] = {program,
                          "-D",
                          data,
                          "-k",
                          fixture->folder,
                          "-c",
                          "listen_addresses=",
                          "-c",
                          "fsync=off",
                          "-c",
                          "shared_buffers=16MB",
                          NULL};
    fixture->postgres = spawn(argv, log, true, NULL);
    uint64_t until_ms = clock_monotonic_ms() + START_MS_MAX;
    char url[128];
    snprintf(url, sizeof(url), "host=%s user=postgres dbname=postgres", fixture->folder);
    while (PQping(url) != PQPING_OK) {
        if (clock_monotonic_ms() > until_ms) {
            give_up("Postgres does not start");
        }
        sleep_ms(20);
    }
}

void fixture_postgres_stop(struct fixture *fixture)
{
    kill(fixture->postgres, SIGQUIT);
    wait_for(fixture->postgres);
    fixture->postgres = 0;
}

static void make_cluster(struct fixture *fixture)
{
    char program[256];
    char data[128];
    char log[128];
    postgres_program("initdb", program, sizeof(program));
    snprintf(data, sizeof(data), "%s/data", fixture->folder);
    log_path(fixture, "initdb", log, sizeof(log));
    const char *argv[] = {program,     "-D",    data, "-U",   "postgres",
                          "-A",        "trust", "-E", "UTF8", "--locale=C.UTF-8",
                          "--no-sync", NULL};
    if (wait_for(spawn(argv, log, true, NULL)) != 0) {
        give_up("initdb failed");
    }
}

static long long run_sql(const char *url, const char *sql)
{
    PGconn *conn = PQconnectdb(url);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        fprintf(stderr, "fixture: %s: %s", sql, PQerrorMessage(conn));
        exit(1);
    }
    long long value = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    PQfinish(conn);
    return value;
}

long long fixture_sql(struct fixture *fixture, const char *sql)
{
    return run_sql(fixture->database_url, sql);
}

PGconn *fixture_database_connect(struct fixture *fixture)
{
    return PQconnectdb(fixture->database_url);
}

void fixture_backends_signal(struct fixture *fixture, int signal)
{
    PGconn *conn = PQconnectdb(fixture->database_url);
    PGresult *result =
        PQexec(conn, "SELECT pid FROM pg_stat_activity WHERE application_name = 'parley-store'");
    for (int row = 0; row < PQntuples(result); row++) {
        kill((pid_t)strtol(PQgetvalue(result, row, 0), NULL, 10), signal);
    }
    PQclear(result);
    PQfinish(conn);
}

void fixture_database_reset(struct fixture *fixture)
{
    char url[128];
    snprintf(url, sizeof(url), "host=%s user=postgres dbname=postgres", fixture->folder);
    run_sql(url, "DROP DATABASE IF EXISTS parley WITH (FORCE)");
    run_sql(url, "CREATE DATABASE parley");
}

/* All. */

static void nats_spawn(struct fixture *fixture)
{
    const char *port = strrchr(fixture->nats_url, ':') + 1;
    char log[128];
    log_path(fixture, "nats", log, sizeof(log));
    const char *argv[] = {"nats-server", "-a", "127.0.0.1", "-p", port, NULL};
    fixture->nats = spawn(argv, log, false, NULL);
}

static void nats_start(struct fixture *fixture)
{
    snprintf(fixture->nats_url, sizeof(fixture->nats_url), "nats://127.0.0.1:%d", free_port());
    nats_spawn(fixture);
    uint64_t until_ms = clock_monotonic_ms() + START_MS_MAX;
    while (natsConnection_ConnectTo(&fixture->connection, fixture->nats_url) != NATS_OK) {
        if (clock_monotonic_ms() > until_ms) {
            give_up("nats-server does not start");
        }
        sleep_ms(20);
    }
}

void fixture_nats_restart(struct fixture *fixture)
{
    kill(fixture->nats, SIGKILL);
    wait_for(fixture->nats);
    nats_spawn(fixture);
}

void fixture_start(struct fixture *fixture)
{
    *fixture = (struct fixture){0};
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/parley-store-XXXXXX");
    if (mkdtemp(fixture->folder) == NULL) {
        give_up("no folder under /tmp");
    }
    const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
    if (user != NULL && chown(fixture->folder, user->pw_uid, user->pw_gid) != 0) {
        give_up("chown failed");
    }
    snprintf(fixture->database_url, sizeof(fixture->database_url),
             "postgresql:///parley?host=%s&user=postgres", fixture->folder);
    make_cluster(fixture);
    fixture_postgres_start(fixture);
    fixture_database_reset(fixture);
    nats_start(fixture);
}

void fixture_stop(struct fixture *fixture)
{
    natsConnection_Destroy(fixture->connection);
    kill(fixture->nats, SIGTERM);
    wait_for(fixture->nats);
    fixture_postgres_stop(fixture);
    if (getenv("KEEP") == NULL) { /* to look at the logs */
        const char *argv[] = {"rm", "-rf", fixture->folder, NULL};
        wait_for(spawn(argv, "/dev/null", false, NULL));
    }
    nats_CloseAndWait(5000);
}

/* Stores. */

bool fixture_log_says(const struct fixture *fixture, const char *text)
{
    char log[128];
    log_path(fixture, "store", log, sizeof(log));
    FILE *file = fopen(log, "r");
    bool is_said = false;
    char line[4096];
    while (file != NULL && !is_said && fgets(line, sizeof(line), file) != NULL) {
        is_said = strstr(line, text) != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return is_said;
}

static size_t count_in_log(const struct fixture *fixture, const char *text)
{
    char log[128];
    log_path(fixture, "store", log, sizeof(log));
    FILE *file = fopen(log, "r");
    size_t count = 0;
    char line[4096];
    if (file != NULL && fseek(file, fixture->store_log_begin, SEEK_SET) == 0) {
        while (fgets(line, sizeof(line), file) != NULL) {
            count += strstr(line, text) != NULL;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

void store_wait_until_connected(struct fixture *fixture, size_t lanes)
{
    uint64_t until_ms = clock_monotonic_ms() + START_MS_MAX;
    while (count_in_log(fixture, "event=postgres_connected") < lanes) {
        if (clock_monotonic_ms() > until_ms) {
            give_up("not all lanes are connected");
        }
        sleep_ms(20);
    }
}

static long file_size(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (long)status.st_size : 0;
}

static pid_t start_program(struct fixture *fixture, const char *const *environment,
                           const char *const *argv)
{
    char database[200];
    char nats[100];
    char log[128];
    snprintf(database, sizeof(database), "DATABASE_URL=%s", fixture->database_url);
    snprintf(nats, sizeof(nats), "NATS_URL=%s", fixture->nats_url);
    log_path(fixture, "store", log, sizeof(log));
    fixture->store_log_begin = file_size(log);
    const char *settings[STORE_ENVIRONMENT_MAX + 4] = {database, nats, "ADMIN_PORT=0"};
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        settings[3 + i] = environment[i];
    }
    return spawn(argv, log, false, settings);
}

pid_t store_start(struct fixture *fixture, const char *const *environment, const char *argument)
{
    const char *argv[] = {PARLEY_STORE, argument, NULL};
    return start_program(fixture, environment, argv);
}

int store_run(struct fixture *fixture, const char *option, const char *argument)
{
    const char *argv[] = {PARLEY_STORE, option, argument, NULL};
    return wait_for(start_program(fixture, NULL, argv));
}

void store_wait_until_ready(struct fixture *fixture)
{
    struct bytes room = BYTES("lobby");
    struct contract_query heads = {.type = CONTRACT_HEADS,
                                   .heads = {.room_count = 1, .rooms = &room}};
    uint64_t until_ms = clock_monotonic_ms() + START_MS_MAX;
    for (;;) {
        struct contract_query_reply *reply = query(fixture, room, &heads);
        bool is_ready = reply != NULL && reply->status == CONTRACT_OK;
        contract_free(reply);
        if (is_ready) {
            return;
        }
        if (clock_monotonic_ms() > until_ms) {
            give_up("no store answers");
        }
        sleep_ms(20);
    }
}

int store_stop(pid_t pid, int signal)
{
    kill(pid, signal);
    return wait_for(pid);
}

int store_wait(pid_t pid)
{
    return wait_for(pid);
}

/* Requests. */

static natsMsg *request(struct fixture *fixture, const char *subject, const struct buf *payload,
                        int timeout_ms)
{
    natsMsg *reply = NULL;
    natsStatus status = natsConnection_Request(&reply, fixture->connection, subject, payload->data,
                                               (int)payload->len, timeout_ms);
    if (status != NATS_OK) {
        natsMsg_Destroy(reply); /* "no responders" comes as a message */
        return NULL;
    }
    return reply;
}

static struct bytes payload_of(natsMsg *message)
{
    return bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
}

struct contract_append_reply *append_once(struct fixture *fixture,
                                          const struct contract_append *append, int timeout_ms)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_append_subject(contract_shard(append->room), subject);
    struct buf payload = BUF_INIT;
    contract_encode_append(&payload, append);
    natsMsg *message = request(fixture, subject, &payload, timeout_ms);
    buf_release(&payload);
    struct contract_append_reply *reply =
        message == NULL ? NULL : contract_decode_append_reply(payload_of(message));
    natsMsg_Destroy(message);
    return reply;
}

struct contract_append_reply *append_until_answered(struct fixture *fixture,
                                                    const struct contract_append *append)
{
    struct contract_append again = *append;
    uint64_t until_ms = clock_monotonic_ms() + START_MS_MAX;
    for (;;) {
        struct contract_append_reply *reply = append_once(fixture, &again, 2000);
        if (reply != NULL && reply->status == CONTRACT_OK) {
            return reply;
        }
        contract_free(reply);
        again.repeat = true;
        if (clock_monotonic_ms() > until_ms) {
            give_up("an append is never answered");
        }
        sleep_ms(20);
    }
}

struct contract_query_reply *query(struct fixture *fixture, struct bytes room,
                                   const struct contract_query *asked)
{
    char subject[CONTRACT_SUBJECT_BYTES_MAX];
    contract_read_subject(contract_shard(room), subject);
    struct buf payload = BUF_INIT;
    contract_encode_query(&payload, asked);
    natsMsg *message = request(fixture, subject, &payload, 5000);
    buf_release(&payload);
    struct contract_query_reply *reply =
        message == NULL ? NULL : contract_decode_query_reply(payload_of(message));
    natsMsg_Destroy(message);
    return reply;
}
