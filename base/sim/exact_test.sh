#!/usr/bin/env bash
#
# A seed decides all that happens, to the bit: whether it runs alone, or behind others in one process.
#
#   exact_test.sh path/to/a/simulation

set -euo pipefail

simulation=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$simulation" --seed 1 --schedules 4 --trace "$folder/in-a-row"
for seed in 1 2 3 4; do
    "$simulation" --seed "$seed" --trace "$folder/alone"
    cat "$folder/alone" >>"$folder/each-alone"
done
cmp "$folder/in-a-row" "$folder/each-alone"
[[ $(wc -l <"$folder/in-a-row") -gt 1000 ]] || { echo "there is nothing in these traces" && exit 1; }
if cmp --silent <("$simulation" --seed 5 --trace /dev/stdout) "$folder/alone"; then
    echo "another seed makes the same happen"
    exit 1
fi
