/*
 * access_log.h - one line a request on standard output, in the formats that morgan has, or as JSON.
 *
 * morgan's definitions, token by token; what is not known is "-". Characters that could forge a line or a field (quotes,
 * backslashes, control characters) are written as \xHH. "dev" is coloured where standard output is a terminal. An upgrade
 * to WebSocket is logged when it is done, with status 101.
 */
#ifndef PARLEY_EDGE_ACCESS_LOG_H
#define PARLEY_EDGE_ACCESS_LOG_H

#include <h2o.h>

/* In the order of ACCESS_LOG's choices in config.def. */
enum access_log_format {
    ACCESS_LOG_OFF,
    ACCESS_LOG_COMBINED,
    ACCESS_LOG_COMMON,
    ACCESS_LOG_DEV,
    ACCESS_LOG_SHORT,
    ACCESS_LOG_TINY,
    ACCESS_LOG_JSON,
};

/* Has every request to @path logged. Call before the path's contexts are made. */
void access_log_register(h2o_pathconf_t *path, enum access_log_format format);

#endif
