/* options.c - a table of options, and what does not fit together. */
#include "options.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

static const char HELP[] =
    "parley-load MODE --connect HOST:PORT[,…] [OPTION VALUE]…\n"
    "\n"
    "Opens many connections, measures, checks what arrives, and prints one line of JSON.\n"
    "\n"
    "MODE   fanout     senders keep --window messages in flight each; one is done when all members "
    "have it\n"
    "       ack        the same, but one is done when it is acknowledged\n"
    "       deliver    messages at a steady --rate: how late each member has each of them\n"
    "       idle       connections that say nothing: memory and CPU of the servers\n"
    "       churn      the last --churners of the members come and go all the time\n"
    "       recovery   all but the witnesses leave, miss something, and come back at once\n"
    "       storm      prints \"joined\" and waits until somebody kills the servers of --connect; "
    "then all\n"
    "                  come back at once, to --back, with their sessions\n"
    "\n"
    "  --connect HOST:PORT[,…]    IPv4 addresses of the servers; connections take turns\n"
    "  --speak LANGUAGE           parley (default); tutorial: Socket.IO as its tutorial's server "
    "does, in one\n"
    "                             room; plain: WebSockets at /ROOM that hand on whatever text "
    "comes\n"
    "  --members N                connections (1000; ack: 100)\n"
    "  --senders N                how many of them send (fanout, deliver: 1; ack: all)\n"
    "  --window N                 messages in flight for each sender (1)\n"
    "  --messages N               fanout, ack: so many messages, without warm-up, instead of "
    "--seconds\n"
    "  --rooms N                  rooms, in which the connections take turns (1)\n"
    "  --rooms-each N             idle: each connection in N rooms of its own\n"
    "  --room PREFIX              their names' beginning; default is random: rooms must be fresh\n"
    "  --body BYTES               length of a message's text (128)\n"
    "  --echo on|off              whether senders get their own messages; off in ack mode only "
    "(on)\n"
    "  --warmup SECONDS           not measured; idle: time to settle (1)\n"
    "  --seconds SECONDS          measured (5)\n"
    "  --rate N                   deliver: messages a second (10); 0: only listens\n"
    "  --settle SECONDS           deliver: silence before the warm-up (0)\n"
    "  --nats URL                 deliver: publishes as a store-service does, and is one\n"
    "  --churners N               churn: how many come and go at a time (32)\n"
    "  --joins N                  churn: how many of them a second; 0: as fast as it goes (0)\n"
    "  --presence on|off          churn: whether members want to know who is here (off)\n"
    "  --back HOST:PORT[,…]       storm, recovery: where they come back\n"
    "  --witness HOST:PORT[,…]    storm, recovery: where the witnesses are, who lose no "
    "connection\n"
    "  --witnesses N              how many of the members they are (storm 100, recovery 1)\n"
    "  --missed N                 messages of each room that the others miss (1000)\n"
    "  --every SECONDS            time between the witnesses' messages while the others come back "
    "(storm 0.1);\n"
    "                             0: they are silent then\n"
    "  --server-pid PID[,…]       the servers, for CPU time and memory; idle needs it\n"
    "  --watch NAME=PID           another process whose CPU time, with its children's, is told; "
    "repeatable\n";

static bool parse_room(const char *option, const char *value, struct load_options *options,
                       struct buf *error)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t len = strlen(value);
    if (len == 0 || len > ROOM_PREFIX_BYTES_MAX || strspn(value, LETTERS) != len) {
        return args_fail(error, option, value, "1 to 48 letters and digits");
    }
    memcpy(options->room_prefix, value, len + 1);
    return true;
}

static bool parse_nats(const char *option, const char *value, struct load_options *options,
                       struct buf *error)
{
    size_t len = strlen(value);
    if (len == 0 || len > NATS_URL_BYTES_MAX) {
        return args_fail(error, option, value, "as in nats://127.0.0.1:4222");
    }
    memcpy(options->nats_url, value, len + 1);
    return true;
}

