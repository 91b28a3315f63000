/* version.h - which Parley this is: what `git describe` said when it was configured (cmake/version.cmake). */
#ifndef PARLEY_VERSION_H
#define PARLEY_VERSION_H

extern const char parley_version[];

#endif
