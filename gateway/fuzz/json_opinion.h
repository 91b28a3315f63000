/*
 * json_opinion.h - what libjansson thinks of a text, in a file of its own, since its names are those of wire/json.h.
 */
#ifndef PARLEY_FUZZ_JSON_OPINION_H
#define PARLEY_FUZZ_JSON_OPINION_H

#include <stddef.h>

enum json_opinion {
    JSON_OPINION_NONE, /* not installed, or refused for what is libjansson's own: see json_opinion.c */
    JSON_OPINION_YES,
    JSON_OPINION_NO,
};

enum json_opinion json_opinion_of(const char *text, size_t len);

#endif
