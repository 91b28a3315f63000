/*
 * fuzz.h - what all targets share: libFuzzer's entry point, and an input that is eaten piece by piece.
 */
#ifndef PARLEY_FUZZ_H
#define PARLEY_FUZZ_H

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next byte of *@input, or 0 when it is empty. */
static inline unsigned fuzz_byte(struct bytes *input)
{
    if (input->len == 0) {
        return 0;
    }
    unsigned byte = (unsigned char)input->data[0];
    *input = bytes_skip(*input, 1);
    return byte;
}

/* The next @len bytes of *@input, or what is left. */
static inline struct bytes fuzz_bytes(struct bytes *input, size_t len)
{
    struct bytes taken = bytes_of(input->data, MIN_OF(len, input->len));
    *input = bytes_skip(*input, taken.len);
    return taken;
}

#endif
