/*
 * fixture.h - real parts for tests: a private Postgres, a private NATS, and store-services as processes.
 *
 * Everything lives in one folder under /tmp and on ports that the kernel chose, so that tests can run side by side. What
 * was started is stopped by fixture_stop(), by process id. A test that cannot start its parts ends the program.
 */
#ifndef PARLEY_STORE_FIXTURE_H
#define PARLEY_STORE_FIXTURE_H

#include "proto/contract.h"

#include <libpq-fe.h>
#include <nats/nats.h>
#include <sys/types.h>

struct fixture {
    char folder[64];
    char database_url[160];
    char nats_url[64];
    pid_t postgres, nats;
    natsConnection *connection; /* the tests' own, as a gateway has one */
    long store_log_begin;       /* where the log of the store that was started last begins */
};

/* Starts Postgres and NATS. */
void fixture_start(struct fixture *fixture);
void fixture_stop(struct fixture *fixture);

/* Ends Postgres as a crash does, and starts it again. */
void fixture_postgres_stop(struct fixture *fixture);
void fixture_postgres_start(struct fixture *fixture);

/* Kills NATS and starts it again, on the same port; connections come back by themselves. */
void fixture_nats_restart(struct fixture *fixture);

/* Empties the fixture's database: no store may be running. */
void fixture_database_reset(struct fixture *fixture);

/* Runs @sql in the fixture's database; returns the first field as a number, 0 when there is none. */
long long fixture_sql(struct fixture *fixture, const char *sql);

/* A connection to the fixture's database; PQfinish() it. */
PGconn *fixture_database_connect(struct fixture *fixture);

/* Sends @signal to the Postgres processes that serve stores: SIGSTOP freezes them. */
void fixture_backends_signal(struct fixture *fixture, int signal);

enum { STORE_ENVIRONMENT_MAX = 8 };

/*
 * Starts parley-store with the fixture's DATABASE_URL and NATS_URL and the settings in @environment ("NAME=value",
 * NULL-terminated, or NULL), and with @argument if that is not NULL.
 */
pid_t store_start(struct fixture *fixture, const char *const *environment, const char *argument);

/* Runs parley-store with an option, as --delete-room, and its argument; returns its exit status. */
int store_run(struct fixture *fixture, const char *option, const char *argument);

/* Whether what stores have written to standard error holds @text. */
bool fixture_log_says(const struct fixture *fixture, const char *text);

/* Waits until some store answers. */
void store_wait_until_ready(struct fixture *fixture);

/* Waits until @lanes lanes of the store that was started last are connected: none is preparing a connection any more. */
void store_wait_until_connected(struct fixture *fixture, size_t lanes);

/* Sends @signal and waits for the end; returns the exit status, or -1 when it died of a signal. */
int store_stop(pid_t pid, int signal);

/* Waits for the end of a process that ends by itself, at most 10 s; returns its exit status. */
int store_wait(pid_t pid);

/* One attempt. Returns owned, or NULL when nobody answered in @timeout_ms. */
struct contract_append_reply *append_once(struct fixture *fixture,
                                          const struct contract_append *append, int timeout_ms);

/* As a gateway does it: the same again, marked as a repeat, until it is answered with CONTRACT_OK. Returns owned. */
struct contract_append_reply *append_until_answered(struct fixture *fixture,
                                                    const struct contract_append *append);

/* Returns owned; NULL when nobody answered in 5 s. */
struct contract_query_reply *query(struct fixture *fixture, struct bytes room,
                                   const struct contract_query *asked);

void sleep_ms(unsigned ms);

#endif
