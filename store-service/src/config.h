/* config.h - the store-service's settings (config.def), and those of them that need a second look. */
#ifndef PARLEY_STORE_CONFIG_H
#define PARLEY_STORE_CONFIG_H

#include "base/config.h"

struct store_config {
#include "base/config_fields.h"
#include "config.def"
};

extern const struct setting store_settings[];
extern const size_t store_settings_count;

struct shard_range {
    unsigned first, last; /* both included */
};

/*
 * Reads "0-63" or "7". Returns false, with a sentence for the user in @ret_error, when @text is no range of shards;
 * @ret_range is then untouched.
 */
MUST_USE bool shard_range_parse(const char *text, struct shard_range *ret_range,
                                struct buf *ret_error);

/* Appends @url, a list of NATS servers, without the names and passwords in it: for logs. */
void nats_url_write_public(const char *url, struct buf *out);

#endif
