/* options.c - a table of options, and what does not fit together. */
#include "options.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "parley-load MODE --connect HOST:PORT[,…] [OPTION VALUE]…\n"
    "\n"
    "Opens many Socket.IO connections, measures, checks what arrives, and prints one line of "
    "JSON.\n"
    "\n"
    "MODE   fanout   senders keep --window messages in flight each; one is done when all members "
    "have it\n"
    "       ack      the same, but one is done when it is acknowledged\n"
    "       idle     connections that say nothing: memory and CPU of the servers\n"
    "       storm    prints \"joined\" and waits until somebody kills the servers of --connect; "
    "then "
    "all come\n"
    "                back at once, to --back, with their sessions\n"
    "\n"
    "  --connect HOST:PORT[,…]    IPv4 addresses of the servers; connections take turns\n"
    "  --members N                connections (1000; ack: 100)\n"
    "  --senders N                how many of them send (fanout 1, ack: all)\n"
    "  --window N                 messages in flight for each sender (1)\n"
    "  --rooms N                  rooms, in which the connections take turns (1)\n"
    "  --room PREFIX              their names' beginning; default is random: rooms must be fresh\n"
    "  --body BYTES               length of a message's text (128)\n"
    "  --echo on|off              whether senders get their own messages; off in ack mode only "
    "(on)\n"
    "  --warmup SECONDS           not measured; idle: time to settle (1)\n"
    "  --seconds SECONDS          measured (5)\n"
    "  --server-pid PID[,…]       the servers, for CPU time and memory; idle needs it\n"
    "  --back HOST:PORT[,…]       storm: where they come back\n"
    "  --witness HOST:PORT[,…]    storm: where the witnesses are, who lose no connection and talk "
    "meanwhile\n"
    "  --witnesses N              storm: how many of the members they are (100)\n"
    "  --missed N                 storm: messages of each room that the others miss (1000)\n"
    "  --every SECONDS            storm: time between the witnesses' messages (0.1)\n"
    "  --watch NAME=PID           another process whose CPU time, with its children's, is told; "
    "repeatable\n";

static void fail(struct buf *error, const char *option, const char *value, const char *must)
{
    buf_append_format(error, "%s is \"%s\", but must be %s.", option, value, must);
}

static bool parse_number(const char *option, const char *value, uint32_t min, uint32_t max,
                         uint32_t *ret, struct buf *error)
{
    uint64_t number;
    if (!bytes_to_u64(bytes_of_string(value), &number) || number < min || number > max) {
        char must[64];
        snprintf(must, sizeof(must), "a number from %u to %u", min, max);
        fail(error, option, value, must);
        return false;
    }
    *ret = (uint32_t)number;
    return true;
}

static bool parse_seconds(const char *option, const char *value, uint32_t *ret_ms,
                          struct buf *error)
{
    char *end;
    double seconds = strtod(value, &end);
    if (*value == '\0' || *end != '\0' || !(seconds >= 0 && seconds <= 3600)) {
        fail(error, option, value, "a number of seconds from 0 to 3600");
        return false;
    }
    *ret_ms = (uint32_t)(seconds * 1000);
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

static bool parse_pid(const char *text, pid_t *ret)
{
    uint64_t pid;
    if (!bytes_to_u64(bytes_of_string(text), &pid) || pid < 1 || pid > INT32_MAX) {
        return false;
    }
    *ret = (pid_t)pid;
    return true;
}

/* Both lists are short; the value's commas are cut in place. */
static bool parse_addresses(char *value, struct addresses *addresses)
{
    char *rest = value;
    for (char *item; (item = strsep(&rest, ",")) != NULL; addresses->count++) {
        if (addresses->count == ADDRESSES_MAX ||
            !parse_address(item, &addresses->of[addresses->count])) {
            return false;
        }
    }
    return true;
}

static bool parse_servers(char *value, struct load_options *options)
{
    char *rest = value;
    for (char *item; (item = strsep(&rest, ",")) != NULL; options->server_count++) {
        if (options->server_count == PROCESSES_MAX ||
            !parse_pid(item, &options->servers[options->server_count])) {
            return false;
        }
    }
    return true;
}

static bool parse_watched(const char *value, struct load_options *options)
{
    struct watched_process *watched = &options->watched[options->watched_count];
    const char *equals = strchr(value, '=');
    size_t len = equals == NULL ? 0 : (size_t)(equals - value);
    if (len == 0 || len >= PROCESS_NAME_BYTES_MAX || options->watched_count == PROCESSES_MAX ||
        strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_") != len ||
        !parse_pid(equals + 1, &watched->pid)) {
        return false;
    }
    memcpy(watched->name, value, len);
    watched->name[len] = '\0';
    options->watched_count++;
    return true;
}

static bool parse_room(const char *value, struct load_options *options)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t len = strlen(value);
    if (len == 0 || len > ROOM_PREFIX_BYTES_MAX || strspn(value, LETTERS) != len) {
        return false;
    }
    memcpy(options->room_prefix, value, len + 1);
    return true;
}

