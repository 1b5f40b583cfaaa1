#!/bin/sh
# Has the defined topology applied, by writing the trigger that the observer watches.
#
# usage: scripts/apply-topology.sh [--force]
#
#   --force   overrides, once, the refusals that protect data: what no master holds is lost
#
# ETCD_URL (http://172.17.8.101:4001), CLUSTER (redis-1). Needs curl.
set -eu

url=${ETCD_URL:-http://172.17.8.101:4001}
key=/config/${CLUSTER:-redis-1}/topology-trigger

die() {
    echo "apply-topology.sh: $*" >&2
    exit 1
}

case "$#:${1:-}" in
0:) value=$(date -u +%Y-%m-%dT%H:%M:%SZ)/$$ ;; # any value will do; this one tells when
1:--force) value=force ;;
*) die "no such option: $* (--force)" ;;
esac

curl -fsS --max-time 10 -o /dev/null -X PUT --data-urlencode "value=$value" "$url/v2/keys$key" ||
    die "$url didn't take $key"
