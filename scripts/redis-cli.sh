#!/bin/sh
# Opens redis-cli on the current master, found by SRV. Arguments go to redis-cli.
#
# usage: scripts/redis-cli.sh [redis-cli's arguments]
#
# DNS_SERVER (172.17.8.101), DNS_PORT (53), CLUSTER (redis-1).
# Needs one of dig, kdig and drill, and redis-cli; where that's only in an image, say so by
# REDIS_CLI='docker run -it --rm IMAGE redis-cli'.
set -eu

server=${DNS_SERVER:-172.17.8.101}
port=${DNS_PORT:-53}
name=master.${CLUSTER:-redis-1}.docker
client=${REDIS_CLI:-redis-cli}

die() {
    echo "redis-cli.sh: $*" >&2
    exit 1
}

if command -v dig >/dev/null; then
    look_up="dig +time=2 +tries=2"
elif command -v kdig >/dev/null; then
    look_up="kdig +time=2 +retry=1"
elif command -v drill >/dev/null; then
    look_up=drill
else
    die "one of dig, kdig and drill is needed (Debian: apt-get install bind9-dnsutils)"
fi
command -v "${client%% *}" >/dev/null || die "${client%% *} is missing (Debian: apt-get install redis-tools)"

# ask NAME TYPE: the whole answer; the three tools write a record alike: name ttl IN type data
ask() {
    # shellcheck disable=SC2086 # a command and its options
    said=$($look_up -p "$port" "$1" "$2" "@$server" 2>&1) || die "no answer from $server port $port for $1: $said"
    printf '%s\n' "$said"
}

# address ANSWER NAME: the address that the answer has for the name, an IPv4 one rather than an IPv6 one
address() {
    printf '%s\n' "$1" |
        awk -v name="$2" '!/^;/ && $1 == name && ($4 == "A" || $4 == "AAAA") { print $4, $5 }' |
        sort | head -n 1 | cut -d ' ' -f 2
}

answer=$(ask "$name" SRV)
# priority port target, of the record with the lowest priority
record=$(printf '%s\n' "$answer" | awk '!/^;/ && $4 == "SRV" { print $5, $7, $8 }' | sort -n | head -n 1)
[ -n "$record" ] || die "$server port $port has no SRV record for $name: no topology applied yet?"
target=${record##* }
record=${record% *}

host=$(address "$answer" "$target")
if [ -z "$host" ]; then # not every server adds it to the answer
    host=$(address "$(ask "$target" A)" "$target")
    [ -n "$host" ] || host=$(address "$(ask "$target" AAAA)" "$target")
fi
[ -n "$host" ] || die "$server port $port has no address for $target, the master's host"

# shellcheck disable=SC2086 # a command and its options
exec $client -h "$host" -p "${record#* }" "$@"
