/*
 * openapi.h - openapi.json, as it was when the program was built. Made by cmake/embed_openapi.cmake.
 */
#ifndef PARLEY_STORE_OPENAPI_H
#define PARLEY_STORE_OPENAPI_H

#include <stddef.h>

extern const unsigned char openapi_json[];
extern const size_t openapi_json_len;

#endif
