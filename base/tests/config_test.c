#include "base/config.h"
#include "base/metrics.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct example_config {
#include "base/config_fields.h"
#include "example.def"
};

#define CONFIG_STRUCT struct example_config
static const struct setting settings[] = {
#include "base/config_table.h"
#include "example.def"
};

static const char *const variables[] = {"T_NAME", "T_PORT",  "T_WAIT", "T_BYTES",
                                        "T_ON",   "T_SHAPE", "T_KEY",  "T_KEY_FILE"};

/* Loads with one variable set (NULL: none). Returns the error sentence, owned; "" when there is
 * none. */
static char *load(const char *variable, const char *value, struct example_config *ret_config)
{
    for (size_t i = 0; i < COUNT_OF(variables); i++) {
        unsetenv(variables[i]);
    }
    if (variable != NULL) {
        setenv(variable, value, 1);
    }
    struct buf error = BUF_INIT;
    *ret_config = (struct example_config){0};
    CHECK(config_load(settings, COUNT_OF(settings), ret_config, &error) == (error.len == 0));
    char *sentence = bytes_to_string(buf_bytes(&error));
    buf_release(&error);
    return sentence;
}

static void check_refused(const char *variable, const char *value, const char *sentence)
{
    struct example_config config;
    char *error = load(variable, value, &config);
    assert_string_equal(error, sentence);
    free(error);
    config_release(settings, COUNT_OF(settings), &config);
}

TEST(defaults_hold_where_nothing_is_set_and_where_a_variable_is_empty)
{
    static const char *const set[] = {NULL, "T_PORT", "T_NAME"};
    for (size_t i = 0; i < COUNT_OF(set); i++) {
        struct example_config config;
        char *error = load(set[i], "", &config);
        assert_string_equal(error, "");
        assert_string_equal(config.name, "ada");
        assert_string_equal(config.key, "");
        CHECK(config.port == 3000 && config.wait_ms == 25000 && config.bytes_max == 16384);
        CHECK(config.is_on && config.shape == 1);
        free(error);
        config_release(settings, COUNT_OF(settings), &config);
        CHECK(config.name == NULL);
    }
}

static int64_t loaded_number(const char *variable, const char *value)
{
    struct example_config config;
    char *error = load(variable, value, &config);
    assert_string_equal(error, "");
    int64_t number = strcmp(variable, "T_PORT") == 0   ? config.port
                     : strcmp(variable, "T_WAIT") == 0 ? config.wait_ms
                                                       : config.bytes_max;
    free(error);
    config_release(settings, COUNT_OF(settings), &config);
    return number;
}

TEST(numbers_are_read_with_their_units)
{
    CHECK(loaded_number("T_PORT", "-1") == -1);
    CHECK(loaded_number("T_PORT", "65535") == 65535);
    CHECK(loaded_number("T_WAIT", "250ms") == 250);
    CHECK(loaded_number("T_WAIT", "8s") == 8000);
    CHECK(loaded_number("T_WAIT", "2m") == 120000);
    CHECK(loaded_number("T_WAIT", "1h") == 3600000);
    CHECK(loaded_number("T_BYTES", "17") == 17);
    CHECK(loaded_number("T_BYTES", "1KiB") == 1024);
    CHECK(loaded_number("T_BYTES", "2MiB") == 2097152);
}

TEST(a_duration_without_a_unit_is_refused_with_a_hint)
{
    check_refused("T_WAIT", "8000",
                  "T_WAIT is \"8000\", a number without a unit: write for example \"8s\" or "
                  "\"8000ms\".");
}

TEST(what_is_not_a_number_or_out_of_range_is_refused_with_the_range)
{
    static const char port[] = "but must be a whole number from -1 to 65535.";
    static const char *const wrong_ports[] = {"65536", "-2", "3000x", "3 000",
                                              "99999999999999999999"};
    for (size_t i = 0; i < COUNT_OF(wrong_ports); i++) {
        char sentence[200];
        snprintf(sentence, sizeof(sentence), "T_PORT is \"%s\", %s", wrong_ports[i], port);
        check_refused("T_PORT", wrong_ports[i], sentence);
    }
    check_refused("T_WAIT", "1d",
                  "T_WAIT is \"1d\", but must be a time in ms, s, m or h from 50ms to 1h.");
    check_refused("T_WAIT", "49ms",
                  "T_WAIT is \"49ms\", but must be a time in ms, s, m or h from 50ms to 1h.");
    check_refused("T_BYTES", "5KB",
                  "T_BYTES is \"5KB\", but must be bytes, KiB, MiB or GiB from 1 to 4MiB.");
    check_refused("T_BYTES", "9223372036854775807GiB",
                  "T_BYTES is \"9223372036854775807GiB\", but must be bytes, KiB, MiB or GiB from "
                  "1 to 4MiB.");
}

TEST(a_choice_is_one_of_its_words)
{
    struct example_config config;
    char *error = load("T_SHAPE", "star", &config);
    assert_string_equal(error, "");
    CHECK(config.shape == 2);
    free(error);
    config_release(settings, COUNT_OF(settings), &config);
    check_refused("T_SHAPE", "st", "T_SHAPE is \"st\", but must be round, square or star.");
    check_refused("T_ON", "true", "T_ON is \"true\", but must be on or off.");
}

/* Writes @len bytes to a new file; its name is valid until the next call. */
static const char *file_with(const char *content, size_t len)
{
    static char path[64];
    strcpy(path, "/tmp/parley-config-test-XXXXXX");
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, content, len) == (ssize_t)len);
    close(fd);
    return path;
}

