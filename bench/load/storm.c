/* storm.c - storm and recovery mode. */
#include "storm.h"
#include "base/clock.h"
#include "base/random.h"
#include "latency.h"
#include "meter.h"
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MISSED_AT_A_TIME = 256,
    DEATH_TIMEOUT_US = 120000000,
    RETURN_TIMEOUT_US = 120000000,
    BACKOFF_MIN_MS = 1000,
    BACKOFF_MAX_MS = 5000, /* of the reference client */
    RETRY_CHECK_US = 20000,
    STARTS_PER_TURN = 512,
};

struct member {
    struct bytes pid;     /* of its session; owned */
    uint64_t next_id;     /* that it must get next */
    uint64_t retry_at_us; /* 0: is not to be started */
    uint32_t attempts;
    bool is_complete; /* it is back, and has all that was said before */
};

struct room {
    uint64_t head;     /* the highest id that anyone got */
    uint64_t sent;     /* by its witness, who is the only one that sends */
    uint64_t *sent_us; /* of message n, at n - 1 */
    uint64_t target;   /* what its members must have to be complete */
};

enum phase { STORM_BEFORE, STORM_AWAY, STORM_BACK };

struct storm {
    const struct load_options *options;
    struct swarm swarm;
    enum phase phase;
    struct member *members;
    struct room *rooms;
    uint64_t epoch;
    struct buf text, arguments; /* of the next message */
    uint64_t said;
    uint32_t away_count;
    uint64_t began_us;    /* when all came back */
    uint64_t next_say_us; /* of the witnesses, while they do */
    uint32_t next_room;
    uint32_t complete_count;
    uint64_t caught_up_bytes; /* of packets, by those who came back */
    uint64_t refused, reset;  /* handshakes: 503, or without an answer */
    struct latency back, complete, delivery;
};

static void fail(struct storm *storm, const struct client *client, const char *what,
                 struct bytes detail)
{
    enum { SHOWN_BYTES_MAX = 300 };
    detail.len = MIN_OF(detail.len, (size_t)SHOWN_BYTES_MAX);
    if (storm->swarm.error.len == 0) {
        buf_append_format(&storm->swarm.error, "Member %u of room %u %s: %.*s", client->index,
                          client->room, what, BYTES_FMT(detail));
    }
}

static bool is_witness(const struct storm *storm, const struct client *client)
{
    return client->index < storm->options->witnesses;
}

/* --- who comes back ----------------------------------------------------------------------------------------------- */

static void write_auth(void *user, const struct client *client, struct buf *out)
{
    const struct storm *storm = user;
    const struct member *member = &storm->members[client->index];
    if (storm->options->dialect == CLIENT_TUTORIAL) {
        buf_append_format(out, ",\"serverOffset\":%llu", (unsigned long long)member->next_id - 1);
        return;
    }
    if (member->pid.len > 0) {
        buf_append_format(out, ",\"pid\":\"%.*s\"", BYTES_FMT(member->pid));
    }
    if (member->next_id > 1) {
        buf_append_format(out, ",\"offset\":\"%llu-%llu\"", (unsigned long long)storm->epoch,
                          (unsigned long long)member->next_id - 1);
    }
}

/* The session's token in  {"sid":"…","pid":"…"}  ; empty when there is none. */
static struct bytes pid_of(struct bytes reply)
{
    static const char KEY[] = "\"pid\":\"";
    const char *at = memmem(reply.data, reply.len, KEY, sizeof(KEY) - 1);
    if (at == NULL) {
        return (struct bytes){0};
    }
    at += sizeof(KEY) - 1;
    const char *end = memchr(at, '"', (size_t)(reply.data + reply.len - at));
    return end == NULL ? (struct bytes){0} : bytes_of(at, (size_t)(end - at));
}

static void check_complete(struct storm *storm, const struct client *client)
{
    struct member *member = &storm->members[client->index];
    bool is_complete = storm->phase == STORM_BACK && client->state == CLIENT_JOINED &&
                       member->next_id > storm->rooms[client->room].target;
    if (is_complete && !member->is_complete && !is_witness(storm, client)) {
        member->is_complete = true;
        storm->complete_count++;
        latency_record(&storm->complete, clock_monotonic_us() - storm->began_us);
    }
}

