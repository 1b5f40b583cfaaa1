#!/bin/sh
# Writes the fleet units of another cluster: those of redis-1 under its name.
#
# usage: scripts/render-units.sh NAME DIRECTORY [METADATA]
#
# e.g. scripts/render-units.sh redis-2 /tmp/redis-2 && fleetctl start /tmp/redis-2/*.service
#
# NAME takes the place of redis-1 everywhere: in the units' names, etcd's keys, the DNS names and
# the site's settings (/etc/redis-2.env). METADATA (hosts=NAME) says which machines they are for;
# hosts=redis-1 puts both clusters on the same ones.
set -eu

here=$(dirname "$0")
# shellcheck source=scripts/common.sh
. "$here/common.sh"
case ${1:-} in
--help) show_help ;;
-?*) unknown_option "$1" ;;
esac
case $# in
2 | 3) ;;
*)
    sed -n '2,/^[^#]/{/^[^#]/d; s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
    ;;
esac

name=$1
directory=$2
metadata=${3:-hosts=$name}
units=$(dirname "$0")/../units

# What DNS takes as a label: the name becomes part of master.NAME.docker
case $name in
'' | -* | *- | *[!a-z0-9-]*) die "'$name' is not a cluster's name: small letters, digits, and dashes in between" ;;
esac
[ "${#name}" -le 40 ] || die "'$name' is longer than 40 characters, which leaves DNS too little for NAME-topology-observer"
case $metadata in
*[!A-Za-z0-9._=-]* | *=*=* | =* | *=) die "'$metadata' is not metadata of fleet: one key=value" ;;
*=*) ;;
*) die "'$metadata' is not metadata of fleet: one key=value" ;;
esac

mkdir -p "$directory"
[ "$(cd "$directory" && pwd -P)" != "$(cd "$units" && pwd -P)" ] || die "$directory is where the units of redis-1 are"
for unit in "$units"/redis-1-*.service; do
    # one on each host is enough for all clusters
    [ "${unit##*/}" != redis-1-registrar.service ] || continue
    sed -e "s/^MachineMetadata=.*/MachineMetadata=$metadata/" -e "/^MachineMetadata=/!s/redis-1/$name/g" "$unit" \
        >"$directory/$name${unit##*/redis-1}"
done
