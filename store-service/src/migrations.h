/*
 * migrations.h - the files of migrations/, as the build put them into the program.
 *
 * Numbers go up from 1 without holes. A file's first line may be  "-- oldest program: N"  : the schema is then of no use
 * to programs that know fewer than N migrations. Without it, older programs work with it too, which is what keeps
 * versions N and N-1 running side by side.
 */
#ifndef PARLEY_STORE_MIGRATIONS_H
#define PARLEY_STORE_MIGRATIONS_H

#include <stddef.h>

struct migration {
    int number;
    const char *name; /* 0001_tables */
    const char *sql;  /* NUL-terminated */
};

extern const struct migration migrations[];
extern const size_t migrations_count;

#endif
