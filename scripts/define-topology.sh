#!/bin/sh
# Writes a topology document into etcd, after checking it. It takes effect with apply-topology.sh.
#
# usage: scripts/define-topology.sh [--apply [--force] [--timeout SECONDS | --no-wait]] [FILE]
#
#   FILE      the document (topology.json); - reads it from stdin
#   --apply   applies it as well; the exit status is that of apply-topology.sh
#
# A document that the services would refuse is refused here, and etcd is left alone.
#
# ETCD_URL (http://172.17.8.101:4001), ETCD_API (v2), CLUSTER (redis-1). Needs curl and jq.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"

file=
apply=
apply_options=
while [ $# -gt 0 ]; do
    case $1 in
    --help) show_help ;;
    --apply) apply=yes ;;
    --force | --no-wait) apply_options="$apply_options $1" ;;
    --timeout)
        check_seconds "$1" "${2:-}"
        apply_options="$apply_options $1 $2"
        shift
        ;;
    -?*) unknown_option "$1" ;;
    *)
        [ -z "$file" ] || die "more than one file: $file $1"
        file=$1
        ;;
    esac
    shift
done
[ -n "$apply" ] || [ -z "$apply_options" ] || die "without --apply there is no use for$apply_options"
file=${file:-topology.json}
[ "$file" = - ] || [ -r "$file" ] || die "can't read $file"

# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"
make_work_directory

cat -- "$file" >"$work/topology"
[ "$(wc -c <"$work/topology")" -le 1048576 ] || die "$file is larger than 1 MiB"
problem=$(jq -rs -f "$here/topology.jq" "$work/topology" 2>&1) || problem="not JSON: $problem"
[ -z "$problem" ] || die "$file: $problem"
# jq takes 6379.0 and 1e3 for whole numbers, the services don't
! tr '\n' ' ' <"$work/topology" | grep -Eq '"port" *: *[0-9]+[.eE]' || die "$file: a port is not a whole number"

etcd_put "$topology_key" "$work/topology" || etcd_failed "$topology_key"
# shellcheck disable=SC2086 # options
[ -z "$apply" ] || "$here/apply-topology.sh" $apply_options
