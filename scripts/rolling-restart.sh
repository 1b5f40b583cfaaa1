#!/bin/sh
# Restarts every node of the cluster, one at a time, without losing a write: for a new image, a new
# host, a new setting. Slaves come first, each back in sync before the next. Then the master moves to
# the most advanced slave, and the old master is restarted.
#
# usage: RESTART=COMMAND scripts/rolling-restart.sh [--back] [--again] [--timeout SECONDS]
#
#   RESTART     what restarts a node, for a shell. In it {host} is the first label of the node's name
#               (core-02) or its IPv4 address, {name} its whole name, {address} where it listens
#   --back      moves the master back to where it was, at the end
#   --again     starts from the beginning; otherwise a run that was stopped is gone on with
#   --timeout   how long a node may take until it is back in sync (300)
#
# Examples:
#   fleet      RESTART='fleetctl ssh --forward-agent {host} sudo systemctl restart redis-1-node'
#   systemd    RESTART='ssh core@{host} sudo systemctl restart redis-1-node'
#   Compose    RESTART='docker compose up --detach --no-deps --force-recreate {host}'
#   sandbox    RESTART='.venv/bin/python -m sandbox restart {host} valkey-8.0'
#
# It stops at the first thing that isn't well. Put that right, and run it again: it goes on where it
# stopped. What is done already is in etcd, at /config/redis-1/rolling-restart.
#
# ETCD_URL, ETCD_API, DNS_SERVER, DNS_PORT, CLUSTER, as for status.sh. Needs curl, jq and dig.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"

back=
again=
timeout=300
while [ $# -gt 0 ]; do
    case $1 in
    --help) show_help ;;
    --back) back=yes ;;
    --again) again=yes ;;
    --timeout)
        case ${2:-} in
        *[!0-9]* | '') die "--timeout ${2:-}: expected a whole number of seconds" ;;
        esac
        timeout=$2
        shift
        ;;
    *) unknown_option "$1" ;;
    esac
    shift
done
[ -n "${RESTART:-}" ] || die "RESTART is not set: the command that restarts a node. See $self --help"

# shellcheck source=scripts/etcd.sh
. "$here/etcd.sh"
make_work_directory
progress_key=/config/$cluster/rolling-restart

say() {
    printf '%s %s\n' "$(date +%H:%M:%S)" "$*"
}

# stop REASON: what isn't well, and how to go on
stop() {
    die "stopped: $*. Put it right, then run it again: it goes on from here"
}

observe() {
    "$here/status.sh" --json >"$work/status" 2>"$work/error" || [ -s "$work/status" ] || stop "$(cat "$work/error")"
}

# What isn't well, in one line; nothing if all is.
problems() {
    jq -r 'if .well then empty else
        .problems + [.instances[] | select(.differs) | "\(.name) is \(.role)\(if .link then ", link \(.link)" else "" end)"]
        + [.outcome_line, .dns_line | select(contains("!"))] + [.paused | select(.) | "paused: \(.reason)"] | join("; ") end' "$work/status"
}

# ask FILTER NAME: about one instance
ask() {
    jq -r --arg name "$2" ".instances[] | select(.name == \$name) | $1" "$work/status"
}

# save FILTER: changes the progress, unless somebody else has
save() {
    jq -c --arg name "${2:-}" "$1" "$work/progress" >"$work/changed"
    saved=0
    etcd_put "$progress_key" "$work/changed" "$progress_index" || saved=$?
    case $saved in
    0) progress_index=$etcd_index ;;
    2) die "another $self works on this cluster; this one stops" ;;
    *) etcd_failed "$progress_key" ;;
    esac
    mv "$work/changed" "$work/progress"
}

load_progress() {
    etcd_get "$progress_key" || etcd_failed "$progress_key"
    progress_index=$etcd_index
    if [ "$progress_index" = 0 ] || [ -n "$again" ]; then
        jq -c --arg now "$(now)" '{started: $now, first: (.instances[] | select(.wanted == "master") | .name), done: []}' \
            "$work/status" >"$work/progress"
    else
        printf %s "$etcd_value" >"$work/progress"
        say "goes on with the run of $(jq -r '.started + ", done: " + (.done | join(", "))' "$work/progress")"
    fi
    save .
}

