/* client_test.c - what a client says in each dialect, and what it takes from a server. */
#include "base/tests/testing.h"
#include "client.h"

#include <stdlib.h>

TEST(the_last_argument_of_parleys_event_is_its_id)
{
    uint64_t epoch = 0;
    struct bytes event =
        BYTES("[\"chat message\",\"x\",\"17\",\"me\",{\"at\":1},\"1700000000-17\"]");
    CHECK(client_event_id(CLIENT_PARLEY, event, &epoch) == 17);
    CHECK(epoch == 1700000000);
    CHECK(client_event_id(CLIENT_PARLEY, BYTES("[\"chat gap\",{}]"), NULL) == 0);
}

TEST(the_second_argument_of_the_tutorials_event_is_its_id)
{
    struct bytes event = BYTES("[\"chat message\",\"x\",18,\"an offset-99\"]");
    CHECK(client_event_id(CLIENT_TUTORIAL, event, NULL) == 18);
    CHECK(client_event_id(CLIENT_PLAIN, BYTES("[\"chat message\",\"x\",19]"), NULL) == 19);
    CHECK(client_event_id(CLIENT_PLAIN, BYTES("[\"chat message\",\"x"), NULL) == 0);
    CHECK(client_event_id(CLIENT_PLAIN, BYTES("[\"chat message\",\"x\""), NULL) == 0);
    CHECK(client_event_id(CLIENT_PLAIN, BYTES("["), NULL) == 0);
}

static void check_message(enum client_dialect dialect, const char *wanted)
{
    struct client_settings settings = {.dialect = dialect, .room_prefix = "r"};
    struct buf out = BUF_INIT;
    client_append_message(&out, &settings, BYTES("hello"), 5);
    CHECK_TEXT(buf_bytes(&out), wanted);
    buf_release(&out);
}

TEST(a_message_carries_what_its_server_wants)
{
    check_message(CLIENT_PARLEY, "\"chat message\",\"hello\"");
    check_message(CLIENT_TUTORIAL, "\"chat message\",\"hello\",\"r-5\"");
    check_message(CLIENT_PLAIN, "\"chat message\",\"hello\",5");
}

TEST_MAIN(TEST_OF(the_last_argument_of_parleys_event_is_its_id),
          TEST_OF(the_second_argument_of_the_tutorials_event_is_its_id),
          TEST_OF(a_message_carries_what_its_server_wants))
