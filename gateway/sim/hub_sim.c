/*
 * hub-sim - a cluster under seeded faults, and one assertion: nothing lost, nothing twice, in order, acks true.
 *
 *     hub-sim [--seed N] [--schedules K] [--verbose]
 *
 * Each schedule draws a cluster (gateways, memory, how bad the bus is) and then, for some seconds of virtual time, what
 * happens: people write, sockets fill up, connections go, gateways are killed and started, the store goes and comes,
 * dies between COMMIT and publish, has its backup restored. Clients come back to any gateway with what the library
 * keeps (pid, offset), and send again what was not acknowledged. Then the faults end, and everyone must have all.
 *
 * The clients of fake_world check order, holes and texts with every packet; here is checked what can only be said at
 * the end. Ids that come from the kernel's generator differ from run to run, all that decides the schedule does not.
 */
#include "fake_world.h"
#include "hub/limits.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 8,
    STEPS = 250,
    STEP_MS_MAX = 60,
    RETRY_AFTER_MS = 3000,
    HEAL_MS = 70000, /* the longest time between two checks of a room's head, and a bit */
    TEXT_BYTES_MAX = 600,
};

/* What tell_seed() writes: made before, since a signal handler may not. */
static char last_words[96];
static size_t last_words_len;

static void set_seed(uint64_t seed)
{
    int len =
        snprintf(last_words, sizeof(last_words), "hub-sim: failed with --seed %llu --schedules 1\n",
                 (unsigned long long)seed);
    last_words_len = (size_t)len;
}

static void tell_seed(int signal_number)
{
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, last_words, last_words_len);
    (void)written;
    signal(SIGABRT, SIG_DFL);
}

/* The names are the sanitizers'. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* A client and what it still wants to have stored. */
struct person {
    struct fake_client *client;
    uint64_t comes_back_at_ms;
    uint64_t sends;
    struct wish {
        uint64_t number;
        char namespace[16];
        char content[TEXT_BYTES_MAX + 32];
        size_t send; /* the newest attempt, in client->sends */
        uint64_t sent_at_ms;
        bool is_settled;
    } * wishes;
    size_t wish_count;
};

struct cluster {
    struct fake_world world;
    struct hub_settings settings;
    unsigned gateway_count;
    unsigned room_count;
    struct person people[CLIENTS_MAX];
    size_t people_count;
    bool has_restores;
    bool is_verbose;
};

static const char *namespace_of(unsigned room)
{
    static const char *const namespaces[] = {"/", "/a", "/b"};
    ASSERT(room < COUNT_OF(namespaces));
    return namespaces[room];
}

static void say(const struct cluster *cluster, const char *what, unsigned long long n)
{
    if (cluster->is_verbose) {
        printf("%8llu ms  %s %llu\n", (unsigned long long)cluster->world.now_ms, what, n);
    }
}

static uint64_t draw(struct cluster *cluster, uint64_t below)
{
    return fake_random(&cluster->world, below);
}

/* --- people --- */

static void connect_person(struct cluster *cluster, struct person *person, bool is_back)
{
    struct fake_gateway *gateway = &cluster->world.gateways[draw(cluster, cluster->gateway_count)];
    if (gateway->hub == NULL) {
        return;
    }
    if (fake_chance(&cluster->world, 40)) {
        fake_client_connect_polling(person->client, gateway);
    } else {
        fake_client_connect(person->client, gateway);
    }
    for (unsigned r = 0; r < cluster->room_count; r++) {
        if (is_back) {
            fake_client_rejoin(person->client, namespace_of(r));
        } else {
            fake_client_join(person->client, namespace_of(r),
                             fake_chance(&cluster->world, 30) ? "\"serverOffset\":0,\"echo\":false"
                                                              : "\"serverOffset\":0");
        }
    }
}

static void attempt(struct cluster *cluster, struct person *person, struct wish *wish)
{
    char client_id[96];
    if (person->client->client == NULL ||
        !fake_client_place(person->client, wish->namespace)->is_joined ||
        person->client->send_count == FAKE_SENDS_MAX) {
        return;
    }
    snprintf(client_id, sizeof(client_id), "%s-%016llu", person->client->username,
             (unsigned long long)wish->number);
    wish->send = person->client->send_count;
    wish->sent_at_ms = cluster->world.now_ms;
    fake_client_send(person->client, wish->namespace, wish->content, client_id);
}

