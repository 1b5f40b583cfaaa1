#!/bin/sh
# Moves the master from instance to instance of the defined topology until ENTER is pressed, or,
# where stdin is no terminal, until it is terminated.
#
# usage: scripts/mess-with-cluster.sh
#
# MESS_INTERVAL (10): seconds between two changes, fractions allowed.
# ETCD_URL (http://172.17.8.101:4001), ETCD_API (v2), CLUSTER (redis-1). Needs curl and jq.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"
case ${1:-} in
'') ;;
--help) show_help ;;
*) unknown_option "$1" ;;
esac
# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"

interval=${MESS_INTERVAL:-10}
reader=
changing=
stopping=

# The topology as it is defined now.
current() {
    { etcd_get "$topology_key" && [ "$etcd_index" != 0 ]; } || die "can't read $topology_key from $etcd_url"
    printf %s "$etcd_value" | jq -ce . || die "$topology_key holds no JSON document"
}

# The first slave becomes the master, the master the last slave.
rotated() {
    jq -ce 'if (.slaves | length) > 0 then {master: .slaves[0], slaves: (.slaves[1:] + [.master])} else empty end'
}

move_master() {
    now=$(current)
    next=$(printf %s "$now" | rotated) || die "$topology_key has no slaves to choose from: $now"
    printf %s "$next" | "$here/define-topology.sh" -
    "$here/apply-topology.sh" --no-wait
    printf %s "$next" | jq -r '"master: " + .master.address + (if .master.port then ":\(.master.port)" else "" end)'
}

# A change that has begun is finished first.
stop() {
    stopping=yes
    [ -n "$changing" ] || exit 0
}

clean_up() {
    for child in $reader "${!:-}"; do
        # It may have ended by itself. A child that was only just forked could miss a TERM.
        [ -z "$child" ] || kill -s KILL "$child" 2>/dev/null || true
    done
}

case $interval in
*[!0-9.]* | *.*.* | . | '') die "MESS_INTERVAL=$interval is no number of seconds" ;;
esac

trap clean_up EXIT
trap 'exit 130' INT
trap stop TERM

if [ -t 0 ]; then
    echo "press ENTER to stop"
    # Background commands get /dev/null for stdin unless they are given another.
    exec 3<&0
    { read -r _ <&3 || true; kill -s TERM $$; } &
    reader=$!
fi

while [ -z "$stopping" ]; do
    changing=yes
    move_master
    changing=
    [ -z "$stopping" ] || break
    sleep "$interval" & # in the background, as a trap waits for what runs in the foreground
    wait $! || die "can't sleep for $interval s"
done
