/*
 * store_load.c - parley-store-load: appends as gateways send them, one in flight for each room and gateway, and the answers
 * checked. What a store-service can do when nothing stands before it but NATS.
 *
 * Each gateway is a connection to NATS. All that one does happens in nats.c's thread, where answers arrive: the first
 * appends go out when a message that it sends to itself comes. The main thread only reads clocks.
 */
#include "args.h"
#include "base/clock.h"
#include "base/nats_connect.h"
#include "base/random.h"
#include "latency.h"
#include "meter.h"
#include "proto/contract.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    GATEWAYS_MAX = 64,
    URL_BYTES_MAX = 255,
    ID_BYTES = 24,
    PREFIX_BYTES = 16,
    DRAIN_TIMEOUT_US = 10000000,
    POLL_NS = 1000000,
};

struct options {
    char nats_url[URL_BYTES_MAX + 1];
    uint32_t gateways, rooms, batch, body_bytes;
    uint32_t messages; /* 0: by time */
    uint32_t warmup_ms, duration_ms;
    struct meter meter;
};

struct gateway;

/* A room as one gateway sees it. */
struct slot {
    struct gateway *gateway;
    uint32_t room;
    uint64_t sent_us;
};

struct gateway {
    natsConnection *nats;
    natsSubscription *answers;
    char inbox[64];
    struct slot *slots;
    struct latency latency; /* of appends */
    /* of the next append */
    struct buf payload, ids, body;
    struct contract_new_message *messages;
};

static struct options options = {
    .gateways = 4,
    .rooms = 1,
    .batch = 100,
    .body_bytes = 128,
    .warmup_ms = 1000,
    .duration_ms = 5000,
};
static struct gateway gateways[GATEWAYS_MAX];
static char prefix[PREFIX_BYTES + 1];
static atomic_bool is_sending, is_measuring;
static atomic_uint_least64_t sent, committed, measured, appends;
static atomic_bool has_failed;

static const char HELP[] =
    "parley-store-load --nats URL [OPTION VALUE]…\n"
    "\n"
    "Sends appends to a store-service as gateways do, and prints one line of JSON.\n"
    "\n"
    "  --nats URL              where the store-service is reached\n"
    "  --gateways N            how many gateways it plays (4)\n"
    "  --rooms N               rooms; each gateway has one append in flight in each (1)\n"
    "  --batch N               messages of each append (100)\n"
    "  --body BYTES            length of a message's text (128)\n"
    "  --messages N            ends when so many are committed, without warm-up, instead of "
    "--seconds\n"
    "  --warmup SECONDS        not measured (1)\n"
    "  --seconds SECONDS       measured (5)\n"
    "  --server-pid PID[,…]    the store-services, for CPU time\n"
    "  --watch NAME=PID        another process whose CPU time, with its children's, is told; "
    "repeatable\n";

static void fail(const char *what, struct bytes detail)
{
    if (!atomic_exchange(&has_failed, true)) {
        fprintf(stderr, "parley-store-load: %s%.*s\n", what, BYTES_FMT(detail));
    }
}

/* --- appends ------------------------------------------------------------------------------------------------------ */

static void room_name(uint32_t room, char ret_name[CONTRACT_ROOM_BYTES_MAX])
{
    snprintf(ret_name, CONTRACT_ROOM_BYTES_MAX, "%s-%u", prefix, room);
}

/* Fills the gateway's messages: each has another client id, as all have. */
static void prepare_messages(struct gateway *gateway, uint64_t first)
{
    buf_clear(&gateway->ids);
    (void)buf_reserve(&gateway->ids, (size_t)options.batch * ID_BYTES + 1); /* it must not move */
    for (uint32_t i = 0; i < options.batch; i++) {
        size_t at = gateway->ids.len;
        unsigned long long number = first + i;
        buf_append_format(&gateway->ids, "%.7s-%016llx", prefix, number);
        gateway->messages[i] = (struct contract_new_message){
            .sender = BYTES("bench"),
            .session = bytes_of(prefix, PREFIX_BYTES),
            .client_id = bytes_of(gateway->ids.data + at, gateway->ids.len - at),
            .body = buf_bytes(&gateway->body),
        };
    }
}

