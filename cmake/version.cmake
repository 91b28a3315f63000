# Sets PARLEY_VERSION: what -DPARLEY_VERSION=… said, else what git tells of this checkout, else the project's version.
#
#   v1.2.0 checked out          1.2.0
#   five commits behind it      1.2.0-5-gabc1234, with -dirty where files are changed
#   no such tag yet             0.1.0+gabc1234
#   no git, no checkout         0.1.0
#
# The variable of the cache is only what was asked for: so a checkout that moves on is seen at the next configuration.

set(PARLEY_VERSION "" CACHE STRING "What the programs call themselves; empty: ask git")
if(NOT PARLEY_VERSION)
    execute_process(
        COMMAND git describe --tags --always --dirty --match "v[0-9]*"
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
        RESULT_VARIABLE PARLEY_GIT_RESULT
        OUTPUT_VARIABLE PARLEY_GIT_DESCRIPTION
        ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT PARLEY_GIT_RESULT EQUAL 0 OR NOT EXISTS ${PROJECT_SOURCE_DIR}/.git)
        set(PARLEY_VERSION ${PROJECT_VERSION})
    elseif(PARLEY_GIT_DESCRIPTION MATCHES "^v(.*)$")
        set(PARLEY_VERSION ${CMAKE_MATCH_1})
    else()
        set(PARLEY_VERSION "${PROJECT_VERSION}+g${PARLEY_GIT_DESCRIPTION}")
    endif()
endif()
