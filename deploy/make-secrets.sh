#!/bin/sh
# Makes the secrets of the compose stack: without names those that are missing, never one anew; with names, logins at the
# broker, whose passwords are printed once.
#
#   deploy/make-secrets.sh                      before the first `docker compose up`
#   deploy/make-secrets.sh opm-0001 opm-0002    then `docker compose kill --signal HUP mosquitto`
#   deploy/make-secrets.sh --remove opm-0001    and the same
set -eu
umask 077
into=${FEMTOWARD_SECRETS:-$(cd "$(dirname "$0")" && pwd)/secrets}
logins=$into/mosquitto_passwords
image=eclipse-mosquitto:2.0.22

refuse() {
    echo "make-secrets.sh: $1" >&2
    exit 2
}

password() {
    head -c 24 /dev/urandom | base64 | tr '+/' '-_'
}

# Files are bound into containers whose users this host does not know: the folder keeps others out, not the file.
keep() {
    cat >"$into/$1.new"
    chmod 444 "$into/$1.new"
    mv "$into/$1.new" "$into/$1"
    echo "made $into/$1"
}

once() {
    [ -e "$into/$1" ] || password | tr -d '\n' | keep "$1"
}

# A name is a text here, never a pattern.
known() {
    [ -e "$logins" ] && awk -v start="$1:" 'index($0, start) == 1 { found = 1 } END { exit !found }' "$logins"
}

check() {
    case $1 in
    -* | *[!A-Za-z0-9_-]* | "") refuse "'$1' is no name for a login: need 1-64 of A-Z a-z 0-9 _ -, no - in front" ;;
    esac
    [ ${#1} -le 64 ] || refuse "'$1' is no name for a login: at most 64 characters"
}

# Adds NAME:PASSWORD lines from standard input, hashed. The file is written to, never replaced: the broker's container
# holds on to the one that it was started with.
add_logins() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cat >"$work/plain"
    if command -v mosquitto_passwd >/dev/null; then
        mosquitto_passwd -U "$work/plain"
    else
        docker run --rm --network none --user 0 --volume "$work:/secrets" "$image" mosquitto_passwd -U /secrets/plain
    fi
    cat "$work/plain" >>"$logins"
    rm -rf "$work"
    trap - EXIT
    # mosquitto wants the file to be its own: its user in the container has number 1883.
    if [ "$(id -u)" = 0 ]; then
        chown 1883:1883 "$logins"
        chmod 400 "$logins"
    else
        chmod 444 "$logins"
    fi
}

PATH=$PATH:/usr/sbin:/usr/local/sbin
mkdir -p "$into"
chmod 700 "$into"

if [ "${1:-}" = --remove ]; then
    shift
    for name in "$@"; do
        check "$name"
        known "$name" || refuse "$name has no login"
    done
    for name in "$@"; do
        left=$(awk -v start="$name:" 'index($0, start) != 1' "$logins")
        printf '%s\n' "$left" >"$logins"
        echo "removed $name"
    done
    exit 0
fi

for name in "$@"; do
    check "$name"
    case $name in
    ward | gateway) refuse "$name is no name for a login: it would give commands, or speak for every device" ;;
    esac
    ! known "$name" || refuse "$name has a login: \`$0 --remove $name\` takes it away"
done

if [ $# -gt 0 ]; then
    new=$(for name in "$@"; do echo "$name:$(password)"; done)
    echo "$new" | add_logins
    echo "$new" | tr ':' ' '
    exit 0
fi

for name in ingest_password simulator_password health_password page_token \
    influx_password influx_token grafana_password; do
    once "$name"
done
for login in femtoward-ingest:ingest simulator:simulator health:health; do
    name=${login%%:*}
    known "$name" || echo "$name:$(cat "$into/${login##*:}_password")" | add_logins
done
[ -e "$into/mosquitto_sub" ] || printf -- '-u health\n-P %s\n' "$(cat "$into/health_password")" | keep mosquitto_sub
