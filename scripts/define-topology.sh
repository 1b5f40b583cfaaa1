#!/bin/sh
# Writes a topology document into etcd. It takes effect with apply-topology.sh.
#
# usage: scripts/define-topology.sh [FILE]        (topology.json; - reads it from stdin)
#
# ETCD_URL (http://172.17.8.101:4001), CLUSTER (redis-1). Needs curl.
set -eu

url=${ETCD_URL:-http://172.17.8.101:4001}
key=/config/${CLUSTER:-redis-1}/topology
file=${1:-topology.json}

die() {
    echo "define-topology.sh: $*" >&2
    exit 1
}

[ $# -le 1 ] || die "one file at most: $*"
[ "$file" = - ] || [ -r "$file" ] || die "can't read $file"

curl -fsS --max-time 10 -o /dev/null -X PUT --data-urlencode "value@$file" "$url/v2/keys$key" ||
    die "$url didn't take $key"
