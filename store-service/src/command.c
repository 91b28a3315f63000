#include "command.h"

#include "check.h"
#include "database.h"
#include "erase.h"
#include "export.h"
#include "limits.h"

#include <stdio.h>

enum { FAILED = -1 }; /* the reason is told */

/* For whoever restored a database in a way that Postgres itself does not tell. */
static int start_new_epoch(const struct command *command, struct pg *pg, struct buf *why)
{
    (void)command;
    struct buf note = BUF_INIT;
    bool is_done = database_prepare(pg, true, &note) == DATABASE_READY;
    if (is_done) {
        printf("%.*s\n", BYTES_FMT(buf_bytes(&note)));
    } else {
        buf_append_bytes(why, buf_bytes(&note));
    }
    buf_release(&note);
    return is_done ? 0 : FAILED;
}

static int check(const struct command *command, struct pg *pg, struct buf *why)
{
    static const int exit_statuses[] = {
        [CHECK_WHOLE] = 0, [CHECK_DAMAGED] = 1, [CHECK_IMPOSSIBLE] = FAILED};
    (void)command;
    return exit_statuses[check_database(pg, stdout, why)];
}

static int delete_room(const struct command *command, struct pg *pg, struct buf *why)
{
    struct pg_params params;
    pg_params_init(&params);
    pg_param_text(&params, bytes_of_string(command->argument));
    PGresult *result = NULL;
    bool is_run = database_prepare(pg, false, why) == DATABASE_READY &&
                  pg_run_script(pg, "SET statement_timeout = 0; SET lock_timeout = 0",
                                STATEMENT_DEADLINE_MS, why) == STORE_COMMITTED &&
                  pg_run(pg, "SELECT parley_delete_room($1)", &params, DELETE_DEADLINE_MS, &result,
                         why) == STORE_COMMITTED;
    pg_params_release(&params);
    bool is_there = is_run && !PQgetisnull(result, 0, 0);
    if (is_there) {
        long long head = (long long)pg_int8(result, 0, 0);
        printf("The messages of %s up to %lld are deleted; the next one there will be %lld.\n",
               command->argument, head, head + 1);
    } else if (is_run) {
        buf_append_bytes(why, BYTES("nobody has ever said anything in a room of that name."));
    }
    PQclear(result);
    return is_there ? 0 : FAILED;
}

static int erase(const struct command *command, struct pg *pg, struct buf *why)
{
    return erase_user(pg, bytes_of_string(command->argument), stdout, why) ? 0 : FAILED;
}

static int export(const struct command *command, struct pg *pg, struct buf *why)
{
    return export_room(pg, bytes_of_string(command->argument), stdout, why) ? 0 : FAILED;
}

struct command command_of(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(name, "--new-epoch") == 0) {
        return (struct command){
            .run = start_new_epoch,
            .failure = "No new epoch began in the database of DATABASE_URL",
            .exit_status_failure = 1,
        };
    }
    if (argc == 2 && strcmp(name, "--check") == 0) {
        return (struct command){
            .run = check,
            .failure = "The log could not be checked",
            .exit_status_failure = 2,
        };
    }
    if (argc == 3 && strcmp(name, "--delete-room") == 0) {
        return (struct command){
            .run = delete_room,
            .argument = argv[2],
            .failure = "Nothing was deleted",
            .exit_status_failure = 1,
        };
    }
    if (argc == 3 && strcmp(name, "--erase-user") == 0) {
        return (struct command){
            .run = erase,
            .argument = argv[2],
            .failure = "Not everything was erased",
            .exit_status_failure = 1,
        };
    }
    if (argc == 3 && strcmp(name, "--export") == 0) {
        return (struct command){
            .run = export,
            .argument = argv[2],
            .failure = "The room was not exported, or not to its end",
            .exit_status_failure = 1,
        };
    }
    return (struct command){0};
}

int command_run(const struct command *command, const struct store_config *config)
{
    struct buf why = BUF_INIT;
    struct pg pg = {0};
    int exit_status = FAILED;
    struct pg_target *target = pg_target_new(config->database_url, &why);
    if (target != NULL) {
        pg_init(&pg, target);
        if (pg_connect(&pg, &why) == PG_CONNECTED) {
            exit_status = command->run(command, &pg, &why);
        }
    }
    if (exit_status == FAILED) {
        fprintf(stderr, "parley-store: %s: %.*s\n", command->failure, BYTES_FMT(buf_bytes(&why)));
        exit_status = command->exit_status_failure;
    }
    pg_release(&pg);
    pg_target_free(target);
    buf_release(&why);
    return exit_status;
}
