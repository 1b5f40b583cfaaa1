#!/bin/sh
# Applies the defined topology: writes the trigger that the observer watches, and waits for the outcome.
#
# usage: scripts/apply-topology.sh [--force] [--timeout SECONDS | --no-wait]
#        scripts/apply-topology.sh --dry-run [--force]
#
#   --force     overrides, once, the refusals that protect data; what is given up is lost
#   --timeout   how long to wait for the outcome (60)
#   --no-wait   only writes the trigger
#   --dry-run   asks the dictator for the steps that it would take, and changes nothing
#
# Exit status: 0 applied; 2 applied, but something is still open (an instance is left out or still
# syncing); 1 refused, paused, or not applied in time. The reason is on stderr.
#
# ETCD_URL (http://172.17.8.101:4001), ETCD_API (v2), CLUSTER (redis-1). For --dry-run also
# DNS_SERVER, DNS_PORT (172.17.8.101, 53), by which the dictator is found, or DICTATOR_URL; TOKEN.
# Needs curl and jq, and dig for --dry-run.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"

force=
timeout=60
wait=yes
dry_run=
while [ $# -gt 0 ]; do
    case $1 in
    --help) show_help ;;
    --force) force=yes ;;
    --no-wait) wait= ;;
    --dry-run) dry_run=yes ;;
    --timeout)
        [ $# -gt 1 ] || die "--timeout needs a number of seconds"
        timeout=$2
        shift
        ;;
    *) unknown_option "$1" ;;
    esac
    shift
done
case $timeout in
*[!0-9]* | '') die "--timeout $timeout: expected a whole number of seconds" ;;
esac

# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"
make_work_directory

show_plan() {
    # shellcheck source=scripts/services.sh
    . "$here/services.sh"
    etcd_get "$topology_key" || etcd_failed "$topology_key"
    [ "$etcd_index" != 0 ] || die "no topology is defined at $topology_key"
    printf %s "$etcd_value" >"$work/topology"
    dictator_request "/master?dry_run=1${force:+&force=1}" -X PUT --data-binary "@$work/topology" ||
        die "the dictator at $dictator_url doesn't answer"
    [ "$dictator_status" = 200 ] || die "$dictator_body"
    printf '%s\n' "$dictator_body"
}

write_trigger() {
    if [ -n "$force" ]; then
        printf force >"$work/trigger"
    else
        printf '%s/%s' "$(now)" "$$" >"$work/trigger" # any new value does; this one says when
    fi
    etcd_put "$trigger_key" "$work/trigger" || etcd_failed "$trigger_key"
    trigger=$etcd_index
}

# The outcome of the run for this trigger, or of a later one, as state and line; false if there is none yet.
read_outcome() {
    etcd_get "$status_key" 2>/dev/null || return 1
    state=$(printf %s "$etcd_value" | jq -r --argjson trigger "$trigger" 'select(.trigger >= $trigger).state') || return 1
    line=$(printf %s "$etcd_value" | jq -r .line)
    [ -n "$state" ] || return 1
}

# Sets state and line; a failed run is repeated by the observer, so its outcome isn't the last word.
await_outcome() {
    deadline=$(($(date +%s) + timeout))
    state=
    line=
    while ! read_outcome || [ "$state" = failed ]; do
        [ "$(date +%s)" -lt "$deadline" ] || return 0
        sleep 0.1
    done
}

if [ -n "$dry_run" ]; then
    show_plan
    exit
fi

check_pause
write_trigger
[ -n "$wait" ] || exit 0
await_outcome
case $state in
applied) echo "applied: $line" ;;
open)
    echo "applied, but not everything is as it should be yet"
    echo "$self: $line" >&2
    exit 2
    ;;
refused) die "refused: $line" ;;
failed) die "not applied within $timeout s, the observer goes on trying: $line" ;;
'') die "no outcome within $timeout s at $status_key: is the observer running?" ;;
*) die "$line" ;;
esac