# left ROLE: the first node that is wanted in this role, and has not been restarted yet
left() {
    jq -r --arg role "$1" --slurpfile progress "$work/progress" \
        '[.instances[] | select(.wanted == $role).name] - $progress[0].done | first // empty' "$work/status"
}

# replace TEXT WORD VALUE: in RESTART, without sed's special characters
replace() {
    jq -nr --arg text "$1" --arg word "$2" --arg value "$3" '$text | split($word) | join($value)'
}

restart() {
    node=$1
    before=$(ask '.run_id' "$node")
    case $node in
    *[!0-9.:]*) host=${node%%.*} ;;
    *) host=${node%:*} ;; # an IPv4 address and a port
    esac
    command=$(replace "$RESTART" '{host}' "$host")
    command=$(replace "$command" '{name}' "$node")
    command=$(replace "$command" '{address}' "$(ask .address "$node")")
    say "$node: restarting ($(ask '"\(.role), \(.version)"' "$node"))"
    sh -c "$command" </dev/null >&2 || stop "the command for $node failed with exit status $?: $command"
    await_node
    # shellcheck disable=SC2016 # jq's variable
    save '.done += [$name]' "$node"
    say "$node: back in sync ($(ask '"\(.role), \(.version)"' "$node"))"
}

# Waits until the node has been restarted, and everything is as wanted.
await_node() {
    deadline=$(($(date +%s) + timeout))
    while observe; do
        run_id=$(ask '.run_id' "$node")
        if [ "$run_id" != null ] && [ "$run_id" != "$before" ] && [ -z "$(problems)" ]; then
            return
        fi
        if [ "$(date +%s)" -ge "$deadline" ]; then
            [ "$run_id" != "$before" ] || stop "$node hasn't been restarted after $timeout s: it has the same run id"
            stop "after $timeout s $node isn't back: $(problems)"
        fi
        sleep 0.2
    done
}

switch_to() {
    say "$1: becomes master"
    switched=0
    "$here/switch-master.sh" --timeout "$timeout" "$1" >"$work/switch" 2>&1 || switched=$?
    case $switched in
    0 | 2) ;;
    *) stop "the master doesn't move to $1: $(cat "$work/switch")" ;;
    esac
    await_well
}

await_well() {
    deadline=$(($(date +%s) + timeout))
    observe
    while [ -n "$(problems)" ]; do
        [ "$(date +%s)" -lt "$deadline" ] || stop "$(problems)"
        sleep 0.2
        observe
    done
}

observe
[ -z "$(problems)" ] || stop "$(problems)"
jq -e '.instances[0].run_id' "$work/status" >/dev/null || die "the dictator doesn't show run ids: it is too old for this"
load_progress

# who is the master is looked at anew each time: somebody else may move it meanwhile
while :; do
    slave=$(left slave)
    if [ -n "$slave" ]; then
        restart "$slave"
        continue
    fi
    master=$(left master)
    [ -n "$master" ] || break
    # the one that is least behind; of equals the first in the document
    next=$(jq -r '[.instances[] | select(.wanted == "slave" and .lag != null)] | sort_by(.lag)[0].name // empty' "$work/status")
    [ -n "$next" ] || stop "$master has no slave in sync to which its role could move"
    switch_to "$next"
done

first=$(jq -r .first "$work/progress")
if [ -n "$back" ] && [ "$(jq -r '.instances[] | select(.wanted == "master").name' "$work/status")" != "$first" ]; then
    switch_to "$first"
fi
etcd_delete "$progress_key" || etcd_failed "$progress_key"
say "done: $(jq -r '.done | length' "$work/progress") nodes restarted, $(jq -r '.instances[] | select(.wanted == "master").name' "$work/status") is master"