TEST(a_secret_is_read_from_a_file_without_its_last_newline)
{
    static const char *const contents[] = {"one:ab\n", "one:ab\r\n", "one:ab"};
    for (size_t i = 0; i < COUNT_OF(contents); i++) {
        struct example_config config;
        const char *path = file_with(contents[i], strlen(contents[i]));
        char *error = load("T_KEY_FILE", path, &config);
        assert_string_equal(error, "");
        assert_string_equal(config.key, "one:ab");
        free(error);
        config_release(settings, COUNT_OF(settings), &config);
        unlink(path);
    }
}

TEST(a_secret_set_twice_or_in_a_file_that_cannot_be_read_is_refused)
{
    check_refused("T_KEY_FILE", "/nowhere/key",
                  "T_KEY_FILE names \"/nowhere/key\", which cannot be read: No such file or "
                  "directory.");
    check_refused("T_KEY_FILE", "/",
                  "T_KEY_FILE names \"/\", which cannot be read: Is a directory.");
    struct example_config config = {0};
    struct buf error = BUF_INIT;
    setenv("T_KEY_FILE", "/nowhere/key", 1);
    setenv("T_KEY", "one:ab", 1);
    CHECK(!config_load(settings, COUNT_OF(settings), &config, &error));
    CHECK_TEXT(buf_bytes(&error), "T_KEY and T_KEY_FILE are both set: unset one of them.");
    buf_release(&error);
    config_release(settings, COUNT_OF(settings), &config);
}

TEST(a_secret_file_may_have_its_limit_and_not_a_byte_more)
{
    enum { LIMIT = 64 * 1024 };
    char *content = malloc(LIMIT + 1);
    memset(content, 'k', LIMIT + 1);
    struct example_config config;
    const char *path = file_with(content, LIMIT);
    char *error = load("T_KEY_FILE", path, &config);
    assert_string_equal(error, "");
    CHECK(strlen(config.key) == LIMIT);
    free(error);
    unlink(path);
    config_release(settings, COUNT_OF(settings), &config);

    path = file_with(content, LIMIT + 1);
    error = load("T_KEY_FILE", path, &config);
    CHECK(strstr(error, "File too large") != NULL);
    free(error);
    unlink(path);
    config_release(settings, COUNT_OF(settings), &config);
    free(content);
}

TEST(help_and_the_table_show_defaults_as_a_user_would_write_them)
{
    struct buf out = BUF_INIT;
    config_write_help(settings, COUNT_OF(settings), &out);
    buf_append_char(&out, '\0');
    CHECK(strstr(out.data,
                 "  T_WAIT=25s\n      How long. (a time in ms, s, m or h from 50ms to 1h)\n"));
    CHECK(strstr(out.data, "  T_ON=on\n"));
    CHECK(strstr(out.data, "T_KEY_FILE"));
    buf_clear(&out);
    config_write_markdown(settings, COUNT_OF(settings), &out);
    buf_append_char(&out, '\0');
    CHECK(strstr(out.data,
                 "| `T_BYTES` | `16KiB` | bytes, KiB, MiB or GiB from 1 to 4MiB | How much. |\n"));
    CHECK(strstr(out.data, "| `T_SHAPE` | `square` | round, square or star | What \\| which. |\n"));
    buf_release(&out);
}

static void write_metrics(struct buf *out)
{
    metrics_single(out, "n", METRIC_GAUGE, "How many.", 0);
}

/* Runs the arguments in a child, with both outputs closed to us. Returns its exit status; 100: it
 * went on. */
static int exit_status_with(int argc, const char *first, const char *second)
{
    char *argv[] = {(char[]){"example"}, mem_copy_string(first, strlen(first)),
                    mem_copy_string(second, strlen(second)), NULL};
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr)) {
            config_handle_arguments(argc, argv, "example", "an example", settings,
                                    COUNT_OF(settings), write_metrics);
        }
        _exit(100);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    free(argv[1]);
    free(argv[2]);
    return WEXITSTATUS(status);
}

TEST(arguments_print_and_end_and_unknown_ones_fail)
{
    CHECK(exit_status_with(1, "", "") == 100);
    CHECK(exit_status_with(2, "--help", "") == 0);
    CHECK(exit_status_with(2, "--version", "") == 0);
    CHECK(exit_status_with(2, "--config-markdown", "") == 0);
    CHECK(exit_status_with(2, "--metrics-markdown", "") == 0);
    CHECK(exit_status_with(2, "--port", "") == 2);
    CHECK(exit_status_with(3, "--help", "me") == 2);
}

TEST_MAIN(TEST_OF(defaults_hold_where_nothing_is_set_and_where_a_variable_is_empty),
          TEST_OF(numbers_are_read_with_their_units),
          TEST_OF(a_duration_without_a_unit_is_refused_with_a_hint),
          TEST_OF(what_is_not_a_number_or_out_of_range_is_refused_with_the_range),
          TEST_OF(a_choice_is_one_of_its_words),
          TEST_OF(a_secret_is_read_from_a_file_without_its_last_newline),
          TEST_OF(a_secret_set_twice_or_in_a_file_that_cannot_be_read_is_refused),
          TEST_OF(a_secret_file_may_have_its_limit_and_not_a_byte_more),
          TEST_OF(help_and_the_table_show_defaults_as_a_user_would_write_them),
          TEST_OF(arguments_print_and_end_and_unknown_ones_fail))
