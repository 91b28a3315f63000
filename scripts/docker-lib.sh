# docker-lib.sh - what the scripts share that use Docker. Source it after lib.sh.
# shellcheck shell=bash

# shellcheck disable=SC2034  # used by those who source this
readonly tag=${PARLEY_TAG:-dev}

# Ends the script where no Docker daemon answers.
need_docker() {
    command -v docker >/dev/null || die "There is no docker here: scripts/setup docker installs it."
    docker info >/dev/null 2>&1 ||
        die "No Docker daemon answers: start it (systemctl start docker), or let scripts/with-docker start one for a command."
}

has_image() {
    docker image inspect "$1" >/dev/null 2>&1
}

# Whether images can be had from Docker Hub; says no within 10 s.
reaches_hub() {
    timeout 10 docker manifest inspect debian:bookworm-slim >/dev/null 2>&1
}

# Our stack, by the compose of this machine: v2, a plugin of docker, or 1.29. PARLEY_ENV_FILE instead of deploy/.env.
compose() {
    local program=(docker-compose)
    ! docker compose version >/dev/null 2>&1 || program=(docker compose)
    "${program[@]}" -f deploy/docker-compose.yml --env-file "${PARLEY_ENV_FILE:-deploy/.env}" "$@"
}

# Waits until every container of a service is healthy, or ends the script.
wait_until_well() {
    local service=$1 end=$((SECONDS + ${PARLEY_HEALTH_SECONDS:-180})) containers states
    mapfile -t containers < <(compose ps -q "$service")
    while true; do
        states=$(docker inspect -f '{{.State.Health.Status}}' "${containers[@]}" | sort -u)
        [[ $states != healthy ]] || return 0
        ((SECONDS < end)) || die "$service is not well (${states//$'\n'/, }): scripts/compose logs $service tells why."
        sleep 0.2
    done
}

# build_image NAME DOCKERFILE [ARGUMENT]...   builds quietly, from the root of the checkout; what was said shows on failure
build_image() {
    local name=$1 file=$2 started=$SECONDS log
    shift 2
    log=.cache/image-$(basename "$file" .Dockerfile).log
    docker build -f "$file" -t "$name" "$@" . >"$log" 2>&1 || die "$(tail -n 40 "$log")
The image $name could not be built: all of its log is in $log."
    printf '  %-32s %8s  %4d s\n' "$name" "$(image_megabytes "$name")" $((SECONDS - started))
}

image_megabytes() {
    docker image inspect -f '{{.Size}}' "$1" | awk '{ printf "%.1f MB", $1 / 1e6 }'
}
