/*
 * edge_fuzz.c - what is read of a connection and a request before there is a session: headers of the PROXY protocol,
 * X-Forwarded-For, Origin and Host, Accept-Encoding, the query. The input's first byte says what the rest is.
 */
#include "edge/cors.h"
#include "edge/http.h"
#include "edge/proxies.h"
#include "edge/proxy_header.h"
#include "fuzz.h"
#include "wire/eio_handshake.h"

#include <stdlib.h>

/* A header is whole at one length: with less in front of its end it is PARTIAL, whatever comes behind it changes nothing. */
static void read_proxy_header(struct bytes input)
{
    struct sockaddr_storage peer, again;
    size_t len, again_len;
    if (proxy_header_read(input, &len, &peer) != PROXY_HEADER_WHOLE) {
        return;
    }
    ASSERT(len > 0 && len <= input.len && len <= PROXY_HEADER_BYTES_MAX);
    ASSERT(peer.ss_family == AF_UNSPEC || peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
    ASSERT(proxy_header_read(bytes_of(input.data, len - 1), &again_len, &again) ==
           PROXY_HEADER_PARTIAL);
    ASSERT(proxy_header_read(bytes_of(input.data, len), &again_len, &again) == PROXY_HEADER_WHOLE);
    ASSERT(again_len == len && memcmp(&again, &peer, sizeof(peer)) == 0);
}

/* As far as @input is trusted, for who is not says nothing. */
static void look_behind(struct bytes input)
{
    struct proxies proxies;
    struct address address, first;
    ASSERT(proxies_parse("10.0.0.0/8, 192.0.2.1, 2001:db8::/32", &proxies) == NULL);
    ASSERT(address_parse(BYTES("10.0.0.1"), &first));
    address = first;
    (void)proxies_look_behind(&proxies, input, &address);
    struct address stranger;
    ASSERT(address_parse(BYTES("198.51.100.1"), &stranger));
    address = stranger;
    ASSERT(!proxies_look_behind(&proxies, input, &address));
    ASSERT(memcmp(&address, &stranger, sizeof(stranger)) == 0);
}

static void parse_settings(struct bytes input)
{
    char *text = bytes_to_string(input);
    struct proxies proxies;
    if (proxies_parse(text, &proxies) == NULL) {
        ASSERT(proxies.count <= PROXIES_MAX);
    }
    struct cors cors;
    if (cors_parse(text, &cors) == NULL) {
        ASSERT(cors.count <= CORS_ORIGINS_MAX);
    }
    cors_release(&cors);
    free(text);
}

/* Of two lines: Origin or Accept-Encoding, and Host. */
static void read_request(struct bytes input)
{
    const char *end = input.len == 0 ? NULL : memchr(input.data, '\n', input.len);
    struct bytes first = {input.data, end == NULL ? input.len : (size_t)(end - input.data)};
    struct bytes host = bytes_skip(input, first.len + (end != NULL));
    h2o_iovec_t names[] = {h2o_iovec_init(H2O_STRLIT("origin")),
                           h2o_iovec_init(H2O_STRLIT("accept-encoding"))};
    h2o_header_t headers[] = {
        {.name = &names[0], .value = h2o_iovec_init(first.data, first.len)},
        {.name = &names[1], .value = h2o_iovec_init(first.data, first.len)},
    };
    h2o_req_t req = {
        .headers = {.entries = headers, .size = COUNT_OF(headers)},
        .authority = h2o_iovec_init(host.data, host.len),
    };
    struct cors cors;
    ASSERT(cors_parse("https://example.org", &cors) == NULL);
    bool is_admitted = cors_admits(&cors, &req);
    /* Without a word of who is asked, no page of elsewhere is of the same origin. */
    if (is_admitted && host.len == 0) {
        ASSERT(first.len == 0 || bytes_equal(first, BYTES("https://example.org")));
    }
    cors_release(&cors);
    (void)http_accepts_gzip(&req);
}

static void read_query(struct bytes input)
{
    struct eio_request request = {.method = BYTES("GET"), .is_allowed = true};
    eio_parse_query(input, &request.query);
    const struct bytes values[] = {request.query.sid, request.query.transport, request.query.eio};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        ASSERT(values[i].len == 0 || (values[i].data >= input.data &&
                                      values[i].data + values[i].len <= input.data + input.len));
    }
    for (int is_upgrade = 0; is_upgrade <= 1; is_upgrade++) {
        request.is_upgrade = is_upgrade;
        enum eio_error error = eio_check_request(&request);
        ASSERT(request.query.sid.len == 0 || error != EIO_ERROR_NONE); /* nobody has it */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = {(const char *)data, size};
    switch (fuzz_byte(&input)) {
    case 'p': read_proxy_header(input); break;
    case 'f': look_behind(input); break;
    case 's': parse_settings(input); break;
    case 'r': read_request(input); break;
    case 'q': read_query(input); break;
    default: break;
    }
    return 0;
}
