# Compiler and linker flags that every target gets; the presets in CMakePresets.json add sanitizers and optimisation.

add_compile_definitions(_GNU_SOURCE)
add_compile_options(
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef
    -Wformat=2 -Wwrite-strings -Wcast-qual -Wimplicit-fallthrough
    -fno-strict-aliasing -fno-omit-frame-pointer -fvisibility=hidden -g)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wlogical-op -Wduplicated-cond)
else()
    add_compile_options(-Wno-gnu-zero-variadic-macro-arguments -Wno-gnu-statement-expression)
endif()
if(PARLEY_WERROR)
    add_compile_options(-Werror)
endif()

# Hardening of release builds: stack protector, fortified libc calls, PIE, read-only relocations, no executable stack.
if(PARLEY_HARDEN)
    add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=2)
    add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    include(CheckPIESupported)
    check_pie_supported()
endif()

if(PARLEY_SANITIZE)
    add_compile_options(-fsanitize=${PARLEY_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${PARLEY_SANITIZE})
endif()
