#!/bin/sh
# Moves the master: defines the topology with NAME as master, and applies it.
#
# usage: scripts/switch-master.sh [--force] [--timeout SECONDS | --no-wait] NAME
#
#   NAME   an instance of the defined topology: its address, its address and port, or the first
#          label of its name (core-02)
#
# The old master takes the new one's place among the slaves. If somebody else defines a topology at
# the same time, nothing is written. Options and exit status are those of apply-topology.sh.
#
# ETCD_URL (http://172.17.8.101:4001), ETCD_API (v2), CLUSTER (redis-1). Needs curl and jq.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"

name=
apply_options=
while [ $# -gt 0 ]; do
    case $1 in
    --help) show_help ;;
    --force | --no-wait) apply_options="$apply_options $1" ;;
    --timeout)
        check_seconds "$1" "${2:-}"
        apply_options="$apply_options $1 $2"
        shift
        ;;
    -*) unknown_option "$1" ;;
    *)
        [ -z "$name" ] || die "more than one name: $name $1"
        name=$1
        ;;
    esac
    shift
done
[ -n "$name" ] || die "which instance? See $self --help"

# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"
make_work_directory

check_pause
etcd_get "$topology_key" || etcd_failed "$topology_key"
[ "$etcd_index" != 0 ] || die "no topology is defined at $topology_key"
printf %s "$etcd_value" >"$work/old"
problem=$(jq -rs -f "$here/topology.jq" "$work/old" 2>&1) || problem="not JSON: $problem"
[ -z "$problem" ] || die "the topology at $topology_key is bad: $problem"

# where the instance is in [master, slaves...]; none or several are an error
places=$(jq -r --arg name "$name" '
    def port: if .port then ":\(.port)" else "" end;
    def host: if .address | contains("::") then "[\(.address)]" else .address end;
    [.master, .slaves[]] | to_entries[]
    | select(.value | [.address, .address + port, host + port] | index($name) or (.[0] | split(".")[0] == $name))
    | .key' "$work/old")
case $places in
'') die "$name is not in the topology, which has $(jq -r '[.master, .slaves[]] | map(.address) | join(", ")' "$work/old")" ;;
*[!0-9]*) die "$name fits more than one instance: give its whole address, with its port" ;;
0) echo "$name is the master of the defined topology already" ;;
*)
    jq -c --argjson at "$((places - 1))" '. as $old | .master = $old.slaves[$at] | .slaves[$at] = $old.master' \
        "$work/old" >"$work/new"
    changed=0
    etcd_put "$topology_key" "$work/new" "$etcd_index" || changed=$?
    case $changed in
    0) ;;
    2) die "somebody else has changed the topology meanwhile; nothing is done. Look at it, and try again" ;;
    *) etcd_failed "$topology_key" ;;
    esac
    ;;
esac

# shellcheck disable=SC2086 # options
"$here/apply-topology.sh" $apply_options
