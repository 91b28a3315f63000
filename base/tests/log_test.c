#include "base/log.h"
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int saved_stderr = -1;
static int pipe_out = -1;

static void capture_start(void)
{
    int ends[2];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    CHECK(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pipe_out = ends[0];
}

/* Ends the capture. Returns what was written to standard error, owned. */
static char *capture_end(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    struct buf all = BUF_INIT;
    ssize_t got;
    while ((got = read(pipe_out, buf_reserve(&all, 65536), 65536)) > 0) {
        all.len += (size_t)got;
    }
    close(pipe_out);
    char *text = bytes_to_string(buf_bytes(&all));
    buf_release(&all);
    return text;
}

static char *line_of(enum log_format format, const char *value, size_t len)
{
    log_open("gateway", format, LOG_INFO);
    capture_start();
    LOG(LOG_WARN, "nats_disconnected", F_BYTES("text", bytes_of(value, len)), F_INT("n", -3),
        F_BOOL("b", true));
    return capture_end();
}

/* Checks what comes after the time, which is different each time. */
static void check_ends_with(char *line, const char *end)
{
    CHECK(strlen(line) >= strlen(end));
    assert_string_equal(line + strlen(line) - strlen(end), end);
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
    free(line);
}

TEST(a_logfmt_line_names_the_event_first)
{
    char *line = line_of(LOG_LOGFMT, "plain", 5);
    CHECK(bytes_start_with(bytes_of_string(line),
                           BYTES("event=nats_disconnected level=warn service=gateway time=2")));
    check_ends_with(line, "Z text=plain n=-3 b=true\n");
}

TEST(a_json_line_is_one_object)
{
    char *line = line_of(LOG_JSON, "plain", 5);
    CHECK(bytes_start_with(bytes_of_string(line),
                           BYTES("{\"event\":\"nats_disconnected\",\"level\":\"warn\",")));
    check_ends_with(line, "Z\",\"text\":\"plain\",\"n\":-3,\"b\":true}\n");
}

TEST(a_console_line_has_no_colours_when_standard_error_is_no_terminal)
{
    unsetenv("CLICOLOR_FORCE");
    check_ends_with(line_of(LOG_CONSOLE, "plain", 5),
                    "  gateway  warn: nats_disconnected    text=plain n=-3 b=true\n");
}

TEST(no_value_can_forge_a_line_or_drive_a_terminal)
{
    const struct {
        struct bytes value;
        const char *text;
    } cases[] = {
        {BYTES(""), "text=\"\" "},
        {BYTES("a b"), "text=\"a b\" "},
        {BYTES("a=b"), "text=\"a=b\" "},
        {BYTES("a\"b\\"), "text=\"a\\\"b\\\\\" "},
        {BYTES("a\nevent=x\r\t"), "text=\"a\\nevent=x\\r\\t\" "},
        {BYTES("\0\033[31m\177"), "text=\"\\u0000\\u001b[31m\\u007f\" "},
        {BYTES("\xc2\x9b"
               "31m"),
         "text=\"\\u009b31m\" "},
        /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
        {BYTES("\xe2\x80\xa8\xe2\x80\xae"), "text=\"\\u2028\\u202e\" "},
        {BYTES("grüß 日本 🙂"), "text=\"grüß 日本 🙂\" "},
        {BYTES("\xff\xc0\x80"), "text=\"\\xff\\xc0\\x80\" "},
        {BYTES("\xed\xa0\x80"), "text=\"\\xed\\xa0\\x80\" "},
        {BYTES("\xf0\x9f\x99"), "text=\"\\xf0\\x9f\\x99\" "},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *line = line_of(LOG_LOGFMT, cases[i].value.data, cases[i].value.len);
        CHECK(strstr(line, cases[i].text) != NULL);
        check_ends_with(line, "n=-3 b=true\n");
    }
    char *line = line_of(LOG_JSON, "\xff\n", 2);
    CHECK(strstr(line, "\"text\":\"\\ufffd\\n\"") != NULL);
    free(line);
}

TEST(a_value_at_the_limit_is_whole_and_one_past_it_is_cut)
{
    char value[LOG_VALUE_BYTES_MAX + 1];
    memset(value, 'v', sizeof(value));
    char *whole = line_of(LOG_LOGFMT, value, LOG_VALUE_BYTES_MAX);
    CHECK(strstr(whole, "…") == NULL && strlen(whole) > LOG_VALUE_BYTES_MAX);
    free(whole);
    char *cut = line_of(LOG_LOGFMT, value, LOG_VALUE_BYTES_MAX + 1);
    CHECK(strstr(cut, "v…\" n=") != NULL);
    free(cut);
}

TEST(events_below_the_level_are_not_written)
{
    log_open("gateway", LOG_LOGFMT, LOG_WARN);
    capture_start();
    LOG(LOG_INFO, "client_connected");
    char *text = capture_end();
    assert_string_equal(text, "");
    free(text);
    CHECK(!log_is_on(LOG_INFO) && log_is_on(LOG_WARN));
}

static size_t count_of(const char *text, char c)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == c;
    }
    return count;
}

TEST(a_site_that_logs_too_much_is_cut_and_tells_how_much_later)
{
    static struct log_site site;
    log_open("gateway", LOG_LOGFMT, LOG_INFO);
    capture_start();
    for (int i = 0; i < LOG_SITE_LINES_MAX + 50; i++) {
        log_write(&site, LOG_INFO, "frame_refused", NULL, 0);
    }
    char *text = capture_end();
    /* A second's edge may lie within the loop; then all lines went out. */
    size_t lines = count_of(text, '\n');
    CHECK(lines >= LOG_SITE_LINES_MAX && lines + site.suppressed >= LOG_SITE_LINES_MAX + 50);
    free(text);

    site = (struct log_site){.suppressed = 50};
    capture_start();
    log_write(&site, LOG_INFO, "frame_refused", NULL, 0);
    log_write(&site, LOG_INFO, "frame_refused", NULL, 0);
    text = capture_end();
    CHECK(strstr(text, "Z suppressed=50\n") != NULL);
    CHECK(count_of(text, '\n') == 2 && strstr(strchr(text, '\n'), "suppressed") == NULL);
    free(text);
}

TEST_MAIN(TEST_OF(a_logfmt_line_names_the_event_first), TEST_OF(a_json_line_is_one_object),
          TEST_OF(a_console_line_has_no_colours_when_standard_error_is_no_terminal),
          TEST_OF(no_value_can_forge_a_line_or_drive_a_terminal),
          TEST_OF(a_value_at_the_limit_is_whole_and_one_past_it_is_cut),
          TEST_OF(events_below_the_level_are_not_written),
          TEST_OF(a_site_that_logs_too_much_is_cut_and_tells_how_much_later))
