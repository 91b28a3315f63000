/*
 * ws_fuzz.c - bytes in arbitrary pieces give the same events as all at once, and the events are what ws.h promises.
 */
#include "fuzz.h"
#include "wire/utf8.h"
#include "wire/ws.h"

enum { MESSAGE_BYTES_MAX = 300 };

struct run {
    struct ws_reader reader;
    struct buf events; /* each as its type, its close code and its payload */
    bool is_over;
};

static void note_event(struct run *run, const struct ws_event *event)
{
    bool is_control = event->type == WS_EVENT_PING || event->type == WS_EVENT_PONG;
    ASSERT(event->payload.len <= (is_control ? WS_CONTROL_BYTES_MAX : MESSAGE_BYTES_MAX));
    ASSERT(event->type != WS_EVENT_TEXT || utf8_is_valid(event->payload));
    ASSERT((event->type == WS_EVENT_CLOSE || event->type == WS_EVENT_ERROR) ==
           (event->close_code != 0));
    buf_append_format(&run->events, "%d %u ", event->type, event->close_code);
    buf_append_bytes(&run->events, event->payload);
    buf_append_char(&run->events, '\n');
    run->is_over = event->type == WS_EVENT_ERROR;
}

/* Reads all that can be read of @data; returns how many bytes were taken. */
static size_t read_events(struct run *run, char *data, size_t len)
{
    size_t taken = 0;
    while (len > 0 && !run->is_over) {
        struct ws_event event;
        size_t n =
            ws_reader_next(&run->reader, MESSAGE_BYTES_MAX, data + taken, len - taken, &event);
        ASSERT(n <= len - taken);
        ASSERT((n == 0) == (event.type == WS_EVENT_NONE));
        if (n == 0) {
            /* An input buffer never needs to hold more than this. */
            ASSERT(len - taken < MESSAGE_BYTES_MAX + WS_CLIENT_HEADER_MAX);
            break;
        }
        taken += n;
        note_event(run, &event);
    }
    return taken;
}

static void run_release(struct run *run)
{
    ws_reader_release(&run->reader);
    buf_release(&run->events);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes input = bytes_of((const char *)data, size);
    struct bytes cuts = fuzz_bytes(&input, fuzz_byte(&input) % 8);
    struct run whole = {0}, pieces = {0};
    ws_reader_init(&whole.reader);
    ws_reader_init(&pieces.reader);

    struct buf copy = BUF_INIT;
    buf_append_bytes(&copy, input);
    read_events(&whole, copy.data, copy.len);
    buf_release(&copy);

    struct buf waiting = BUF_INIT;
    for (size_t i = 0; input.len > 0 && !pieces.is_over; i++) {
        size_t len = cuts.len > 0 ? 1 + (size_t)(unsigned char)cuts.data[i % cuts.len] : 1;
        buf_append_bytes(&waiting, fuzz_bytes(&input, len));
        buf_consume(&waiting, read_events(&pieces, waiting.data, waiting.len));
    }
    buf_release(&waiting);
    ASSERT(bytes_equal(buf_bytes(&whole.events), buf_bytes(&pieces.events)));
    run_release(&whole);
    run_release(&pieces);
    return 0;
}
