#include "promise.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void promise_broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "broken promise: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}