static void send_append(struct slot *slot)
{
    struct gateway *gateway = slot->gateway;
    char room[CONTRACT_ROOM_BYTES_MAX], subject[CONTRACT_SUBJECT_BYTES_MAX], reply[96];
    room_name(slot->room, room);
    prepare_messages(gateway, atomic_fetch_add(&sent, options.batch));
    struct contract_append append = {
        .room = bytes_of_string(room),
        .gateway = BYTES("bench"),
        .message_count = options.batch,
        .messages = gateway->messages,
    };
    buf_clear(&gateway->payload);
    contract_encode_append(&gateway->payload, &append);
    ASSERT(gateway->payload.len <= CONTRACT_MESSAGE_BYTES_MAX);
    contract_append_subject(contract_shard(append.room), subject);
    snprintf(reply, sizeof(reply), "%s.%u", gateway->inbox, slot->room);
    slot->sent_us = clock_monotonic_us();
    natsStatus status = natsConnection_PublishRequest(
        gateway->nats, subject, reply, gateway->payload.data, (int)gateway->payload.len);
    if (status != NATS_OK) {
        fail("NATS: ", bytes_of_string(natsStatus_GetText(status)));
    }
}

/* All must be stored, one behind the other. */
static bool is_stored(const struct contract_append_reply *reply)
{
    if (reply == NULL || reply->status != CONTRACT_OK || reply->outcome_count != options.batch) {
        return false;
    }
    for (size_t i = 0; i < reply->outcome_count; i++) {
        if (reply->outcomes[i].duplicate || reply->outcomes[i].id == 0 ||
            reply->outcomes[i].id != reply->outcomes[0].id + i) {
            return false;
        }
    }
    return true;
}

/* Whether as many are sent as --messages says. */
static bool is_enough(void)
{
    return options.messages > 0 && atomic_load(&sent) >= options.messages;
}

static void send_first(struct gateway *gateway)
{
    for (uint32_t room = 0; room < options.rooms && !is_enough(); room++) {
        send_append(&gateway->slots[room]);
    }
}

static void on_answered(struct gateway *gateway, struct slot *slot, struct bytes payload)
{
    struct contract_append_reply *reply = contract_decode_append_reply(payload);
    if (!is_stored(reply)) {
        fail("an append was not stored as it should be: ",
             reply == NULL ? BYTES("there is no store-service") : reply->reason);
    }
    contract_free(reply);
    if (atomic_load(&is_measuring)) {
        atomic_fetch_add(&measured, options.batch);
        atomic_fetch_add(&appends, 1);
        latency_record(&gateway->latency, clock_monotonic_us() - slot->sent_us);
    }
    if (atomic_load(&is_sending) && !is_enough() && !atomic_load(&has_failed)) {
        send_append(slot);
    }
    atomic_fetch_add(&committed, options.batch);
}

static void on_answer(natsConnection *nats, natsSubscription *subscription, natsMsg *message,
                      void *user)
{
    (void)nats;
    (void)subscription;
    struct gateway *gateway = user;
    const char *name = strrchr(natsMsg_GetSubject(message), '.') + 1;
    if (strcmp(name, "start") == 0) {
        send_first(gateway);
    } else {
        on_answered(gateway, &gateway->slots[strtoul(name, NULL, 10)],
                    bytes_of(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)));
    }
    natsMsg_Destroy(message);
}

/* --- gateways ----------------------------------------------------------------------------------------------------- */

