#include "config.h"

#define CONFIG_STRUCT struct gateway_config

const struct setting gateway_settings[] = {
#include "base/config_table.h"
#include "config.def"
};

const size_t gateway_settings_count = COUNT_OF(gateway_settings);
