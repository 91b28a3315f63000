# Writes OUTPUT, a C file with the migrations that FILES (separated by |) name, for src/migrations.h.
string(REPLACE "|" ";" FILES "${FILES}")
set(ENTRIES "")
set(EXPECTED 1)
foreach(FILE IN LISTS FILES)
    get_filename_component(NAME ${FILE} NAME_WE)
    string(REGEX MATCH "^[0-9]+" NUMBER ${NAME})
    math(EXPR NUMBER "1${NUMBER} - 10000")
    if(NOT NUMBER EQUAL EXPECTED)
        message(FATAL_ERROR "migrations are numbered 0001, 0002, … without holes: ${NAME} is not ${EXPECTED}")
    endif()
    math(EXPR EXPECTED "${EXPECTED} + 1")
    file(READ ${FILE} BYTES HEX)
    string(REGEX REPLACE "(..)" "0x\\1," BYTES "${BYTES}")
    string(APPEND ARRAYS "static const unsigned char sql_${NUMBER}[] = {${BYTES}0x00};\n")
    string(APPEND ENTRIES "    {${NUMBER}, \"${NAME}\", (const char *)sql_${NUMBER}},\n")
endforeach()
file(WRITE ${OUTPUT} "/* Made from migrations/ by cmake/embed_migrations.cmake. */
#include \"migrations.h\"

${ARRAYS}
const struct migration migrations[] = {
${ENTRIES}};
const size_t migrations_count = sizeof(migrations) / sizeof(migrations[0]);
")