static void write_something(struct cluster *cluster, struct person *person)
{
    person->wishes =
        mem_resize(person->wishes, (person->wish_count + 1) * sizeof(person->wishes[0]));
    struct wish *wish = &person->wishes[person->wish_count++];
    *wish = (struct wish){.number = person->wish_count, .send = SIZE_MAX};
    snprintf(wish->namespace, sizeof(wish->namespace), "%s",
             namespace_of(draw(cluster, cluster->room_count)));
    int len = snprintf(wish->content, sizeof(wish->content), "%s %zu ", person->client->username,
                       person->wish_count);
    size_t padding = fake_chance(&cluster->world, 20) ? draw(cluster, TEXT_BYTES_MAX) : 0;
    memset(wish->content + len, 'x', padding);
    wish->content[(size_t)len + padding] = '\0';
    attempt(cluster, person, wish);
}

/* Whether the attempt had its outcome; then it is checked against what the store has. */
static bool is_acked(struct person *person, const struct wish *wish)
{
    return wish->send != SIZE_MAX && person->client->sends[wish->send].acked_as != 0;
}

static void settle_wishes(struct cluster *cluster, struct person *person)
{
    for (size_t i = 0; i < person->wish_count; i++) {
        struct wish *wish = &person->wishes[i];
        if (wish->is_settled) {
            continue;
        }
        if (is_acked(person, wish)) {
            wish->is_settled = true;
        } else if (cluster->world.now_ms >= wish->sent_at_ms + RETRY_AFTER_MS) {
            attempt(cluster, person, wish);
        }
    }
}

static void come_back(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->people_count; i++) {
        struct person *person = &cluster->people[i];
        if (person->client->client == NULL && cluster->world.now_ms >= person->comes_back_at_ms) {
            person->comes_back_at_ms = cluster->world.now_ms + draw(cluster, 500);
            connect_person(cluster, person, true);
        }
        settle_wishes(cluster, person);
    }
}

/* --- what happens --- */

static void kill_or_start(struct cluster *cluster)
{
    unsigned index = (unsigned)draw(cluster, cluster->gateway_count);
    struct fake_gateway *gateway = &cluster->world.gateways[index];
    if (gateway->hub != NULL) {
        say(cluster, "kill gateway", index);
        fake_gateway_kill(gateway);
    } else {
        say(cluster, "start gateway", index);
        fake_gateway_start(&cluster->world, index, &cluster->settings);
    }
}

static void cut_or_restore_bus(struct cluster *cluster)
{
    unsigned index = (unsigned)draw(cluster, cluster->gateway_count);
    struct fake_gateway *gateway = &cluster->world.gateways[index];
    if (gateway->hub == NULL) {
        return;
    }
    gateway->is_cut_off = !gateway->is_cut_off;
    say(cluster, gateway->is_cut_off ? "cut off gateway" : "restore bus of gateway", index);
    if (!gateway->is_cut_off) {
        hub_on_bus_restored(gateway->hub, cluster->world.now_ms);
    }
}

static void change_store(struct cluster *cluster)
{
    static const enum fake_store_mode MODES[] = {
        FAKE_STORE_UP,     FAKE_STORE_UP,          FAKE_STORE_UP,         FAKE_STORE_NOBODY,
        FAKE_STORE_SILENT, FAKE_STORE_UNAVAILABLE, FAKE_STORE_OVERLOADED, FAKE_STORE_DIES,
    };
    cluster->world.append_mode = MODES[draw(cluster, COUNT_OF(MODES))];
    cluster->world.query_mode = MODES[draw(cluster, COUNT_OF(MODES))];
    say(cluster, "appends are", cluster->world.append_mode);
    say(cluster, "queries are", cluster->world.query_mode);
}

static void restore_backup(struct cluster *cluster)
{
    struct fake_room *room = &cluster->world.store.rooms[0];
    if (cluster->world.store.room_count > 0 && cluster->world.store.epoch < FAKE_EPOCHS_MAX / 2) {
        size_t lost = draw(cluster, 6);
        size_t kept = room->head > lost ? room->head - lost : 0;
        say(cluster, "restore a backup, keep", kept);
        fake_store_restore_backup(&cluster->world.store, kept);
    }
}

static void change_socket(struct cluster *cluster, struct fake_client *client)
{
    bool is_slow = fake_chance(&cluster->world, 50);
    client->window = is_slow ? 1 + draw(cluster, 400) : SIZE_MAX;
    client->drain_after_ms = is_slow ? 1 + draw(cluster, 20) : 1;
    fake_client_drain(client);
}

