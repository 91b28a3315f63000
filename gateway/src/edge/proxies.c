#include "proxies.h"

#include "http.h"
#include <arpa/inet.h>
#include <netinet/in.h>

enum { ADDRESS_BITS = ADDRESS_BYTES * 8, MAPPED_BITS = 96 };

static struct address mapped(const void *ipv4)
{
    struct address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    memcpy(address.bytes + MAPPED_BITS / 8, ipv4, sizeof(struct in_addr));
    return address;
}

/* Reads a bare address. *@ret_offset_bits: what stands in front of its own prefix. */
static bool parse_bare(struct bytes text, struct address *ret_address, unsigned *ret_offset_bits)
{
    char string[INET6_ADDRSTRLEN];
    unsigned char binary[ADDRESS_BYTES];
    if (text.len == 0 || text.len >= sizeof(string) || memchr(text.data, '\0', text.len) != NULL) {
        return false;
    }
    *(char *)mempcpy(string, text.data, text.len) = '\0';
    if (inet_pton(AF_INET, string, binary) == 1) {
        *ret_address = mapped(binary);
        *ret_offset_bits = MAPPED_BITS;
        return true;
    }
    if (inet_pton(AF_INET6, string, binary) == 1) {
        memcpy(ret_address->bytes, binary, ADDRESS_BYTES);
        *ret_offset_bits = 0;
        return true;
    }
    return false;
}

static const char *parse_network(struct bytes text, struct network *ret_network)
{
    static const char wrong[] =
        "an entry is an address or a network, as in 10.0.0.0/8 or 2001:db8::/32";
    const char *slash = memchr(text.data, '/', text.len);
    size_t len = slash == NULL ? text.len : (size_t)(slash - text.data);
    unsigned offset_bits = 0;
    uint64_t bits = ADDRESS_BITS;
    if (!parse_bare(bytes_of(text.data, len), &ret_network->first, &offset_bits)) {
        return wrong;
    }
    if (slash != NULL) {
        if (!bytes_to_u64(bytes_skip(text, len + 1), &bits) || bits > ADDRESS_BITS - offset_bits) {
            return wrong;
        }
        bits += offset_bits;
    }
    ret_network->prefix_bits = (unsigned)bits;
    return NULL;
}

const char *proxies_parse(const char *text, struct proxies *ret_proxies)
{
    *ret_proxies = (struct proxies){0};
    for (const char *at = text + strspn(text, ", "); *at != '\0'; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ", ");
        if (ret_proxies->count == PROXIES_MAX) {
            return "there may be at most 64 of them";
        }
        const char *wrong =
            parse_network(bytes_of(at, len), &ret_proxies->networks[ret_proxies->count]);
        if (wrong != NULL) {
            return wrong;
        }
        ret_proxies->count++;
        at += len;
    }
    return NULL;
}

static bool is_within(const struct network *network, const struct address *address)
{
    size_t bytes = network->prefix_bits / 8;
    unsigned bits = network->prefix_bits % 8;
    if (memcmp(network->first.bytes, address->bytes, bytes) != 0) {
        return false;
    }
    return bits == 0 || (network->first.bytes[bytes] ^ address->bytes[bytes]) >> (8 - bits) == 0;
}

bool proxies_trust(const struct proxies *proxies, const struct address *address)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (is_within(&proxies->networks[i], address)) {
            return true;
        }
    }
    return false;
}

bool address_parse(struct bytes text, struct address *ret_address)
{
    unsigned offset_bits = 0;
    if (parse_bare(text, ret_address, &offset_bits)) {
        return true;
    }
    bool is_bracketed = bytes_start_with(text, BYTES("["));
    text = bytes_skip(text, is_bracketed);
    const char *end = text.len == 0 ? NULL : memchr(text.data, is_bracketed ? ']' : ':', text.len);
    return end != NULL &&
           parse_bare(bytes_of(text.data, (size_t)(end - text.data)), ret_address, &offset_bits);
}

static struct bytes trimmed(struct bytes text)
{
    while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = bytes_skip(text, 1);
    }
    while (text.len > 0 && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

bool proxies_look_behind(const struct proxies *proxies, struct bytes forwarded,
                         struct address *address)
{
    while (proxies_trust(proxies, address)) {
        const char *comma = forwarded.len == 0 ? NULL : memrchr(forwarded.data, ',', forwarded.len);
        size_t begin = comma == NULL ? 0 : (size_t)(comma + 1 - forwarded.data);
        if (!address_parse(trimmed(bytes_skip(forwarded, begin)), address)) {
            return false;
        }
        if (comma == NULL) {
            return true;
        }
        forwarded.len = begin - 1;
    }
    return false;
}

static struct address address_of(const struct sockaddr_storage *peer)
{
    struct address address = {0};
    if (peer->ss_family == AF_INET) {
        address = mapped(&((const struct sockaddr_in *)peer)->sin_addr);
    } else if (peer->ss_family == AF_INET6) {
        memcpy(address.bytes, &((const struct sockaddr_in6 *)peer)->sin6_addr, ADDRESS_BYTES);
    }
    return address;
}

bool proxies_trust_peer(const struct proxies *proxies, h2o_socket_t *socket)
{
    struct sockaddr_storage peer = {0};
    h2o_socket_getpeername(socket, (struct sockaddr *)&peer);
    struct address address = address_of(&peer);
    return proxies_trust(proxies, &address);
}

static struct address peer_of(h2o_req_t *req)
{
    struct sockaddr_storage peer = {0};
    req->conn->callbacks->get_peername(req->conn, (struct sockaddr *)&peer);
    return address_of(&peer);
}

struct address proxies_address_of(const struct proxies *proxies, h2o_req_t *req)
{
    struct address address = peer_of(req);
    for (size_t i = req->headers.size; i > 0; i--) {
        const h2o_header_t *header = &req->headers.entries[i - 1];
        if (bytes_equal(http_bytes(*header->name), BYTES("x-forwarded-for")) &&
            !proxies_look_behind(proxies, http_bytes(header->value), &address)) {
            break;
        }
    }
    return address;
}
