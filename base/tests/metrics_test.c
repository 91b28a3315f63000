#include "base/metrics.h"
#include "base/process_metrics.h"
#include "base/version.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

TEST(a_family_is_written_with_its_help_its_type_and_its_samples)
{
    struct buf out = BUF_INIT;
    metrics_family(&out, "parley_refused_total", METRIC_COUNTER, "Refused messages.");
    metrics_sample(&out, "parley_refused_total", "reason=\"too_large\"", 3);
    metrics_single(&out, "parley_connections", METRIC_GAUGE, "Open connections.", 10000);
    CHECK_TEXT(buf_bytes(&out), "# HELP parley_refused_total Refused messages.\n"
                                "# TYPE parley_refused_total counter\n"
                                "parley_refused_total{reason=\"too_large\"} 3\n"
                                "# HELP parley_connections Open connections.\n"
                                "# TYPE parley_connections gauge\n"
                                "parley_connections 10000\n");
    buf_release(&out);
}

static void check_number(double value, const char *text)
{
    struct buf out = BUF_INIT;
    metrics_sample(&out, "n", "", value);
    CHECK(bytes_start_with(buf_bytes(&out), BYTES("n ")));
    CHECK_TEXT(bytes_of(out.data + 2, out.len - 3), text);
    buf_release(&out);
}

TEST(numbers_are_written_short_and_exact)
{
    check_number(0, "0");
    check_number(0.1, "0.1");
    check_number(-1.5, "-1.5");
    check_number(9007199254740993.0, "9007199254740992");
    check_number(1e300 * 1e300, "+Inf");
    check_number(-1e300 * 1e300, "-Inf");
}

static int bucket_of(uint64_t value)
{
    static struct histogram histogram;
    histogram = (struct histogram){0};
    histogram_record(&histogram, value);
    for (int i = 0; i < HISTOGRAM_BUCKETS_MAX; i++) {
        if (histogram.buckets[i] == 1) {
            return i;
        }
    }
    return -1;
}

TEST(a_bucket_holds_what_is_at_its_bound_and_not_one_more)
{
    CHECK(bucket_of(0) == 0);
    for (int i = 0; i < HISTOGRAM_BUCKETS_MAX - 1; i++) {
        CHECK(bucket_of((uint64_t)64 << i) == i);
        CHECK(bucket_of(((uint64_t)64 << i) + 1) == i + 1);
    }
    CHECK(bucket_of(UINT64_MAX) == HISTOGRAM_BUCKETS_MAX - 1);
}

TEST(a_histogram_is_written_cumulated_and_scaled)
{
    static struct histogram histogram;
    histogram_record(&histogram, 64);
    histogram_record(&histogram, 100);
    histogram_record(&histogram, 1000000);
    CHECK(histogram_count(&histogram) == 3);
    struct buf out = BUF_INIT;
    metrics_histogram(&out, "d_seconds", "Time.", 1e-6, &histogram);
    char *text = bytes_to_string(buf_bytes(&out));
    CHECK(strstr(text, "# TYPE d_seconds histogram\n") != NULL);
    CHECK(strstr(text, "d_seconds_bucket{le=\"6.4e-05\"} 1\n") != NULL);
    CHECK(strstr(text, "d_seconds_bucket{le=\"0.000128\"} 2\n") != NULL);
    CHECK(strstr(text, "d_seconds_bucket{le=\"1.048576\"} 3\n") != NULL);
    CHECK(strstr(text, "d_seconds_bucket{le=\"+Inf\"} 3\n") != NULL);
    CHECK(strstr(text, "d_seconds_sum 1.000164\nd_seconds_count 3\n") != NULL);
    free(text);
    buf_release(&out);
}

TEST(a_table_for_people_has_a_row_for_each_family_with_all_its_labels)
{
    static struct histogram histogram;
    struct buf text = BUF_INIT;
    metrics_family(&text, "n_total", METRIC_COUNTER, "How many, by what.");
    metrics_sample(&text, "n_total", "reason=\"full\",kind=\"a\"", 0);
    metrics_sample(&text, "n_total", "reason=\"bad\",kind=\"a\"", 0);
    metrics_sample(&text, "n_total", "reason=\"bad\",kind=\"ab\"", 0);
    metrics_histogram(&text, "d_seconds", "Time.", 1e-6, &histogram);
    metrics_family(&text, "build", METRIC_GAUGE, "Always 1.");
    metrics_sample(&text, "build", "version=\"1.0\"", 1);
    struct buf out = BUF_INIT;
    metrics_write_markdown(buf_bytes(&text), &out);
    CHECK_TEXT(buf_bytes(&out),
               "| metric | type | labels | what it is |\n|---|---|---|---|\n"
               "| `n_total` | counter | `reason`: full, bad; `kind`: a, ab | How many, by what. |\n"
               "| `d_seconds` | histogram |  | Time. |\n"
               "| `build` | gauge | `version` | Always 1. |\n");
    buf_release(&text);
    buf_release(&out);
}

TEST(a_process_tells_its_version_and_what_it_takes)
{
    struct buf out = BUF_INIT;
    process_metrics_write(&out, "example");
    char *text = bytes_to_string(buf_bytes(&out));
    char build[128];
    snprintf(build, sizeof(build), "\nparley_build_info{service=\"example\",version=\"%s\"} 1\n",
             parley_version);
    CHECK(strstr(text, build) != NULL);
    const char *started = strstr(text, "\nprocess_start_time_seconds ");
    CHECK(started != NULL);
    double since = (double)time(NULL) - strtod(strchr(started, ' '), NULL);
    CHECK(since > -2 && since < 3600);
    const char *memory = strstr(text, "\nprocess_resident_memory_bytes ");
    CHECK(memory != NULL && strtod(strchr(memory, ' '), NULL) > 100000);
    struct buf later = BUF_INIT;
    process_metrics_write(&later, "example");
    char *later_text = bytes_to_string(buf_bytes(&later));
    const char *started_later = strstr(later_text, "\nprocess_start_time_seconds ");
    CHECK(strncmp(started, started_later, strcspn(started + 1, "\n") + 2) == 0);
    free(later_text);
    buf_release(&later);
    free(text);
    buf_release(&out);
}

TEST_MAIN(TEST_OF(a_family_is_written_with_its_help_its_type_and_its_samples),
          TEST_OF(numbers_are_written_short_and_exact),
          TEST_OF(a_bucket_holds_what_is_at_its_bound_and_not_one_more),
          TEST_OF(a_histogram_is_written_cumulated_and_scaled),
          TEST_OF(a_table_for_people_has_a_row_for_each_family_with_all_its_labels),
          TEST_OF(a_process_tells_its_version_and_what_it_takes))