static bool open_gateway(struct gateway *gateway)
{
    struct buf error = BUF_INIT;
    natsOptions *nats =
        nats_options_new(&NATS_SETTINGS_OPEN(options.nats_url), "parley-store-load", &error);
    char random[PREFIX_BYTES + 1] = {0}, subject[80];
    random_id(random, PREFIX_BYTES);
    snprintf(gateway->inbox, sizeof(gateway->inbox), "_INBOX.bench.%s", random);
    snprintf(subject, sizeof(subject), "%s.*", gateway->inbox);
    gateway->slots = mem_alloc_zeroed(options.rooms * sizeof(struct slot));
    gateway->messages = mem_alloc_zeroed(options.batch * sizeof(struct contract_new_message));
    for (uint32_t i = 0; i < options.rooms; i++) {
        gateway->slots[i] = (struct slot){.gateway = gateway, .room = i};
    }
    for (uint32_t i = 0; i < options.body_bytes; i++) {
        buf_append_char(&gateway->body, (char)('a' + i % 26));
    }
    natsStatus status = NATS_INVALID_ARG;
    if (nats != NULL) {
        status = natsConnection_Connect(&gateway->nats, nats);
    }
    if (status == NATS_OK) {
        status =
            natsConnection_Subscribe(&gateway->answers, gateway->nats, subject, on_answer, gateway);
    }
    if (status == NATS_OK) {
        status = natsConnection_Flush(gateway->nats);
    }
    if (status != NATS_OK) {
        fail("NATS: ",
             error.len > 0 ? buf_bytes(&error) : bytes_of_string(natsStatus_GetText(status)));
    }
    natsOptions_Destroy(nats);
    buf_release(&error);
    return status == NATS_OK;
}

static void close_gateway(struct gateway *gateway)
{
    natsSubscription_Destroy(gateway->answers);
    natsConnection_Destroy(gateway->nats);
    free(gateway->slots);
    free(gateway->messages);
    buf_release(&gateway->payload);
    buf_release(&gateway->ids);
    buf_release(&gateway->body);
}

