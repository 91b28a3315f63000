/*
 * fuzz.h - what all targets share: libFuzzer's entry point, and an input that is eaten piece by piece.
 *
 *     cmake --preset fuzz && cmake --build --preset fuzz
 *     build/fuzz/fuzz/ws_fuzz -max_total_time=60 -max_len=2048 FOLDER gateway/fuzz/corpus/ws_fuzz
 *
 * The corpora here are written by hand and only read; what a run finds goes to FOLDER.
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
