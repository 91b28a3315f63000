#include "proxy_header.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum {
    TEXT_BYTES_MAX = 107, /* 2.1, with its line end */

    /* 2.2: signature, version and command, family and protocol, length of what follows. */
    SIGNATURE_BYTES = 12,
    BINARY_HEAD_BYTES = 16,
    VERSION_2 = 0x20,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,
    TCP_OVER_IPV4 = 0x11,
    TCP_OVER_IPV6 = 0x21,
    IPV4_BYTES = 12, /* both addresses and ports */
    IPV6_BYTES = 36,
};

static void set_ipv4(struct sockaddr_storage *peer, const void *address, in_port_t port)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)peer;
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = port;
    memcpy(&ipv4->sin_addr, address, sizeof(ipv4->sin_addr));
}

static void set_ipv6(struct sockaddr_storage *peer, const void *address, in_port_t port)
{
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)peer;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = port;
    memcpy(&ipv6->sin6_addr, address, sizeof(ipv6->sin6_addr));
}

/* The next word of *@line, up to a space or its end; *@line is what is behind. */
static struct bytes take_word(struct bytes *line)
{
    const char *space = line->len == 0 ? NULL : memchr(line->data, ' ', line->len);
    struct bytes word = {line->data, space == NULL ? line->len : (size_t)(space - line->data)};
    *line = bytes_skip(*line, word.len + (space != NULL));
    return word;
}

static bool parse_address(struct bytes word, int family, void *ret_address)
{
    char string[INET6_ADDRSTRLEN];
    if (word.len == 0 || word.len >= sizeof(string)) {
        return false;
    }
    *(char *)mempcpy(string, word.data, word.len) = '\0';
    return strlen(string) == word.len && inet_pton(family, string, ret_address) == 1;
}

static bool parse_port(struct bytes word, in_port_t *ret_port)
{
    uint64_t port = 0;
    if (!bytes_to_u64(word, &port) || port > UINT16_MAX) {
        return false;
    }
    *ret_port = htons((uint16_t)port);
    return true;
}

/* What is behind "PROXY ": "TCP4 192.0.2.1 192.0.2.2 40000 80". */
static enum proxy_header read_line(struct bytes line, struct sockaddr_storage *ret_peer)
{
    struct bytes protocol = take_word(&line);
    if (bytes_equal(protocol, BYTES("UNKNOWN"))) {
        return PROXY_HEADER_WHOLE;
    }
    bool is_ipv4 = bytes_equal(protocol, BYTES("TCP4"));
    if (!is_ipv4 && !bytes_equal(protocol, BYTES("TCP6"))) {
        return PROXY_HEADER_WRONG;
    }
    int family = is_ipv4 ? AF_INET : AF_INET6;
    unsigned char source[sizeof(struct in6_addr)], destination[sizeof(struct in6_addr)];
    in_port_t source_port, destination_port;
    if (!parse_address(take_word(&line), family, source) ||
        !parse_address(take_word(&line), family, destination) ||
        !parse_port(take_word(&line), &source_port) || !parse_port(line, &destination_port)) {
        return PROXY_HEADER_WRONG;
    }
    (is_ipv4 ? set_ipv4 : set_ipv6)(ret_peer, source, source_port);
    return PROXY_HEADER_WHOLE;
}

static enum proxy_header read_text(struct bytes input, size_t *ret_len,
                                   struct sockaddr_storage *ret_peer)
{
    struct bytes begin = BYTES("PROXY ");
    if (memcmp(input.data, begin.data, MIN_OF(input.len, begin.len)) != 0) {
        return PROXY_HEADER_WRONG;
    }
    size_t looked_at = MIN_OF(input.len, TEXT_BYTES_MAX);
    const char *end = memmem(input.data, looked_at, "\r\n", 2);
    if (end == NULL) {
        return looked_at < TEXT_BYTES_MAX ? PROXY_HEADER_PARTIAL : PROXY_HEADER_WRONG;
    }
    size_t line_len = (size_t)(end - input.data);
    if (line_len < begin.len) {
        return PROXY_HEADER_WRONG;
    }
    *ret_len = line_len + 2;
    return read_line(bytes_of(input.data + begin.len, line_len - begin.len), ret_peer);
}

static enum proxy_header read_binary(struct bytes input, size_t *ret_len,
                                     struct sockaddr_storage *ret_peer)
{
    if (input.len < BINARY_HEAD_BYTES) {
        return PROXY_HEADER_PARTIAL;
    }
    const unsigned char *head = (const unsigned char *)input.data, *rest = head + BINARY_HEAD_BYTES;
    unsigned command = head[12] ^ VERSION_2, family = head[13];
    size_t rest_len = (size_t)head[14] << 8 | head[15];
    bool is_ipv4 = command == COMMAND_PROXY && family == TCP_OVER_IPV4;
    bool is_ipv6 = command == COMMAND_PROXY && family == TCP_OVER_IPV6;
    if (command > COMMAND_PROXY || BINARY_HEAD_BYTES + rest_len > PROXY_HEADER_BYTES_MAX ||
        (is_ipv4 && rest_len < IPV4_BYTES) || (is_ipv6 && rest_len < IPV6_BYTES)) {
        return PROXY_HEADER_WRONG;
    }
    if (input.len < BINARY_HEAD_BYTES + rest_len) {
        return PROXY_HEADER_PARTIAL;
    }
    *ret_len = BINARY_HEAD_BYTES + rest_len;
    in_port_t port;
    if (is_ipv4) {
        memcpy(&port, rest + 2 * sizeof(struct in_addr), sizeof(port));
        set_ipv4(ret_peer, rest, port);
    } else if (is_ipv6) {
        memcpy(&port, rest + 2 * sizeof(struct in6_addr), sizeof(port));
        set_ipv6(ret_peer, rest, port);
    }
    return PROXY_HEADER_WHOLE;
}

enum proxy_header proxy_header_read(struct bytes input, size_t *ret_len,
                                    struct sockaddr_storage *ret_peer)
{
    static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
    static_assert(sizeof(signature) - 1 == SIGNATURE_BYTES, "as 2.2 has it");
    *ret_len = 0;
    *ret_peer = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (input.len == 0) {
        return PROXY_HEADER_PARTIAL;
    }
    bool is_binary = memcmp(input.data, signature, MIN_OF(input.len, SIGNATURE_BYTES)) == 0;
    return (is_binary ? read_binary : read_text)(input, ret_len, ret_peer);
}