/* Options whose value is a list or a word. */
static bool parse_other(const char *option, char *value, struct load_options *options,
                        struct buf *error)
{
    const struct {
        const char *option;
        struct addresses *addresses;
    } lists[] = {{"--connect", &options->connect},
                 {"--back", &options->back_to},
                 {"--witness", &options->witness_of}};
    const char *must = NULL;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        if (strcmp(option, lists[i].option) == 0) {
            if (!parse_addresses(value, lists[i].addresses)) {
                fail(error, option, value, "IPv4 addresses as in 127.0.0.1:3000");
                return false;
            }
            return true;
        }
    }
    if (strcmp(option, "--server-pid") == 0) {
        must = parse_servers(value, options) ? NULL : "process ids, separated by commas";
    } else if (strcmp(option, "--watch") == 0) {
        must = parse_watched(value, options) ? NULL : "as in store=1234";
    } else if (strcmp(option, "--room") == 0) {
        must = parse_room(value, options) ? NULL : "1 to 48 letters and digits";
    } else if (strcmp(option, "--echo") == 0) {
        options->has_echo = strcmp(value, "on") == 0;
        must = options->has_echo || strcmp(value, "off") == 0 ? NULL : "on or off";
    } else {
        buf_append_format(error, "There is no option %s: parley-load --help lists them.", option);
        return false;
    }
    if (must != NULL) {
        fail(error, option, value, must);
    }
    return must == NULL;
}

static bool parse_option(const char *option, char *value, struct load_options *options,
                         struct buf *error)
{
    const struct {
        const char *option;
        uint32_t *number;
        uint32_t min, max;
    } numbers[] = {
        {"--members", &options->members, 1, 1000000},
        {"--senders", &options->senders, 1, 1000000},
        {"--window", &options->window, 1, 1024},
        {"--rooms", &options->rooms, 1, 1000000},
        {"--body", &options->body_bytes, 8, 16384}, /* a sender's number has 8 digits */
        {"--witnesses", &options->witnesses, 1, 1000000},
        {"--missed", &options->missed, 0, 10000}, /* more are a gap: RECOVERY_MAX */
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (strcmp(option, numbers[i].option) == 0) {
            return parse_number(option, value, numbers[i].min, numbers[i].max, numbers[i].number,
                                error);
        }
    }
    if (strcmp(option, "--warmup") == 0) {
        return parse_seconds(option, value, &options->warmup_ms, error);
    }
    if (strcmp(option, "--seconds") == 0) {
        return parse_seconds(option, value, &options->duration_ms, error);
    }
    if (strcmp(option, "--every") == 0) {
        return parse_seconds(option, value, &options->every_ms, error);
    }
    return parse_other(option, value, options, error);
}

static bool parse_mode(const char *text, enum load_mode *ret)
{
    static const char *const NAMES[] = {"fanout", "ack", "idle", "storm"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (strcmp(text, NAMES[i]) == 0) {
            *ret = (enum load_mode)i;
            return true;
        }
    }
    return false;
}

static void set_defaults(struct load_options *options)
{
    if (options->members == 0) {
        options->members = options->mode == LOAD_ACK ? 100 : 1000;
    }
    if (options->senders == 0 && (options->mode == LOAD_FANOUT || options->mode == LOAD_ACK)) {
        options->senders = options->mode == LOAD_ACK ? options->members : 1;
    }
    if (options->room_prefix[0] == '\0') {
        snprintf(options->room_prefix, sizeof(options->room_prefix), "bench%016llx",
                 (unsigned long long)random_u64());
    }
}

static const char *find_contradiction(const struct load_options *options)
{
    if (options->connect.count == 0) {
        return "--connect must say where the servers are, as in --connect 127.0.0.1:3000.";
    }
    if (options->rooms > options->members) {
        return "--rooms must not be more than --members: a room without a member is none.";
    }
    if (options->mode == LOAD_IDLE && options->server_count == 0) {
        return "idle needs --server-pid: memory is what it measures.";
    }
    bool has_senders = options->mode == LOAD_FANOUT || options->mode == LOAD_ACK;
    if (!has_senders && options->senders > 0) {
        return "--senders are for fanout and ack mode.";
    }
    if (options->mode == LOAD_STORM &&
        (options->back_to.count == 0 || options->witness_of.count == 0)) {
        return "storm needs --back and --witness.";
    }
    if (options->mode == LOAD_STORM &&
        (options->witnesses >= options->members || options->witnesses < options->rooms)) {
        return "--witnesses must be less than --members, and one for each of the --rooms at least.";
    }
    if (options->senders > options->members) {
        return "--senders must not be more than --members: they are some of them.";
    }
    if (!options->has_echo && options->mode != LOAD_ACK) {
        return "--echo off is for ack mode: elsewhere a message is done when all members have it.";
    }
    if (options->duration_ms == 0) {
        return "--seconds must be more than 0.";
    }
    return NULL;
}

bool options_parse(int argc, char **argv, struct load_options *ret_options, struct buf *ret_error)
{
    struct load_options options = {
        .window = 1,
        .rooms = 1,
        .body_bytes = 128,
        .warmup_ms = 1000,
        .duration_ms = 5000,
        .has_echo = true,
        .witnesses = 100,
        .missed = 1000,
        .every_ms = 100,
    };
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : EXIT_SUCCESS);
    }
    if (!parse_mode(argv[1], &options.mode)) {
        fail(ret_error, "The mode", argv[1], "fanout, ack, idle or storm");
        return false;
    }
    for (int i = 2; i < argc; i += 2) {
        if (i + 1 == argc) {
            buf_append_format(ret_error, "%s lacks its value.", argv[i]);
            return false;
        }
        if (!parse_option(argv[i], argv[i + 1], &options, ret_error)) {
            return false;
        }
    }
    set_defaults(&options);
    const char *contradiction = find_contradiction(&options);
    if (contradiction != NULL) {
        buf_append_bytes(ret_error, bytes_of_string(contradiction));
        return false;
    }
    *ret_options = options;
    return true;
}