static void on_joined(void *user, struct client *client, struct bytes reply)
{
    struct storm *storm = user;
    struct member *member = &storm->members[client->index];
    struct bytes pid = pid_of(reply);
    if (storm->phase == STORM_BEFORE) {
        member->pid = bytes_of(bytes_to_string(pid), pid.len);
        return;
    }
    if (storm->options->dialect == CLIENT_PARLEY && !bytes_equal(pid, member->pid)) {
        fail(storm, client, "came back to another session", reply);
        return;
    }
    latency_record(&storm->back, clock_monotonic_us() - storm->began_us);
    check_complete(storm, client);
}

static void retry_later(struct member *member)
{
    uint64_t backoff_ms = BACKOFF_MAX_MS;
    if (member->attempts < 8) {
        backoff_ms = (uint64_t)BACKOFF_MIN_MS << member->attempts;
    }
    backoff_ms += random_u64() % (backoff_ms + 1) - backoff_ms / 2;
    member->attempts++;
    member->retry_at_us =
        clock_monotonic_us() + MIN_OF(backoff_ms, (uint64_t)BACKOFF_MAX_MS) * 1000;
}

static void on_lost(void *user, struct client *client, enum client_state state, struct bytes why)
{
    struct storm *storm = user;
    struct member *member = &storm->members[client->index];
    if (is_witness(storm, client)) {
        fail(storm, client, "is a witness, and lost its connection", why);
    } else if (storm->phase == STORM_AWAY && state == CLIENT_JOINED) {
        storm->away_count++;
    } else if (storm->phase == STORM_BACK && state <= CLIENT_UPGRADING) {
        bool is_refused = memmem(why.data, why.len, "HTTP/1.1 503 ", 13) != NULL;
        *(is_refused ? &storm->refused : &storm->reset) += 1;
        retry_later(member);
    } else {
        fail(storm, client, "lost its connection", why);
    }
}

/* --- what arrives ------------------------------------------------------------------------------------------------- */

static void on_event(void *user, struct client *client, struct bytes event)
{
    struct storm *storm = user;
    struct member *member = &storm->members[client->index];
    struct room *room = &storm->rooms[client->room];
    enum client_dialect dialect = storm->options->dialect;
    uint64_t id = client_event_id(dialect, event, &storm->epoch);
    if (!bytes_start_with(event, BYTES("[\"chat message\",\"")) || id == 0 || id > room->sent) {
        fail(storm, client, "got something that nobody said", event);
    } else if (dialect == CLIENT_PARLEY && id != member->next_id) {
        char what[96];
        snprintf(what, sizeof(what), "got id %llu, but awaited %llu", (unsigned long long)id,
                 (unsigned long long)member->next_id);
        fail(storm, client, what, event);
    } else {
        /* Where ids need not be in order, this counts: nothing else has numbers there. */
        id = member->next_id++;
        room->head = MAX_OF(room->head, id);
        if (storm->phase == STORM_BACK && !is_witness(storm, client)) {
            storm->caught_up_bytes += 2 + (size_t)client->namespace_len + event.len;
        }
        if (storm->phase == STORM_BACK && is_witness(storm, client)) {
            latency_record(&storm->delivery, clock_monotonic_us() - room->sent_us[id - 1]);
        }
        check_complete(storm, client);
    }
}

static void on_ack(void *user, struct client *client, uint64_t ack_id, struct bytes arguments)
{
    (void)ack_id;
    fail(user, client, "got an acknowledgement that it did not ask for", arguments);
}

/* --- what is said ------------------------------------------------------------------------------------------------- */

static void say(struct storm *storm, uint32_t number)
{
    struct room *room = &storm->rooms[number];
    enum { GROWTH = 1024 };
    if (room->sent % GROWTH == 0) {
        room->sent_us = mem_resize(room->sent_us, (room->sent + GROWTH) * sizeof(uint64_t));
    }
    room->sent_us[room->sent++] = clock_monotonic_us();
    storm->said++;
    buf_clear(&storm->arguments);
    client_append_message(&storm->arguments, &storm->swarm.settings, buf_bytes(&storm->text),
                          storm->said);
    /* Witness n is in room n. */
    swarm_emit(&storm->swarm, &storm->swarm.clients[number], NULL, buf_bytes(&storm->arguments));
}

static bool turn(struct storm *storm, uint64_t deadline_us, const char *what)
{
    if (!swarm_turn(&storm->swarm, 10)) {
        return false;
    }
    if (clock_monotonic_us() > deadline_us) {
        buf_append_format(&storm->swarm.error,
                          "Waited in vain for %s; %u are away, %u are back, %u of them complete.",
                          what, storm->away_count, (unsigned)storm->back.count,
                          storm->complete_count);
        return false;
    }
    return true;
}

