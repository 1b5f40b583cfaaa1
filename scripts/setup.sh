#!/bin/sh
# Installs what the demo or the tests need, on Debian 12 or later. Does nothing, at once, when
# that has been done already.
#
# usage: scripts/setup.sh [demo|test]        (demo)
#
#   demo   redis, etcd and a few tools from Debian's packages; .venv from locks/dev.txt
#   test   the same, what the checks and tests need besides, and a private valkey in .servers
#
# As root it installs packages and starts none of their services; otherwise it says which are
# missing. PYTHON names the Python (3.11 or later) that .venv is made with.
set -eu

cd "$(dirname "$0")/.."

valkey_suite=bookworm-backports
valkey_version=8.0.1

die() {
    echo "setup.sh: $*" >&2
    exit 1
}

say() {
    echo "setup: $*" >&2
}

# Runs a talkative command; what it says is shown only when it fails.
quietly() {
    "$@" </dev/null >.setup/log 2>&1 || {
        cat .setup/log >&2
        die "failed: $*"
    }
}

# A line for each command needed: its name, the Debian package that has it.
wanted_commands() {
    cat <<'COMMANDS'
redis-server redis-server
redis-cli redis-tools
redis-benchmark redis-tools
etcd etcd-server
curl curl
jq jq
dig bind9-dnsutils
COMMANDS
    [ "$level" = demo ] || cat <<'COMMANDS'
busybox busybox
dash dash
shellcheck shellcheck
systemd-analyze systemd
COMMANDS
}

# A Python that can make .venv: new enough, and with what Debian splits off into python3-venv.
find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

missing_packages() {
    wanted_commands | while read -r command package; do
        command -v "$command" >/dev/null || echo "$package"
    done | sort -u
    if ! have_venv && ! find_python >/dev/null; then
        echo python3
        echo python3-venv
    fi
}

have_venv() {
    [ -x .venv/bin/python ]
}

have_valkey() {
    [ -x .servers/valkey/usr/bin/valkey-server ]
}

# What all of this depends on: when it changes, setup runs again.
fingerprint() {
    sha256sum locks/dev.txt pyproject.toml scripts/setup.sh
}

up_to_date() {
    have_venv && [ -z "$(missing_packages)" ] || return 1
    [ "$level" = demo ] || have_valkey || return 1
    for done_level in "$level" test; do # test includes demo
        [ "$(fingerprint)" != "$(cat ".setup/$done_level" 2>/dev/null)" ] || return 0
    done
    return 1
}

install_packages() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086 # a list of words
    set -- $packages
    command -v apt-get >/dev/null || die "no apt-get here; install what has these: $*"
    [ "$(id -u)" = 0 ] || die "missing packages. Run this, then try again:
    sudo apt-get update && sudo apt-get install $*"
    say "installing $*"
    deny_service_starts
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get -o DPkg::Lock::Timeout=300 update
    quietly apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
    allow_service_starts
    packages=$(missing_packages)
    [ -z "$packages" ] || die "still missing after the installation: $packages"
}

# The packages' own units would take ports 6379 and 2379; every server of ours is started by hand.
policy=/usr/sbin/policy-rc.d

deny_service_starts() {
    [ ! -e "$policy" ] || return 0
    trap allow_service_starts EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_service_starts() {
    [ "${made_policy:-no}" = no ] || rm -f "$policy"
    made_policy=no
}

make_venv() {
    if ! have_venv; then
        python=$(find_python) || die "no Python 3.11 or later with venv and ensurepip${PYTHON:+ (PYTHON=$PYTHON)}"
        say "making .venv with $("$python" --version)"
        "$python" -m venv --clear .venv
    fi
    say "installing Python packages from locks/dev.txt"
    quietly .venv/bin/python -m pip install --no-input --disable-pip-version-check \
        --require-hashes --requirement locks/dev.txt
    # in place, so that every program finds the checkout's own packages from wherever it runs
    quietly .venv/bin/python -m pip install --no-input --disable-pip-version-check \
        --no-deps --no-build-isolation --editable .
}

# The mirror that this machine's own apt takes Debian from.
debian_mirror() {
    # shellcheck disable=SC2016 # the format is apt's
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(SUITE)' \
        'Created-By: Packages' |
        awk '$2 == "Debian" && $3 == "main" && $4 !~ /security/ { print $1; exit }'
}

# Unpacks valkey without installing it: two servers of one kind on a system get in each other's
# way, and a suite added to the user's own sources would outlive us.
unpack_valkey() {
    if have_valkey; then
        return
    fi
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || die "valkey: apt knows no Debian mirror ('apt-get update' may not have run)"
    say "unpacking valkey $valkey_version from $valkey_suite"
    work=$PWD/.servers/valkey.new
    rm -rf "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$mirror $valkey_suite main" >"$work/sources.list"
    quietly private_apt update
    quietly download_into "$work" valkey-server valkey-tools
    for deb in "$work"/*.deb; do
        dpkg-deb -x "$deb" "$work/root"
    done
    # Its libraries are those of Debian's redis, which is installed by now.
    "$work/root/usr/bin/valkey-server" --version | grep -qF "v=$valkey_version " ||
        die "the valkey-server unpacked in $work/root doesn't run, or isn't $valkey_version"
    rm -rf .servers/valkey
    mv "$work/root" .servers/valkey
    rm -rf "$work"
}

# apt-get on a private list of sources; the system's stays as it is.
private_apt() {
    apt-get -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

download_into() (
    cd "$1"
    shift
    private_apt download "$@"
)

level=${1:-demo}
case $level in
demo | test) ;;
*) die "no such level: $level (demo, test)" ;;
esac

! up_to_date || exit 0

mkdir -p .setup
exec 9>.setup/lock # two runs at once would install into one .venv
flock 9
! up_to_date || exit 0

install_packages
make_venv
[ "$level" = demo ] || unpack_valkey
fingerprint >".setup/$level"
say "done"
