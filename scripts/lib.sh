# lib.sh - what the scripts beside it share. Source it; it enters the checkout's root folder.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Colours, where people look on.
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\033[1m' dim=$'\033[2m' red=$'\033[31m' green=$'\033[32m' plain=$'\033[0m'
else
    bold='' dim='' red='' green='' plain=''
fi
# shellcheck disable=SC2034  # used by those who source this
readonly bold dim red green plain

say() {
    printf '%s\n' "$*"
}

# Ends the script with a sentence.
die() {
    printf '%s%s%s\n' "$red" "$*" "$plain" >&2
    exit 1
}

# For what needs it.
as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo "$@"
    fi
}

# The folder of Postgres's own programs, which Debian keeps out of PATH. With a version, the one of that version.
postgres_programs() {
    local dir
    for dir in "/usr/lib/postgresql/${1:-*}/bin" "$(dirname "$(command -v initdb || echo /)")"; do
        dir=$(compgen -G "$dir" | sort -V | tail -n 1 || true)
        if [[ -x $dir/initdb && -x $dir/postgres ]]; then
            printf '%s\n' "$dir"
            return
        fi
    done
    return 1
}
