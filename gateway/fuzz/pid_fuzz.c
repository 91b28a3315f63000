/*
 * pid_fuzz.c - session tokens: nothing that was not signed here is believed, and lists of keys keep their bounds. The input's
 * first byte says what the rest is.
 */
#include "fuzz.h"
#include "hub/pid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes rest = bytes_of((const char *)data + 1, size - 1);
    struct pid_keys keys;
    if (data[0] == 'k') {
        if (pid_keys_parse(rest, &keys) == NULL) {
            ASSERT(keys.count >= 1 && keys.count <= PID_KEYS_MAX);
        }
        return 0;
    }
    ASSERT(pid_keys_parse(BYTES("a:000102030405060708090a0b0c0d0e0f"), &keys) == NULL);
    struct buf storage = BUF_INIT;
    struct pid pid;
    if (pid_verify(&keys, rest, &storage, &pid)) {
        struct buf again = BUF_INIT; /* the corpus has some that were signed */
        pid_sign(&keys, &pid, &again);
        ASSERT(bytes_equal(buf_bytes(&again), rest));
        buf_release(&again);
    }
    buf_release(&storage);
    return 0;
}
