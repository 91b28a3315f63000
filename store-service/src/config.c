#include "config.h"

#include "proto/contract.h"

#define CONFIG_STRUCT struct store_config
const struct setting store_settings[] = {
#include "base/config_table.h"
#include "config.def"
};
const size_t store_settings_count = COUNT_OF(store_settings);

bool shard_range_parse(const char *text, struct shard_range *ret_range, struct buf *ret_error)
{
    struct bytes first = bytes_of_string(text);
    struct bytes last = first;
    const char *dash = strchr(text, '-');
    if (dash != NULL) {
        first.len = (size_t)(dash - text);
        last = bytes_of_string(dash + 1);
    }
    uint64_t first_number;
    uint64_t last_number;
    if (!bytes_to_u64(first, &first_number) || !bytes_to_u64(last, &last_number) ||
        first_number > last_number || last_number >= CONTRACT_SHARDS) {
        buf_append_format(ret_error,
                          "SHARDS is \"%s\", but must be one range of the shards 0 to %d, "
                          "such as 0-%d or 0-31.",
                          text, CONTRACT_SHARDS - 1, CONTRACT_SHARDS - 1);
        return false;
    }
    *ret_range = (struct shard_range){(unsigned)first_number, (unsigned)last_number};
    return true;
}

void nats_url_write_public(const char *url, struct buf *out)
{
    for (const char *server = url; *server != '\0';) {
        size_t len = strcspn(server, ",");
        const char *host = server;
        const char *slashes = strstr(server, "//");
        if (slashes != NULL && slashes < server + len) {
            host = slashes + 2;
        }
        for (const char *c = host; c < server + len; c++) {
            host = *c == '@' ? c + 1 : host; /* what is before the last one is name and password */
        }
        buf_append(out, host, (size_t)(server + len - host));
        server += len;
        if (*server == ',') {
            buf_append_char(out, ',');
            server++;
        }
    }
}
