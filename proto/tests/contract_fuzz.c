/*
 * contract_fuzz.c - whatever arrives from NATS, the decoders return an object or NULL; and what
 * they return can be encoded and decoded again. The first byte of the input chooses the decoder.
 */
#include "proto/contract_control.h"
#include "proto/contract_peer.h"

#include <stdlib.h>

#define CHECK_AGAIN(name, payload)                                                        \
    do {                                                                                  \
        struct contract_##name *first = contract_decode_##name(payload);                  \
        if (first != NULL) {                                                              \
            struct buf encoded = BUF_INIT;                                                \
            contract_encode_##name(&encoded, first);                                      \
            struct contract_##name *second = contract_decode_##name(buf_bytes(&encoded)); \
            ASSERT(second != NULL);                                                       \
            struct buf encoded_again = BUF_INIT;                                          \
            contract_encode_##name(&encoded_again, second);                               \
            ASSERT(bytes_equal(buf_bytes(&encoded), buf_bytes(&encoded_again)));          \
            contract_free(second);                                                        \
            buf_release(&encoded);                                                        \
            buf_release(&encoded_again);                                                  \
        }                                                                                 \
        contract_free(first);                                                             \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes payload = bytes_of((const char *)data + 1, size - 1);
    switch (data[0] % 12) {
    case 0: CHECK_AGAIN(append, payload); break;
    case 1: CHECK_AGAIN(append_reply, payload); break;
    case 2: CHECK_AGAIN(room_event, payload); break;
    case 3: CHECK_AGAIN(query, payload); break;
    case 4: CHECK_AGAIN(query_reply, payload); break;
    case 5: CHECK_AGAIN(peer_request, payload); break;
    case 6: CHECK_AGAIN(peer_answer, payload); break;
    case 7: CHECK_AGAIN(handover, payload); break;
    case 8: CHECK_AGAIN(moved_outcome, payload); break;
    case 9: CHECK_AGAIN(presence, payload); break;
    case 10: CHECK_AGAIN(control, payload); break;
    case 11: CHECK_AGAIN(control_reply, payload); break;
    }
    return 0;
}
