/* args.c - words of a command line. */
#include "args.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

bool args_fail(struct buf *error, const char *option, const char *value, const char *must)
{
    buf_append_format(error, "%s is \"%s\", but must be %s.", option, value, must);
    return false;
}

enum args_result args_number(const struct number_option *table, const char *option,
                             const char *value, struct buf *error)
{
    for (; table->option != NULL; table++) {
        if (strcmp(option, table->option) != 0) {
            continue;
        }
        uint64_t number;
        if (!bytes_to_u64(bytes_of_string(value), &number) || number < table->min ||
            number > table->max) {
            char must[64];
            snprintf(must, sizeof(must), "a number from %u to %u", table->min, table->max);
            args_fail(error, option, value, must);
            return ARGS_WRONG;
        }
        *table->number = (uint32_t)number;
        return ARGS_TAKEN;
    }
    return ARGS_UNKNOWN;
}

bool args_seconds(const char *option, const char *value, uint32_t *ret_ms, struct buf *error)
{
    char *end;
    double seconds = strtod(value, &end);
    if (*value == '\0' || *end != '\0' || !(seconds >= 0 && seconds <= 3600)) {
        return args_fail(error, option, value, "a number of seconds from 0 to 3600");
    }
    *ret_ms = (uint32_t)(seconds * 1000);
    return true;
}

bool args_switch(const char *option, const char *value, bool *ret, struct buf *error)
{
    bool is_on = strcmp(value, "on") == 0;
    if (!is_on && strcmp(value, "off") != 0) {
        return args_fail(error, option, value, "on or off");
    }
    *ret = is_on;
    return true;
}

static bool parse_address(const char *text, struct sockaddr_in *ret)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) ||
        !bytes_to_u64(bytes_of_string(colon + 1), &port) || port < 1 || port > UINT16_MAX) {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

bool args_addresses(const char *option, char *value, struct addresses *addresses, struct buf *error)
{
    char *rest = value;
    for (char *item; (item = strsep(&rest, ",")) != NULL; addresses->count++) {
        if (addresses->count == ADDRESSES_MAX ||
            !parse_address(item, &addresses->of[addresses->count])) {
            return args_fail(error, option, item, "IPv4 addresses as in 127.0.0.1:3000");
        }
    }
    return true;
}

static bool parse_pid(const char *text, pid_t *ret)
{
    uint64_t pid;
    if (!bytes_to_u64(bytes_of_string(text), &pid) || pid < 1 || pid > INT32_MAX) {
        return false;
    }
    *ret = (pid_t)pid;
    return true;
}

static bool parse_servers(char *value, struct meter *meter)
{
    char *rest = value;
    for (char *item; (item = strsep(&rest, ",")) != NULL; meter->server_count++) {
        if (meter->server_count == PROCESSES_MAX ||
            !parse_pid(item, &meter->servers[meter->server_count])) {
            return false;
        }
    }
    return true;
}

static bool parse_watched(const char *value, struct meter *meter)
{
    struct watched_process *watched = &meter->watched[meter->watched_count];
    const char *equals = strchr(value, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - value);
    if (len == 0 || len >= PROCESS_NAME_BYTES_MAX || meter->watched_count == PROCESSES_MAX ||
        strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != len ||
        !parse_pid(equals + 1, &watched->pid)) {
        return false;
    }
    memcpy(watched->name, value, len);
    watched->name[len] = '\0';
    meter->watched_count++;
    return true;
}

enum args_result args_meter(const char *option, char *value, struct meter *meter, struct buf *error)
{
    const char *must;
    if (strcmp(option, "--server-pid") == 0) {
        must = parse_servers(value, meter) ? NULL : "process ids, separated by commas";
    } else if (strcmp(option, "--watch") == 0) {
        must = parse_watched(value, meter) ? NULL : "as in store=1234";
    } else {
        return ARGS_UNKNOWN;
    }
    if (must != NULL) {
        args_fail(error, option, value, must);
        return ARGS_WRONG;
    }
    return ARGS_TAKEN;
}
