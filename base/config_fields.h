/*
 * config_fields.h - turns the SETTING_* lines that follow into struct fields. No include guard: used once per struct.
 */
#undef SETTING_STRING
#undef SETTING_SECRET
#undef SETTING_INT
#undef SETTING_DURATION
#undef SETTING_SIZE
#undef SETTING_BOOL
#undef SETTING_CHOICE
#define SETTING_STRING(field, variable, text, help)               char *field;
#define SETTING_SECRET(field, variable, text, help)               char *field;
#define SETTING_INT(field, variable, number, min, max, help)      int64_t field;
#define SETTING_DURATION(field, variable, number, min, max, help) int64_t field;
#define SETTING_SIZE(field, variable, number, min, max, help)     int64_t field;
#define SETTING_BOOL(field, variable, number, help)               bool field;
#define SETTING_CHOICE(field, variable, text, choices, help)      int field;
