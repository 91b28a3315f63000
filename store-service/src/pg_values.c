#include "pg.h"

#include <endian.h>

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT4 = 23, OID_TEXT = 25 };
enum { OID_INT4_ARRAY = 1007, OID_TEXT_ARRAY = 1009 };

/* Between 1970 and 2000, where Postgres counts from. */
static const int64_t postgres_epoch_ms = 946684800000;

/* What errors mean. */

static bool has_class(const char *sqlstate, const char *class)
{
    return strncmp(sqlstate, class, strlen(class)) == 0;
}

enum store_result pg_classify(const char *sqlstate)
{
    if (sqlstate == NULL || strlen(sqlstate) != 5) {
        return STORE_RETRY;
    }
    /* unique_violation: somebody wrote around parley_append(); that is not the message's fault. */
    if (strcmp(sqlstate, "55P03") == 0) { /* lock_not_available */
        return STORE_BUSY;
    }
    if (strcmp(sqlstate, "23505") == 0) {
        return STORE_RETRY;
    }
    /* Data exception, integrity constraint violation, program limit exceeded. */
    if (has_class(sqlstate, "22") || has_class(sqlstate, "23") || has_class(sqlstate, "54")) {
        return STORE_REFUSED;
    }
    return STORE_RETRY;
}

bool pg_ends_connection(const char *sqlstate)
{
    if (sqlstate == NULL) {
        return false;
    }
    /* Also where a prepared statement is not there any more, or a migration has changed what its columns are. */
    return has_class(sqlstate, "25") || has_class(sqlstate, "57P") ||
           strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0;
}

/* Parameters. */

static void put_int32(struct buf *out, int32_t value)
{
    uint32_t wire = htobe32((uint32_t)value);
    buf_append(out, &wire, sizeof(wire));
}

static void param_start(struct pg_params *params, unsigned type)
{
    ASSERT(params->count < PG_PARAMS_MAX);
    params->types[params->count] = type;
    params->starts[params->count++] = params->data.len;
}

void pg_params_init(struct pg_params *params)
{
    *params = (struct pg_params){0};
}

void pg_params_release(struct pg_params *params)
{
    buf_release(&params->data);
}

void pg_param_bool(struct pg_params *params, bool value)
{
    param_start(params, OID_BOOL);
    buf_append_char(&params->data, value ? 1 : 0);
}

void pg_param_int8(struct pg_params *params, int64_t value)
{
    param_start(params, OID_INT8);
    uint64_t wire = htobe64((uint64_t)value);
    buf_append(&params->data, &wire, sizeof(wire));
}

void pg_param_text(struct pg_params *params, struct bytes text)
{
    param_start(params, OID_TEXT);
    buf_append_bytes(&params->data, text);
}

/* The header of a one-dimensional array without NULLs: array_recv() in Postgres's arrayfuncs.c. */
static void param_array(struct pg_params *params, unsigned type, int32_t element, size_t count)
{
    param_start(params, type);
    put_int32(&params->data, count == 0 ? 0 : 1); /* dimensions */
    put_int32(&params->data, 0);                  /* flags */
    put_int32(&params->data, element);
    if (count > 0) {
        put_int32(&params->data, (int32_t)count);
        put_int32(&params->data, 1); /* the first one's subscript */
    }
}

void pg_param_text_array(struct pg_params *params, size_t count)
{
    param_array(params, OID_TEXT_ARRAY, OID_TEXT, count);
}

void pg_param_int4_array(struct pg_params *params, size_t count)
{
    param_array(params, OID_INT4_ARRAY, OID_INT4, count);
}

void pg_element_text(struct pg_params *params, struct bytes text)
{
    put_int32(&params->data, (int32_t)text.len);
    buf_append_bytes(&params->data, text);
}

void pg_element_int4(struct pg_params *params, int32_t value)
{
    put_int32(&params->data, sizeof(value));
    put_int32(&params->data, value);
}

/* Results. */

static const char *field(const PGresult *result, int row, int column, size_t size)
{
    ASSERT(!PQgetisnull(result, row, column));
    ASSERT((size_t)PQgetlength(result, row, column) == size);
    return PQgetvalue(result, row, column);
}

int64_t pg_int8(const PGresult *result, int row, int column)
{
    uint64_t wire;
    memcpy(&wire, field(result, row, column, sizeof(wire)), sizeof(wire));
    return (int64_t)be64toh(wire);
}

int32_t pg_int4(const PGresult *result, int row, int column)
{
    uint32_t wire;
    memcpy(&wire, field(result, row, column, sizeof(wire)), sizeof(wire));
    return (int32_t)be32toh(wire);
}

bool pg_bool(const PGresult *result, int row, int column)
{
    return *field(result, row, column, 1) != 0;
}

struct bytes pg_text(const PGresult *result, int row, int column)
{
    return bytes_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

uint64_t pg_time_ms(const PGresult *result, int row, int column)
{
    return (uint64_t)(pg_int8(result, row, column) / 1000 + postgres_epoch_ms);
}
