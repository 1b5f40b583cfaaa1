#!/bin/sh
# Writes locks/*.txt from pyproject.toml: a lock file with hashes for each program, and one for
# development. The programs get the versions of dev.txt, so that what ships is what is tested.
#
# usage: scripts/lock.sh [--upgrade]
#
# Needs uv. Without --upgrade, locked versions are kept as far as pyproject.toml allows. The locks
# are valid for every supported Python, and don't name a package index.
set -eu

cd "$(dirname "$0")/.."

command -v uv >/dev/null || {
    echo "lock.sh: uv is missing: python3 -m pip install uv" >&2
    exit 1
}

# lock EXTRA [option of uv...]
lock() {
    lock_extra=$1
    shift
    echo "locking $lock_extra" >&2
    uv pip compile pyproject.toml --extra "$lock_extra" --output-file "locks/$lock_extra.txt" \
        --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-emit-find-links --custom-compile-command 'sh scripts/lock.sh' --quiet "$@"
    if grep -n '://' "locks/$lock_extra.txt" >&2; then
        echo "lock.sh: locks/$lock_extra.txt contains an address, see above" >&2
        exit 1
    fi
}

mkdir -p locks
lock dev "$@"
for program in dictator dnsd topology-observer registrar redis-counter; do
    lock "$program" --constraint locks/dev.txt "$@"
done