/* A client that polls goes on with a WebSocket to another gateway. */
static void upgrade_elsewhere(struct cluster *cluster, struct fake_client *client)
{
    struct fake_gateway *gateway = &cluster->world.gateways[draw(cluster, cluster->gateway_count)];
    bool may_move = client->client != NULL && client->is_polling && gateway->hub != NULL &&
                    gateway != client->gateway &&
                    client_session(client->client)->state == EIO_STATE_OPEN;
    if (may_move) {
        say(cluster, "a client upgrades at gateway", gateway->index);
        fake_client_upgrade(client, gateway);
    }
}

static void something_happens(struct cluster *cluster)
{
    struct person *person = &cluster->people[draw(cluster, cluster->people_count)];
    uint64_t dice = draw(cluster, 100);
    if (dice < 54) {
        for (uint64_t n = 1 + draw(cluster, 4); n > 0; n--) {
            write_something(cluster, person);
        }
    } else if (dice < 60) {
        upgrade_elsewhere(cluster, person->client);
    } else if (dice < 72) {
        change_socket(cluster, person->client);
    } else if (dice < 84) {
        fake_client_drop(person->client);
        person->comes_back_at_ms = cluster->world.now_ms + draw(cluster, 2000);
    } else if (dice < 88) {
        kill_or_start(cluster);
    } else if (dice < 92) {
        cut_or_restore_bus(cluster);
    } else if (dice < 98) {
        change_store(cluster);
    } else if (cluster->has_restores) {
        restore_backup(cluster);
    }
}

/* --- a schedule --- */

static void draw_cluster(struct cluster *cluster)
{
    struct fake_world *world = &cluster->world;
    fake_gateway_kill(&world->gateways[0]);
    cluster->settings = fake_settings(world);
    if (fake_chance(world, 40)) {
        cluster->settings.room_log_bytes_max = 2048;
        cluster->settings.log_bytes_max = 8192;
    }
    cluster->settings.room_grace_ms = (uint32_t)draw(cluster, 3000);
    cluster->gateway_count = 1 + (unsigned)draw(cluster, 3);
    cluster->room_count = 1 + (unsigned)draw(cluster, 3);
    cluster->people_count = 2 + draw(cluster, CLIENTS_MAX - 1);
    cluster->has_restores = fake_chance(world, 25);
    world->store.range_messages_max =
        fake_chance(world, 50) ? 1 + draw(cluster, 40) : CONTRACT_PAGE;
    world->faults = (struct fake_faults){
        .request_lost = (unsigned)draw(cluster, 15),
        .reply_lost = (unsigned)draw(cluster, 15),
        .broadcast_lost = (unsigned)draw(cluster, 30),
        .broadcast_twice = (unsigned)draw(cluster, 20),
        .commit_unpublished = (unsigned)draw(cluster, 10),
        .delay_min_ms = 1,
        .delay_max_ms = 1 + draw(cluster, 80),
    };
    for (unsigned i = 0; i < cluster->gateway_count; i++) {
        fake_gateway_start(world, i, &cluster->settings);
    }
    for (size_t i = 0; i < cluster->people_count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "person%zu", i);
        cluster->people[i].client = fake_client_new(world, name);
        cluster->people[i].client->is_quiet = true;
        connect_person(cluster, &cluster->people[i], false);
    }
}

/* No faults any more, and time for everyone to come back. */
static void heal(struct cluster *cluster)
{
    struct fake_world *world = &cluster->world;
    world->faults = (struct fake_faults){.delay_min_ms = 1, .delay_max_ms = 1};
    world->append_mode = world->query_mode = FAKE_STORE_UP;
    for (unsigned i = 0; i < cluster->gateway_count; i++) {
        struct fake_gateway *gateway = &world->gateways[i];
        if (gateway->hub == NULL) {
            fake_gateway_start(world, i, &cluster->settings);
        } else if (gateway->is_cut_off) {
            gateway->is_cut_off = false;
            hub_on_bus_restored(gateway->hub, world->now_ms);
        }
    }
    for (size_t i = 0; i < cluster->people_count; i++) {
        struct fake_client *client = cluster->people[i].client;
        client->window = SIZE_MAX;
        fake_client_drain(client);
        cluster->people[i].comes_back_at_ms = 0;
    }
    for (int i = 0; i < 20; i++) {
        come_back(cluster);
        fake_world_run(world, 1000);
    }
    fake_world_run(world, HEAL_MS);
}

/* --- what must be true in the end --- */