/* Says what those who are away miss, and waits until the witnesses have it. */
static bool say_missed(struct storm *storm)
{
    uint64_t deadline_us = clock_monotonic_us() + RETURN_TIMEOUT_US;
    for (uint32_t number = 0; number < storm->options->rooms; number++) {
        struct room *room = &storm->rooms[number];
        uint64_t target = room->sent + storm->options->missed;
        while (room->head < target) {
            while (room->sent < target && room->sent - room->head < MISSED_AT_A_TIME) {
                say(storm, number);
            }
            if (!turn(storm, deadline_us, "the messages that are missed")) {
                return false;
            }
        }
    }
    return true;
}

/* --- the run ------------------------------------------------------------------------------------------------------ */

static bool wait_for_death(struct storm *storm)
{
    uint64_t deadline_us = clock_monotonic_us() + DEATH_TIMEOUT_US;
    storm->phase = STORM_AWAY;
    printf("joined\n");
    fflush(stdout);
    while (storm->away_count < storm->options->members - storm->options->witnesses) {
        if (!turn(storm, deadline_us, "the death of the servers of --connect")) {
            return false;
        }
    }
    return true;
}

/* Recovery: all but the witnesses go by themselves. */
static bool leave(struct storm *storm)
{
    storm->phase = STORM_AWAY;
    for (uint32_t i = storm->options->witnesses; i < storm->options->members; i++) {
        swarm_stop(&storm->swarm, &storm->swarm.clients[i]);
        storm->away_count++;
    }
    return true;
}

static bool is_listening(const struct sockaddr_in *server)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = connect(fd, (const struct sockaddr *)server, sizeof(*server)) == 0;
    close(fd);
    return is_there;
}

static bool wait_for_listeners(struct storm *storm)
{
    const struct addresses *back_to = &storm->options->back_to;
    uint64_t deadline_us = clock_monotonic_us() + RETURN_TIMEOUT_US;
    for (size_t i = 0; i < back_to->count; i++) {
        while (!is_listening(&back_to->of[i])) {
            if (!turn(storm, deadline_us, "somebody at --back")) {
                return false;
            }
        }
    }
    return true;
}

/* Starts those who are due. */
static bool start_due(struct storm *storm, uint64_t now_us)
{
    uint32_t started = 0;
    for (uint32_t i = storm->options->witnesses; i < storm->options->members; i++) {
        struct member *member = &storm->members[i];
        if (member->retry_at_us == 0 || member->retry_at_us > now_us) {
            continue;
        }
        member->retry_at_us = 0;
        if (!swarm_start(&storm->swarm, &storm->swarm.clients[i]) ||
            (++started % STARTS_PER_TURN == 0 && !swarm_turn(&storm->swarm, 0))) {
            return false;
        }
    }
    return true;
}

static bool come_back(struct storm *storm)
{
    const struct load_options *options = storm->options;
    uint32_t crowd = options->members - options->witnesses;
    storm->phase = STORM_BACK;
    for (uint32_t i = 0; i < options->rooms; i++) {
        storm->rooms[i].target = storm->rooms[i].head;
    }
    storm->began_us = storm->next_say_us = clock_monotonic_us();
    for (uint32_t i = options->witnesses; i < options->members; i++) {
        storm->swarm.clients[i].server = &options->back_to.of[i % options->back_to.count];
        storm->members[i].retry_at_us = storm->began_us;
    }
    uint64_t next_check_us = 0;
    while (storm->complete_count < crowd) {
        uint64_t now_us = clock_monotonic_us();
        if (now_us >= next_check_us) {
            if (!start_due(storm, now_us)) {
                return false;
            }
            next_check_us = now_us + RETRY_CHECK_US;
        }
        if (options->every_ms > 0 && now_us >= storm->next_say_us) {
            storm->next_say_us = now_us + options->every_ms * UINT64_C(1000);
            say(storm, storm->next_room);
            storm->next_room = storm->next_room + 1 < options->rooms ? storm->next_room + 1 : 0;
        }
        if (!turn(storm, storm->began_us + RETURN_TIMEOUT_US, "all to be back")) {
            return false;
        }
    }
    return true;
}

/* Nothing is said any more; waits until everybody has everything. */
static bool settle(struct storm *storm)
{
    uint64_t deadline_us = clock_monotonic_us() + RETURN_TIMEOUT_US;
    for (uint32_t i = 0; i < storm->options->members; i++) {
        const struct room *room = &storm->rooms[storm->swarm.clients[i].room];
        while (storm->members[i].next_id <= room->sent) {
            if (!turn(storm, deadline_us, "the last messages")) {
                return false;
            }
        }
    }
    return true;
}

