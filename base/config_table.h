/*
 * config_table.h - turns the SETTING_* lines that follow into initialisers of `struct setting`, for the struct that
 * CONFIG_STRUCT names. No include guard: used once per table.
 */
#undef SETTING_STRING
#undef SETTING_SECRET
#undef SETTING_INT
#undef SETTING_DURATION
#undef SETTING_SIZE
#undef SETTING_BOOL
#undef SETTING_CHOICE
#define SETTING_STRING(f, v, d, h) \
    {SETTING_TYPE_STRING, v, h, offsetof(CONFIG_STRUCT, f), d, NULL, 0, 0, 0},
#define SETTING_SECRET(f, v, d, h) \
    {SETTING_TYPE_SECRET, v, h, offsetof(CONFIG_STRUCT, f), d, NULL, 0, 0, 0},
#define SETTING_INT(f, v, d, lo, hi, h) \
    {SETTING_TYPE_INT, v, h, offsetof(CONFIG_STRUCT, f), NULL, NULL, d, lo, hi},
#define SETTING_DURATION(f, v, d, lo, hi, h) \
    {SETTING_TYPE_DURATION, v, h, offsetof(CONFIG_STRUCT, f), NULL, NULL, d, lo, hi},
#define SETTING_SIZE(f, v, d, lo, hi, h) \
    {SETTING_TYPE_SIZE, v, h, offsetof(CONFIG_STRUCT, f), NULL, NULL, d, lo, hi},
#define SETTING_BOOL(f, v, d, h) \
    {SETTING_TYPE_BOOL, v, h, offsetof(CONFIG_STRUCT, f), NULL, NULL, d, 0, 1},
#define SETTING_CHOICE(f, v, d, c, h) \
    {SETTING_TYPE_CHOICE, v, h, offsetof(CONFIG_STRUCT, f), d, c, 0, 0, 0},
