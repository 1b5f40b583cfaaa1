#!/bin/sh
# Shows on this machine that no write is lost while the master moves: installs what is missing,
# starts the sandbox, defines and applies a topology with the operator's scripts, and runs
# redis-counter while mess-with-cluster.sh moves the master.
#
# usage: scripts/demo.sh
#
#   COUNTER_COUNT (10000)    writes in all
#   COUNTER_INTERVAL (1)     milliseconds between two writes of one writer
#   COUNTER_WRITERS (1)      writers side by side
#   MESS_INTERVAL (1)        seconds between two changes of master; 0.05 if COUNTER_INTERVAL is 0,
#                            because writers without pauses finish within a few seconds
#
# Exit status: 0 only if nothing is missing, nothing is a phantom, and the master has moved at least
# once while the counter ran; 130 after Ctrl-C.
set -eu

cd "$(dirname "$0")/.."

: "${COUNTER_COUNT:=10000}" "${COUNTER_INTERVAL:=1}" "${COUNTER_WRITERS:=1}"
case $COUNTER_INTERVAL in
*[!0.]*) : "${MESS_INTERVAL:=1}" ;;
*) : "${MESS_INTERVAL:=0.05}" ;;
esac
export COUNTER_COUNT COUNTER_INTERVAL COUNTER_WRITERS MESS_INTERVAL

sandbox=
mess=
counter=

say() {
    echo "demo: $*"
}

die() {
    echo "demo.sh: $*" >&2
    exit 1
}

# finish PID: sends SIGTERM, and waits for the end.
finish() {
    [ -z "$1" ] || {
        kill -s TERM "$1" 2>/dev/null || true # it may have ended already
        wait "$1" || true
    }
}

clean_up() {
    status=$?
    trap '' INT TERM
    finish "$counter"
    finish "$mess"
    finish "$sandbox"
    case $status in
    0 | 130 | 143) rm -rf "$work" ;;
    *) echo "demo.sh: the logs are in $work" >&2 ;;
    esac
}

# await SECONDS WHAT command...: waits until the command succeeds; fails if the sandbox ends.
await() {
    await_tries=$(($1 * 10))
    await_what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        kill -0 "$sandbox" 2>/dev/null || die "the sandbox has ended: $(cat "$work/sandbox.out")"
        [ "$await_tries" -gt 0 ] || die "gave up waiting until $await_what"
        await_tries=$((await_tries - 1))
        sleep 0.1
    done
}

# The instance that DNS names must be a master: its name may appear before it has the role.
master_in_dns() {
    sh scripts/redis-cli.sh ROLE | grep -qx master
}

# The number of handovers in the dictator's log: only they have a window.
changes() {
    grep -Ec 'applied master .*: changed .* window [0-9]' "$work/dictator/log" || true # no match is not a failure
}

sh scripts/setup.sh demo

work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "starting etcd, DNS, three redis nodes, dictator, dnsd and observer"
.venv/bin/python -m sandbox up --directory "$work" >"$work/sandbox.out" 2>&1 &
sandbox=$!
await 60 "the sandbox is up" test -e "$work/env"
# shellcheck source=/dev/null
. "$work/env"

say "defining and applying a topology"
sh scripts/define-topology.sh - <<'TOPOLOGY'
{"master": {"address": "core-01.redis-1.docker"},
 "slaves": [{"address": "core-02.redis-1.docker"}, {"address": "core-03.redis-1.docker"}]}
TOPOLOGY
sh scripts/apply-topology.sh || [ $? -eq 2 ] # 2: a slave is still syncing
await 30 "DNS names a master" master_in_dns

port=$(.venv/bin/python -m sandbox status --directory "$work" | awk '$1 == "dictator" { print $2 }')
say "the page, while this runs: http://127.0.0.1:$port/"
say "writing $COUNTER_COUNT entries while the master moves every $MESS_INTERVAL s"
before=$(changes)
if [ -t 2 ]; then # the counter draws its bar there
    sh scripts/mess-with-cluster.sh </dev/null >"$work/mess.out" 2>&1 &
else
    sh scripts/mess-with-cluster.sh </dev/null &
fi
mess=$!
.venv/bin/python redis-counter </dev/null >"$work/counter.out" &
counter=$!
passed=0
wait "$counter" || passed=$?
counter=
changed=$(($(changes) - before))

kill -s TERM "$mess" 2>/dev/null || true
messed=0
wait "$mess" || messed=$?
mess=
[ "$messed" = 0 ] || die "mess-with-cluster.sh ended with exit status $messed: $(cat "$work/mess.out" 2>/dev/null)"
say "the cluster now"
sh scripts/apply-topology.sh >/dev/null 2>&1 || true # waits for what is still under way; the table shows its outcome
sh scripts/status.sh || true
sed '$d' "$work/counter.out"
echo "changes of master applied: $changed"
tail -n 1 "$work/counter.out"
[ "$passed" = 0 ] || die "redis-counter ended with exit status $passed"
[ "$changed" -gt 0 ] || die "the master didn't move while the counter ran: COUNTER_COUNT=$COUNTER_COUNT is too small"
