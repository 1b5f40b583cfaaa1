#!/bin/sh
# Pauses the cluster for maintenance: until it is resumed, the observer applies nothing.
#
# usage: scripts/pause.sh [REASON]
#        scripts/pause.sh --resume
#
#   REASON     is shown wherever the pause is
#   --resume   ends the pause, and applies the topology
#
# Instances and DNS stay as they are meanwhile, and clients go on. dnsd goes on refreshing its
# records; what restarts under another address isn't found before the pause ends.
#
# Exit status after --resume: that of apply-topology.sh.
#
# ETCD_URL (http://172.17.8.101:4001), ETCD_API (v2), CLUSTER (redis-1). Needs curl and jq.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"

resume=
reason=
case ${1:-} in
--help) show_help ;;
--resume)
    [ $# -eq 1 ] || die "--resume takes no reason: $2"
    resume=yes
    ;;
-*) unknown_option "$1" ;;
*)
    [ $# -le 1 ] || die "more than one reason, put it in quotes: $*"
    reason=${1:-}
    ;;
esac

# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"
make_work_directory

describe_pause() {
    printf %s "$etcd_value" | jq -r '"since \(.since): \(.reason)"' 2>/dev/null || printf '%s\n' "$etcd_value"
}

if [ -n "$resume" ]; then
    etcd_get "$paused_key" || etcd_failed "$paused_key"
    [ "$etcd_index" != 0 ] || die "not paused"
    etcd_delete "$paused_key" || etcd_failed "$paused_key"
    echo "resumed; it was paused $(describe_pause)"
    etcd_get "$topology_key" || etcd_failed "$topology_key"
    [ "$etcd_index" != 0 ] || exit 0 # there is nothing to apply
    exec "$here/apply-topology.sh"
fi

jq -cn --arg since "$(now)" --arg reason "$reason" '{$since, $reason}' >"$work/pause"
paused=0
etcd_put "$paused_key" "$work/pause" 0 || paused=$?
case $paused in
0)
    # the observer sees the pause at its next run
    printf 'pause %s' "$(now)" >"$work/trigger"
    etcd_put "$trigger_key" "$work/trigger" || etcd_failed "$trigger_key"
    echo "paused: nothing is applied until pause.sh --resume"
    ;;
2)
    etcd_get "$paused_key" || etcd_failed "$paused_key"
    die "already paused $(describe_pause)"
    ;;
*) etcd_failed "$paused_key" ;;
esac
