/*
 * command.h - what parley-store does once, on a connection of its own, instead of running: --new-epoch, --check,
 * --delete-room, --erase-user and --export.
 */
#ifndef PARLEY_STORE_COMMAND_H
#define PARLEY_STORE_COMMAND_H

#include "config.h"
#include "pg.h"

#define COMMAND_HELP                                                                             \
    "  --new-epoch         begins a new epoch, and ends\n"                                       \
    "  --check             looks for holes, duplicates and overlapping epochs in the log,\n"     \
    "                      changes nothing, and ends: with 0 when it is whole, 1 when it is\n"   \
    "                      not, and 2 when it could not look\n"                                  \
    "  --delete-room NAME  deletes all messages of a room, and ends; ids go on behind the old\n" \
    "                      ones\n"                                                               \
    "  --erase-user NAME   replaces what a user has said in all rooms, and ends; ids stay\n"     \
    "  --export ROOM       writes the messages of a room as lines of JSON, and ends"

struct command {
    /* Does it, says so on standard output, and returns the exit status; or appends to @why why it could not, and does not. */
    int (*run)(const struct command *command, struct pg *pg, struct buf *why);
    const char *argument;
    const char *failure; /* how the sentence begins that ends in the reason */
    int exit_status_failure;
};

/* The command that the arguments ask for; one whose run is NULL when they ask for none. Borrows @argv. */
struct command command_of(int argc, char **argv);

/* Connects, runs @command, says on standard error what went wrong, and returns the exit status. */
int command_run(const struct command *command, const struct store_config *config);

#endif