static bool start_sending(void)
{
    atomic_store(&is_sending, true);
    for (uint32_t i = 0; i < options.gateways; i++) {
        char subject[80];
        snprintf(subject, sizeof(subject), "%s.start", gateways[i].inbox);
        natsStatus status = natsConnection_Publish(gateways[i].nats, subject, "", 0);
        if (status != NATS_OK) {
            fail("NATS: ", bytes_of_string(natsStatus_GetText(status)));
            return false;
        }
    }
    return true;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static bool wait_until(uint64_t until_us)
{
    struct timespec pause = {.tv_nsec = POLL_NS};
    while (clock_monotonic_us() < until_us && !atomic_load(&has_failed)) {
        nanosleep(&pause, NULL);
    }
    return !atomic_load(&has_failed);
}

/* Waits until all that was sent is committed. */
static bool drain(void)
{
    uint64_t last = 0, last_us = clock_monotonic_us();
    for (;;) {
        uint64_t now = atomic_load(&committed), now_us = clock_monotonic_us();
        if (now >= atomic_load(&sent) && now >= options.messages) {
            return true;
        }
        if (now != last) {
            last = now;
            last_us = now_us;
        }
        if (now_us - last_us > DRAIN_TIMEOUT_US) {
            fail("the store-service did not answer any more", BYTES(""));
        }
        if (!wait_until(now_us + 1000)) {
            return false;
        }
    }
}

static bool measure(struct meter_reading *begin, struct meter_reading *end, struct buf *error)
{
    if (options.messages > 0) {
        atomic_store(&is_measuring, true);
        return meter_read(&options.meter, begin, error) && start_sending() && drain() &&
               meter_read(&options.meter, end, error);
    }
    if (!start_sending() ||
        !wait_until(clock_monotonic_us() + options.warmup_ms * UINT64_C(1000)) ||
        !meter_read(&options.meter, begin, error)) {
        return false;
    }
    atomic_store(&is_measuring, true);
    if (!wait_until(begin->at_us + options.duration_ms * UINT64_C(1000))) {
        return false;
    }
    atomic_store(&is_measuring, false);
    if (!meter_read(&options.meter, end, error)) {
        return false;
    }
    atomic_store(&is_sending, false);
    return drain();
}

static void write_result(const struct meter_reading *begin, const struct meter_reading *end)
{
    static struct latency latency; /* of all gateways */
    struct buf out = BUF_INIT;
    for (uint32_t i = 0; i < options.gateways; i++) {
        latency_add(&latency, &gateways[i].latency);
    }
    double messages = (double)atomic_load(&measured);
    buf_append_format(
        &out, "{\"mode\":\"store\",\"gateways\":%u,\"rooms\":%u,\"batch\":%u,\"body_bytes\":%u,",
        options.gateways, options.rooms, options.batch, options.body_bytes);
    meter_write(&options.meter, begin, end, &out);
    buf_append_format(&out, ",\"messages\":%.0f,\"messages_per_s\":%.1f,\"appends_per_s\":%.1f,",
                      messages, messages / meter_wall_s(begin, end),
                      (double)atomic_load(&appends) / meter_wall_s(begin, end));
    latency_write(&out, "append", &latency);
    printf("%.*s}\n", BYTES_FMT(buf_bytes(&out)));
    buf_release(&out);
}

static bool parse(const char *option, char *value, struct buf *error)
{
    const struct number_option numbers[] = {
        {"--gateways", &options.gateways, 1, GATEWAYS_MAX},
        {"--rooms", &options.rooms, 1, 100000},
        {"--batch", &options.batch, 1, 1000},
        {"--body", &options.body_bytes, 1, 16384},
        {"--messages", &options.messages, 1, 100000000},
        {NULL, NULL, 0, 0},
    };
    enum args_result result = args_number(numbers, option, value, error);
    if (result == ARGS_UNKNOWN) {
        result = args_meter(option, value, &options.meter, error);
    }
    if (result != ARGS_UNKNOWN) {
        return result == ARGS_TAKEN;
    }
    if (strcmp(option, "--warmup") == 0) {
        return args_seconds(option, value, &options.warmup_ms, error);
    }
    if (strcmp(option, "--seconds") == 0) {
        return args_seconds(option, value, &options.duration_ms, error);
    }
    if (strcmp(option, "--nats") == 0 && strlen(value) <= URL_BYTES_MAX) {
        memcpy(options.nats_url, value, strlen(value) + 1);
        return true;
    }
    buf_append_format(error, "There is no option %s: parley-store-load --help lists them.", option);
    return false;
}

static bool parse_all(int argc, char **argv, struct buf *error)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : EXIT_SUCCESS);
    }
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            buf_append_format(error, "%s lacks its value.", argv[i]);
            return false;
        }
        if (!parse(argv[i], argv[i + 1], error)) {
            return false;
        }
    }
    size_t append_bytes = (size_t)options.batch * (options.body_bytes + 128);
    if (append_bytes > CONTRACT_MESSAGE_BYTES_MAX) {
        buf_append_bytes(error, BYTES("--batch messages of --body bytes are more than an append "
                                      "may have."));
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct buf error = BUF_INIT;
    struct meter_reading begin, end;
    bool is_fine = parse_all(argc, argv, &error);
    random_id(prefix, PREFIX_BYTES);
    for (uint32_t i = 0; is_fine && i < options.gateways; i++) {
        is_fine = open_gateway(&gateways[i]);
    }
    is_fine = is_fine && measure(&begin, &end, &error);
    if (is_fine) {
        write_result(&begin, &end);
    } else if (error.len > 0) {
        fail("", buf_bytes(&error));
    }
    for (uint32_t i = 0; i < options.gateways; i++) {
        close_gateway(&gateways[i]);
    }
    buf_release(&error);
    nats_Close();
    return is_fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