static bool parse_dialect(const char *option, const char *value, enum client_dialect *ret,
                          struct buf *error)
{
    static const char *const NAMES[] = {"parley", "tutorial", "plain"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (strcmp(value, NAMES[i]) == 0) {
            *ret = (enum client_dialect)i;
            return true;
        }
    }
    return args_fail(error, option, value, "parley, tutorial or plain");
}

/* Options that are neither numbers nor processes. */
static bool parse_other(const char *option, char *value, struct load_options *options,
                        struct buf *error)
{
    const struct {
        const char *option;
        struct addresses *addresses;
    } lists[] = {{"--connect", &options->connect},
                 {"--back", &options->back_to},
                 {"--witness", &options->witness_of}};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        if (strcmp(option, lists[i].option) == 0) {
            return args_addresses(option, value, lists[i].addresses, error);
        }
    }
    const struct {
        const char *option;
        uint32_t *ms;
    } times[] = {{"--warmup", &options->warmup_ms},
                 {"--seconds", &options->duration_ms},
                 {"--settle", &options->settle_ms},
                 {"--every", &options->every_ms}};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        if (strcmp(option, times[i].option) == 0) {
            return args_seconds(option, value, times[i].ms, error);
        }
    }
    if (strcmp(option, "--speak") == 0) {
        return parse_dialect(option, value, &options->dialect, error);
    }
    if (strcmp(option, "--room") == 0) {
        return parse_room(option, value, options, error);
    }
    if (strcmp(option, "--nats") == 0) {
        return parse_nats(option, value, options, error);
    }
    if (strcmp(option, "--echo") == 0) {
        return args_switch(option, value, &options->has_echo, error);
    }
    if (strcmp(option, "--presence") == 0) {
        return args_switch(option, value, &options->has_presence, error);
    }
    buf_append_format(error, "There is no option %s: parley-load --help lists them.", option);
    return false;
}

static bool parse_option(const char *option, char *value, struct load_options *options,
                         struct buf *error)
{
    const struct number_option numbers[] = {
        {"--members", &options->members, 1, 1000000},
        {"--senders", &options->senders, 1, 1000000},
        {"--window", &options->window, 1, 1024},
        {"--messages", &options->messages, 1, 100000000},
        {"--rooms", &options->rooms, 1, 1000000},
        {"--rooms-each", &options->rooms_each, 1, 10000},
        {"--body", &options->body_bytes, 16, 16384}, /* a time has 16 digits */
        {"--rate", &options->rate, 0, 1000000},
        {"--churners", &options->churners, 1, 1000000},
        {"--joins", &options->joins_per_s, 0, 1000000},
        {"--witnesses", &options->witnesses, 1, 1000000},
        {"--missed", &options->missed, 0, 10000}, /* more are a gap: RECOVERY_MAX */
        {NULL, NULL, 0, 0},
    };
    enum args_result result = args_number(numbers, option, value, error);
    if (result == ARGS_UNKNOWN) {
        result = args_meter(option, value, &options->meter, error);
    }
    return result == ARGS_UNKNOWN ? parse_other(option, value, options, error)
                                  : result == ARGS_TAKEN;
}

static bool parse_mode(const char *text, enum load_mode *ret)
{
    static const char *const NAMES[] = {"fanout", "ack",      "deliver", "idle",
                                        "churn",  "recovery", "storm"};
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
    bool is_ack = options->mode == LOAD_ACK;
    if (options->members == 0) {
        options->members = is_ack ? 100 : 1000;
    }
    if (options->senders == 0 && (is_ack || options->mode == LOAD_FANOUT)) {
        options->senders = is_ack ? options->members : 1;
    }
    if (options->witnesses == 0) {
        options->witnesses = options->mode == LOAD_RECOVERY ? 1 : 100;
    }
    if (options->mode == LOAD_RECOVERY) {
        if (options->back_to.count == 0) {
            options->back_to = options->connect;
        }
        if (options->witness_of.count == 0) {
            options->witness_of = options->connect;
        }
    }
    if (options->room_prefix[0] == '\0') {
        snprintf(options->room_prefix, sizeof(options->room_prefix), "bench%016llx",
                 (unsigned long long)random_u64());
    }
}

