#include "watch.h"

#include "hub/client.h"
#include "hub/send.h"
#include "hub_limits.h"

enum {
    /* A send's acknowledgement may wait for the own copy; then it has to get there. */
    OUTCOME_MS_MAX = ACK_WAIT_MS + 1000,
};

static struct fake_room *room_of(struct cluster *cluster, unsigned room)
{
    return fake_store_room(&cluster->world.store, bytes_of_string(cluster_room_name(room)));
}

/* --- the log --- */

static struct wish *find_wish(struct cluster *cluster, struct bytes client_id,
                              struct person **ret_person)
{
    char text[CONTRACT_CLIENT_ID_BYTES_MAX + 1];
    unsigned person;
    unsigned long long number;
    snprintf(text, sizeof(text), "%.*s", BYTES_FMT(client_id));
    /* NOLINTNEXTLINE(cert-err34-c): it is our own, and checked against what there is */
    if (sscanf(text, "person%u-%llu", &person, &number) != 2 || person >= cluster->people_count ||
        number < 1 || number > cluster->people[person].wish_count) {
        fake_failed("%s is in the log, and nobody said it", text);
    }
    *ret_person = &cluster->people[person];
    return &cluster->people[person].wishes[number - 1];
}

/* Where the connection is known that @wish was stored from, all that was stored of it before was said before. */
static void watch_sender_order(struct cluster *cluster, unsigned r, struct person *person,
                               const struct wish *wish)
{
    bool is_known = wish->is_on_one_connection && (wish->epoch == cluster->world.store.epoch ||
                                                   cluster->world.store.forgotten == 0);
    if (!is_known || wish->connection < person->newest[r].connection) {
        return;
    }
    if (wish->connection > person->newest[r].connection) {
        person->newest[r].connection = wish->connection;
        person->newest[r].attempt = 0;
    }
    if (wish->last_attempt < person->newest[r].attempt) {
        fake_failed("%s said message %llu before one that is in front of it in %s",
                    person->client->username, (unsigned long long)wish->number,
                    cluster_room_name(r));
    }
    person->newest[r].attempt = MAX_OF(person->newest[r].attempt, wish->first_attempt);
}

static void watch_stored(struct cluster *cluster, unsigned r, const struct fake_message *message,
                         uint64_t id)
{
    struct person *person;
    struct wish *wish = find_wish(cluster, buf_bytes(&message->client_id), &person);
    if (wish->stored_as != 0) {
        fake_failed("%llu and %llu of %s are one message", (unsigned long long)wish->stored_as,
                    (unsigned long long)id, cluster_room_name(r));
    }
    if (wish->room != r || wish->first_attempt == 0 ||
        !bytes_equal(buf_bytes(&message->body), bytes_of_string(wish->content))) {
        fake_failed("%llu of %s is not what %s said", (unsigned long long)id, cluster_room_name(r),
                    person->client->username);
    }
    wish->stored_as = id;
    watch_sender_order(cluster, r, person, wish);
}

static void watch_log(struct cluster *cluster)
{
    for (unsigned r = 0; r < cluster->room_count; r++) {
        const struct fake_room *room = room_of(cluster, r);
        for (size_t *head = &cluster->heads_watched[r]; *head < room->head; ++*head) {
            watch_stored(cluster, r, &room->messages[*head], *head + 1);
        }
    }
}

void watch_forget_lost(struct cluster *cluster)
{
    for (unsigned r = 0; r < cluster->room_count; r++) {
        size_t head = room_of(cluster, r)->head;
        cluster->heads_watched[r] = MIN_OF(cluster->heads_watched[r], head);
        for (size_t i = 0; i < cluster->people_count; i++) {
            struct person *person = &cluster->people[i];
            person->newest[r].attempt = 0;
            for (size_t j = 0; j < person->wish_count; j++) {
                struct wish *wish = &person->wishes[j];
                if (wish->room == r && wish->stored_as > head) {
                    wish->stored_as = 0;
                }
            }
        }
    }
}