static void check_store_has_each_once(struct cluster *cluster)
{
    for (size_t r = 0; r < cluster->world.store.room_count; r++) {
        const struct fake_room *room = &cluster->world.store.rooms[r];
        for (size_t i = 0; i < room->head; i++) {
            for (size_t j = i + 1; j < room->head; j++) {
                if (bytes_equal(buf_bytes(&room->messages[i].client_id),
                                buf_bytes(&room->messages[j].client_id))) {
                    fake_failed("%zu and %zu of %s are one message", i + 1, j + 1, room->name);
                }
            }
        }
    }
}

static void check_acks(struct cluster *cluster, const struct person *person)
{
    for (size_t i = 0; i < person->client->send_count; i++) {
        const struct fake_send *send = &person->client->sends[i];
        if (send->acked_as == 0 || cluster->has_restores) {
            continue; /* a restored backup may well have lost what was acknowledged */
        }
        const char *name = strcmp(send->namespace, "/") == 0 ? "lobby" : send->namespace + 1;
        const struct fake_room *room =
            fake_store_room(&cluster->world.store, bytes_of_string(name));
        bool is_true = send->acked_as <= room->head &&
                       bytes_equal(buf_bytes(&room->messages[send->acked_as - 1].client_id),
                                   bytes_of_string(send->client_id));
        if (!is_true) {
            fake_failed("%s was acknowledged as %llu in %s and is not there", send->client_id,
                        (unsigned long long)send->acked_as, room->name);
        }
    }
}

static void check_person(struct cluster *cluster, struct person *person)
{
    struct fake_client *client = person->client;
    if (client->client == NULL) {
        fake_failed("%s is not connected", client->username);
    }
    for (size_t i = 0; i < person->wish_count; i++) {
        if (!is_acked(person, &person->wishes[i])) {
            fake_failed("%s never got message %zu acknowledged", client->username, i + 1);
        }
    }
    for (unsigned r = 0; r < cluster->room_count; r++) {
        struct fake_place *place = fake_client_place(client, namespace_of(r));
        const char *name = r == 0 ? "lobby" : namespace_of(r) + 1;
        const struct fake_room *room =
            fake_store_room(&cluster->world.store, bytes_of_string(name));
        uint64_t next = MAX_OF(place->next_id, (uint64_t)1);
        while (place->no_echo && next <= room->head &&
               bytes_equal(buf_bytes(&room->messages[next - 1].session),
                           bytes_of_string(place->sid))) {
            next++;
        }
        if (!place->is_joined || next != room->head + 1) {
            fake_failed("%s (%s) waits for %llu in %s, whose head is %zu", client->username,
                        place->is_joined ? "joined" : "not joined",
                        (unsigned long long)place->next_id, room->name, room->head);
        }
    }
}

static void run_schedule(uint64_t seed, bool is_verbose)
{
    struct cluster *cluster = mem_alloc_zeroed(sizeof(*cluster));
    fake_world_init(&cluster->world);
    cluster->is_verbose = is_verbose;
    cluster->world.random = seed * 0x9E3779B97F4A7C15u + 1;
    draw_cluster(cluster);
    for (int i = 0; i < STEPS; i++) {
        something_happens(cluster);
        fake_world_run(&cluster->world, draw(cluster, STEP_MS_MAX));
        come_back(cluster);
    }
    heal(cluster);
    check_store_has_each_once(cluster);
    for (size_t i = 0; i < cluster->people_count; i++) {
        check_acks(cluster, &cluster->people[i]);
        check_person(cluster, &cluster->people[i]);
        free(cluster->people[i].wishes);
    }
    fake_world_release(&cluster->world);
    free(cluster);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, schedules = 100;
    bool is_verbose = false;
    for (int i = 1; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0        ? &seed
                           : strcmp(argv[i], "--schedules") == 0 ? &schedules
                                                                 : NULL;
        if (number != NULL && i + 1 < argc && bytes_to_u64(bytes_of_string(argv[i + 1]), number)) {
            i++;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            is_verbose = true;
        } else {
            fprintf(stderr, "usage: hub-sim [--seed N] [--schedules K] [--verbose]\n");
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, tell_seed);
    for (uint64_t i = 0; i < schedules; i++) {
        set_seed(seed + i);
        run_schedule(seed + i, is_verbose);
    }
    printf("%llu schedules, from seed %llu on: nothing lost, nothing twice, in order, acks true\n",
           (unsigned long long)schedules, (unsigned long long)seed);
    return 0;
}