static const char *find_contradiction_of_return(const struct load_options *options)
{
    if (options->back_to.count == 0 || options->witness_of.count == 0) {
        return "storm needs --back and --witness.";
    }
    if (options->witnesses >= options->members || options->witnesses < options->rooms) {
        return "--witnesses must be less than --members, and one for each of the --rooms at least.";
    }
    return options->dialect == CLIENT_PLAIN ? "Nobody comes back to a plain WebSocket." : NULL;
}

static const char *find_contradiction(const struct load_options *options)
{
    bool has_senders = options->mode == LOAD_FANOUT || options->mode == LOAD_ACK;
    if (options->connect.count == 0) {
        return "--connect must say where the servers are, as in --connect 127.0.0.1:3000.";
    }
    if (options->rooms > options->members) {
        return "--rooms must not be more than --members: a room without a member is none.";
    }
    if (options->rooms > 1 && options->dialect == CLIENT_TUTORIAL) {
        return "The tutorial's server has one room.";
    }
    if (options->dialect == CLIENT_PLAIN && (options->mode == LOAD_ACK || options->senders > 1)) {
        return "A plain WebSocket acknowledges nothing, and numbers nothing: it needs one sender.";
    }
    if (options->mode == LOAD_IDLE && options->meter.server_count == 0) {
        return "idle needs --server-pid: memory is what it measures.";
    }
    if (options->rooms_each > 1 &&
        (options->mode != LOAD_IDLE || options->rooms > 1 || options->dialect != CLIENT_PARLEY)) {
        return "--rooms-each is for idle mode, and without --rooms.";
    }
    if (!has_senders && (options->senders > 0 || options->messages > 0)) {
        return "--senders and --messages are for fanout and ack mode.";
    }
    if (options->nats_url[0] != '\0' && (options->mode != LOAD_DELIVER || options->rooms > 1)) {
        return "--nats is for deliver mode, in one room.";
    }
    if (options->senders > options->members) {
        return "--senders must not be more than --members: they are some of them.";
    }
    if (options->mode != LOAD_CHURN && (options->has_presence || options->joins_per_s > 0)) {
        return "--presence and --joins are for churn mode.";
    }
    if (options->mode == LOAD_CHURN && options->churners >= options->members) {
        return "--churners must be less than --members: they are some of them.";
    }
    if (!options->has_echo && options->mode != LOAD_ACK) {
        return "--echo off is for ack mode: elsewhere a message is done when all members have it.";
    }
    if (options->duration_ms == 0) {
        return "--seconds must be more than 0.";
    }
    bool has_return = options->mode == LOAD_STORM || options->mode == LOAD_RECOVERY;
    return has_return ? find_contradiction_of_return(options) : NULL;
}

bool options_parse(int argc, char **argv, struct load_options *ret_options, struct buf *ret_error)
{
    static struct load_options options; /* large for a stack */
    options = (struct load_options){
        .window = 1,
        .rooms = 1,
        .rooms_each = 1,
        .body_bytes = 128,
        .warmup_ms = 1000,
        .duration_ms = 5000,
        .has_echo = true,
        .rate = 10,
        .churners = 32,
        .missed = 1000,
    };
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : EXIT_SUCCESS);
    }
    if (!parse_mode(argv[1], &options.mode)) {
        return args_fail(ret_error, "The mode", argv[1],
                         "fanout, ack, deliver, idle, churn, recovery or storm");
    }
    options.every_ms = options.mode == LOAD_STORM ? 100 : 0;
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
