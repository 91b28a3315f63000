# Writes OUTPUT, a C file with what FILE holds, for src/openapi.h.
file(READ ${FILE} BYTES HEX)
string(REGEX REPLACE "(..)" "0x\\1," BYTES "${BYTES}")
file(WRITE ${OUTPUT} "/* Made from openapi.json by cmake/embed_openapi.cmake. */
#include \"openapi.h\"

const unsigned char openapi_json[] = {${BYTES}};
const size_t openapi_json_len = sizeof(openapi_json);
")
