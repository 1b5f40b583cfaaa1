#!/bin/sh
# Checks formatting, lint, types, shell scripts and units. Runs all checks, and fails if one fails.
#
# usage: scripts/check.sh
set -eu

cd "$(dirname "$0")/.."
sh scripts/setup.sh test
PATH=$PWD/.venv/bin:$PATH

failed=

# check NAME command...
check() {
    check_name=$1
    shift
    if "$@"; then
        echo "check: $check_name ok"
    else
        echo "check: $check_name FAILED" >&2
        failed="$failed $check_name"
    fi
}

# Every shell script, with or without the ending .sh.
shell_scripts() {
    find . -name '.?*' ! -name .ci -prune -o -type f -print |
        grep -Ev '\.(py|md|txt|json|toml|svg)$' |
        while IFS= read -r file; do
            head -n 1 "$file" | grep -Eq '^#!.*[/ ](ba|da)?sh( |$)' && echo "$file"
        done
}

check_shell() {
    shell_scripts | tr '\n' '\0' | xargs -0 shellcheck
}

# systemd-analyze also reports on this machine's own units, and needs docker to exist.
check_units() {
    folder=$(mktemp -d)
    for unit in units/*.service; do
        sed 's|/usr/bin/docker|/bin/true|' "$unit" >"$folder/${unit##*/}"
    done
    printf '[Service]\nExecStart=/bin/true\n' >"$folder/docker.service"
    said=$(SYSTEMD_UNIT_PATH="$folder:" systemd-analyze verify --man=no "$folder"/*.service 2>&1) || true
    rm -rf "$folder"
    ! printf '%s\n' "$said" | grep -F redis-1-
}

set --
for folder in safe_redis dictator dnsd topology_observer registrar redis_counter redis-counter sandbox bench tests; do
    [ ! -d "$folder" ] || set -- "$@" "$folder"
done

check ruff ruff check
check format ruff format --check
check mypy mypy "$@"
check shellcheck check_shell
check units check_units

[ -z "$failed" ] || {
    echo "check: failed:$failed" >&2
    exit 1
}