static void write_result(const struct storm *storm, const struct meter_reading *begin,
                         const struct meter_reading *end, uint64_t pss_before, uint64_t pss_after,
                         struct buf *out)
{
    const struct load_options *options = storm->options;
    uint32_t crowd = options->members - options->witnesses;
    buf_append_format(
        out, "{\"mode\":\"%s\",\"members\":%u,\"witnesses\":%u,\"rooms\":%u,\"missed\":%u,",
        options->mode == LOAD_STORM ? "storm" : "recovery", options->members, options->witnesses,
        options->rooms, options->missed);
    meter_write(&options->meter, begin, end, out);
    buf_append_format(out,
                      ",\"server_cpu_us_per_return\":%.2f,\"caught_up_bytes\":%llu"
                      ",\"refused\":%llu,\"reset\":%llu"
                      ",\"pss_before_bytes\":%llu,\"pss_after_bytes\":%llu,",
                      meter_server_s(begin, end) * 1e6 / crowd,
                      (unsigned long long)storm->caught_up_bytes,
                      (unsigned long long)storm->refused, (unsigned long long)storm->reset,
                      (unsigned long long)pss_before, (unsigned long long)pss_after);
    latency_write(out, "back", &storm->back);
    buf_append_char(out, ',');
    latency_write(out, "complete", &storm->complete);
    buf_append_char(out, ',');
    latency_write(out, "delivery_to_witnesses", &storm->delivery);
    buf_append_char(out, '}');
}

static bool measure(struct storm *storm, struct buf *out)
{
    const struct meter *meter = &storm->options->meter;
    struct swarm *swarm = &storm->swarm;
    struct meter_reading begin, end;
    uint64_t pss_before, pss_after;
    if (!swarm_connect(swarm) ||
        !(storm->options->mode == LOAD_STORM ? wait_for_death(storm) : leave(storm)) ||
        !say_missed(storm) || !wait_for_listeners(storm) ||
        !meter_read_pss(meter, &pss_before, &swarm->error) ||
        !meter_read(meter, &begin, &swarm->error) || !come_back(storm) ||
        !meter_read(meter, &end, &swarm->error) || !settle(storm) ||
        !meter_read_pss(meter, &pss_after, &swarm->error)) {
        return false;
    }
    write_result(storm, &begin, &end, pss_before, pss_after, out);
    return true;
}

static void prepare(struct storm *storm)
{
    const struct load_options *options = storm->options;
    storm->members = mem_alloc_zeroed(options->members * sizeof(struct member));
    storm->rooms = mem_alloc_zeroed(options->rooms * sizeof(struct room));
    for (uint32_t i = 0; i < options->members; i++) {
        storm->members[i].next_id = 1;
    }
    for (uint32_t i = 0; i < options->body_bytes; i++) {
        buf_append_char(&storm->text, (char)('a' + i % 26));
    }
}

static void release(struct storm *storm)
{
    for (uint32_t i = 0; i < storm->options->members; i++) {
        free((char *)(uintptr_t)storm->members[i].pid.data);
    }
    for (uint32_t i = 0; i < storm->options->rooms; i++) {
        free(storm->rooms[i].sent_us);
    }
    free(storm->members);
    free(storm->rooms);
    buf_release(&storm->text);
    buf_release(&storm->arguments);
}

bool storm_run(const struct load_options *options, struct buf *out, struct buf *ret_error)
{
    static struct storm storm; /* its histograms are too large for a stack */
    storm = (struct storm){.options = options};
    prepare(&storm);
    struct client_handlers handlers = {
        .write_auth = write_auth,
        .on_joined = on_joined,
        .on_lost = on_lost,
        .on_event = on_event,
        .on_ack = on_ack,
        .user = &storm,
    };
    bool is_fine = swarm_init(&storm.swarm, options, handlers);
    for (uint32_t i = 0; i < options->witnesses; i++) {
        storm.swarm.clients[i].server = &options->witness_of.of[i % options->witness_of.count];
    }
    is_fine = is_fine && measure(&storm, out);
    if (!is_fine) {
        buf_append_bytes(ret_error, buf_bytes(&storm.swarm.error));
    }
    swarm_release(&storm.swarm);
    release(&storm);
    return is_fine;
}