void watch_moment(struct cluster *cluster)
{
    watch_log(cluster);
    for (unsigned i = 0; i < cluster->gateway_count; i++) {
        const struct hub *hub = cluster->world.gateways[i].hub;
        const char *wrong = hub != NULL ? hub_limits_broken(hub) : NULL;
        if (wrong != NULL) {
            fake_failed("gateway %u: %s", i, wrong);
        }
    }
}

/* --- outcomes --- */

static bool has_ended(const struct fake_client *client, const struct fake_send *send)
{
    return send->acked_as != 0 || send->is_refused || send->has_error || client->client == NULL ||
           send->connection != client->connection;
}

static void watch_person(struct cluster *cluster, struct person *person)
{
    struct fake_client *client = person->client;
    while (person->ended < client->send_count && has_ended(client, &client->sends[person->ended])) {
        person->ended++;
    }
    if (person->fast_since_ms == UINT64_MAX) {
        return; /* nobody can say what its socket has yet to take */
    }
    for (size_t i = person->ended; i < client->send_count; i++) {
        const struct fake_send *send = &client->sends[i];
        uint64_t since_ms = MAX_OF(send->sent_at_ms, person->fast_since_ms);
        bool is_late =
            cluster->world.now_ms > since_ms + cluster->settings.send_deadline_ms + OUTCOME_MS_MAX;
        if (is_late && !has_ended(client, send)) {
            fake_failed("%s never heard of its send %zu, %s in %s", client->username, i + 1,
                        send->client_id, send->namespace);
        }
    }
}

void watch_step(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->people_count; i++) {
        watch_person(cluster, &cluster->people[i]);
    }
}

/* --- the end --- */

static void check_place(struct cluster *cluster, struct fake_client *client, unsigned r)
{
    const struct fake_place *place = fake_client_place(client, cluster_namespace(r));
    const struct fake_room *room = room_of(cluster, r);
    uint64_t next = MAX_OF(place->next_id, (uint64_t)1);
    while (place->no_echo && next <= room->head &&
           bytes_equal(buf_bytes(&room->messages[next - 1].session), bytes_of_string(place->sid))) {
        next++;
    }
    if (!place->is_joined || next != room->head + 1) {
        fake_failed("%s (%s) waits for %llu in %s, whose head is %zu", client->username,
                    place->is_joined ? "joined" : "not joined", (unsigned long long)place->next_id,
                    room->name, room->head);
    }
}

/* Who asked knows who is here, and that nobody types any more. */
static void check_presence(struct cluster *cluster, struct fake_client *client, unsigned r)
{
    const struct fake_place *place = fake_client_place(client, cluster_namespace(r));
    if (place->present != cluster->people_count || !place->has_names || place->typers > 0) {
        fake_failed("%s was told of %llu members in %s (%s names) and %llu typers",
                    client->username, (unsigned long long)place->present, cluster_room_name(r),
                    place->has_names ? "with" : "without", (unsigned long long)place->typers);
    }
}

void watch_end(struct cluster *cluster)
{
    watch_step(cluster);
    for (size_t i = 0; i < cluster->people_count; i++) {
        const struct person *person = &cluster->people[i];
        if (person->client->client == NULL) {
            fake_failed("%s is not connected", person->client->username);
        }
        for (size_t j = 0; j < person->wish_count; j++) {
            const struct wish *wish = &person->wishes[j];
            if (!wish->is_settled) {
                fake_failed("%s never got message %zu acknowledged", person->client->username,
                            j + 1);
            }
            /* What a restored backup had lost may be gone, although it was acknowledged. */
            if (wish->stored_as == 0 && cluster->world.store.forgotten == 0) {
                fake_failed("%s's message %zu is not in the log", person->client->username, j + 1);
            }
        }
        for (unsigned r = 0; r < cluster->room_count; r++) {
            check_place(cluster, person->client, r);
            if (cluster_wants_presence(cluster, person)) {
                check_presence(cluster, person->client, r);
            }
        }
    }
}
