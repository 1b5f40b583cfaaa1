# shellcheck shell=sh
# What the operator's scripts have in common. Sourced, not run.

self=${0##*/}
cluster=${CLUSTER:-redis-1}
topology_key=/config/$cluster/topology
trigger_key=/config/$cluster/topology-trigger
status_key=/config/$cluster/topology-status
paused_key=/config/$cluster/paused
: "$topology_key$trigger_key$status_key$paused_key" # each script uses some of them

die() {
    echo "$self: $*" >&2
    exit 1
}

# Prints the comment at the head of the script.
show_help() {
    sed -n '2,/^[^#]/{/^[^#]/d; s/^# \{0,1\}//p;}' "$0"
    exit 0
}

unknown_option() {
    die "unknown option $1; $self --help shows the known ones"
}

# need COMMAND PACKAGE
need() {
    command -v "$1" >/dev/null || die "$1 is missing (Debian: apt-get install $2)"
}

# check_seconds NAME VALUE: a whole number, or a decimal fraction
check_seconds() {
    case $2 in
    *[!0-9.]* | *.*.* | . | '') die "$1 $2 is not a number of seconds" ;;
    esac
}

now() {
    date -u +%Y-%m-%dT%H:%M:%SZ
}

# Makes a temporary directory, which is removed at the end: $work
make_work_directory() {
    work=$(mktemp -d) || die "can't make a temporary directory"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
