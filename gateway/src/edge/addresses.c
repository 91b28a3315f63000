#include "addresses.h"

#include <stdlib.h>

enum { NETWORK_BYTES = 8, CAPACITY_MIN = 16 };

struct address_count {
    struct address address; /* of an IPv6 one, the first NETWORK_BYTES; zeros behind them */
    uint32_t share;
    uint32_t connections;
    uint32_t next_unused; /* where connections is 0 */
};

static struct bytes key_of(const void *count)
{
    return bytes_of((const char *)((const struct address_count *)count)->address.bytes,
                    ADDRESS_BYTES);
}

static struct address network_of(const struct address *address)
{
    static const unsigned char mapped[] = {[10] = 0xff, [11] = 0xff};
    struct address network = *address;
    if (memcmp(address->bytes, mapped, sizeof(mapped)) != 0) {
        memset(network.bytes + NETWORK_BYTES, 0, ADDRESS_BYTES - NETWORK_BYTES);
    }
    return network;
}

void addresses_init(struct addresses *addresses, uint32_t connections_max)
{
    *addresses = (struct addresses){.connections_max = connections_max};
    map_init(&addresses->by_network, key_of);
}

void addresses_release(struct addresses *addresses)
{
    map_release(&addresses->by_network);
    for (uint32_t i = 0; i < addresses->count; i++) {
        free(addresses->counts[i]);
    }
    free(addresses->counts);
}

/* One that no address has. */
static struct address_count *unused(struct addresses *addresses)
{
    if (addresses->first_unused != 0) {
        struct address_count *count = addresses->counts[addresses->first_unused - 1];
        addresses->first_unused = count->next_unused;
        return count;
    }
    if (addresses->count == addresses->capacity) {
        addresses->capacity = MAX_OF(addresses->capacity * 2, (uint32_t)CAPACITY_MIN);
        addresses->counts =
            mem_resize(addresses->counts, addresses->capacity * sizeof(struct address_count *));
    }
    struct address_count *count = mem_alloc_zeroed(sizeof(*count));
    addresses->counts[addresses->count++] = count;
    count->share = addresses->count;
    return count;
}

bool addresses_take(struct addresses *addresses, const struct address *address, uint32_t *ret_share)
{
    struct address network = network_of(address);
    struct address_count *count = map_get(
        &addresses->by_network, bytes_of((const char *)network.bytes, sizeof(network.bytes)));
    if (count == NULL) {
        count = unused(addresses);
        count->address = network;
        map_add(&addresses->by_network, count);
    } else if (addresses->connections_max > 0 && count->connections >= addresses->connections_max) {
        return false;
    }
    count->connections++;
    *ret_share = count->share;
    return true;
}

void addresses_give_back(struct addresses *addresses, uint32_t *share)
{
    if (*share == 0) {
        return;
    }
    struct address_count *count = addresses->counts[*share - 1];
    ASSERT(count->connections > 0);
    *share = 0;
    if (--count->connections == 0) {
        map_remove(&addresses->by_network, key_of(count));
        count->next_unused = addresses->first_unused;
        addresses->first_unused = count->share;
    }
}
