#!/bin/sh
# Opens redis-cli on the current master, found by SRV. All arguments go to redis-cli; --help shows this text.
#
# usage: scripts/redis-cli.sh [redis-cli's arguments]
#
# DNS_SERVER (172.17.8.101), DNS_PORT (53), CLUSTER (redis-1).
# Needs one of dig, kdig and drill, and redis-cli. Where that is only in an image, set
# REDIS_CLI='docker run -it --rm IMAGE redis-cli'.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"
[ "${1:-}" != --help ] || show_help
# shellcheck source=scripts/services.sh
. "$here/services.sh"

client=${REDIS_CLI:-redis-cli}
need "${client%% *}" redis-tools
dns_find "master.$cluster.docker" || die "$dns_problem: is a topology applied?"

# shellcheck disable=SC2086 # a command and its options
exec $client -h "$dns_host" -p "$dns_found_port" "$@"
