#!/bin/sh
# Provides a Docker engine and Compose v2, for the images and the container tests.
#
# usage: scripts/docker-engine.sh start          starts an engine, unless one is running
#        scripts/docker-engine.sh stop           stops the engine that start has started, if any
#        scripts/docker-engine.sh run COMMAND... start, COMMAND, and stop if start started one
#
# An engine that is running already is used as it is and never stopped. Otherwise, as root on
# Debian, missing packages are installed and dockerd is started on the usual socket. Its data is
# under ENGINE_HOME (/var/lib/safe-redis-engine), where the images are kept for the next time.
# Compose is the package of Debian 13, which runs on Debian 12 too; it is downloaded without changing
# this machine's package sources.
set -eu

ENGINE_HOME=${ENGINE_HOME:-/var/lib/safe-redis-engine}
ENGINE_RUN=/run/safe-redis-engine
ENGINE_SOCKET=/var/run/docker.sock
COMPOSE_PLUGIN=/usr/local/lib/docker/cli-plugins/docker-compose
COMPOSE_SUITE=trixie

say() { echo "docker-engine.sh: $*" >&2; }

die() {
    say "$*"
    exit 1
}

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1, and only root can change that: install and start Docker and Compose v2, or run this as root"
    command -v apt-get >/dev/null || die "$1, and there is no apt-get: install and start Docker and Compose v2"
}

# install PACKAGE...: keeps the packages from starting their services, which would outlive the tests
# and which stop wouldn't know about.
install() {
    say "installing $*"
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        policy=
    else
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    status=0
    {
        apt-get -qq -o DPkg::Lock::Timeout=300 update &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y \
                --no-install-recommends "$@"
    } >&2 || status=$?
    [ -z "$policy" ] || rm -f "$policy"
    [ "$status" -eq 0 ] || die "apt-get could not install $*"
}

# The process id of the engine that start has started, if it still runs. A pid file can outlive its
# process, so the process's command line is checked, too.
engine_pid() {
    pid=$(cat "$ENGINE_RUN/pid" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "dockerd --data-root $ENGINE_HOME/data " || return 1
    echo "$pid"
}

start_engine() {
    need_root "no Docker engine answers"
    missing=
    command -v dockerd >/dev/null || missing="docker.io"
    command -v docker >/dev/null || missing="docker.io"
    command -v iptables >/dev/null || missing="$missing iptables"
    # shellcheck disable=SC2086 # a list of words
    [ -z "$missing" ] || install $missing
    mkdir -p "$ENGINE_HOME" "$ENGINE_RUN"
    exec 9>"$ENGINE_HOME/lock"
    flock -w 120 9 || die "another start has held $ENGINE_HOME/lock for two minutes"
    answers && return 0 # another start was faster
    pid=$(engine_pid) && kill "$pid" && wait_for gone # it runs but doesn't answer
    rm -f "$ENGINE_RUN/pid"
    say "starting dockerd, data and log under $ENGINE_HOME"
    setsid dockerd --data-root "$ENGINE_HOME/data" --exec-root "$ENGINE_RUN/exec" \
        --pidfile "$ENGINE_RUN/pid" --host "unix://$ENGINE_SOCKET" \
        </dev/null >"$ENGINE_HOME/log" 2>&1 9>&- &
    dockerd=$!
    wait_for answers_or_ended || true # checked below
    answers || {
        tail -n 20 "$ENGINE_HOME/log" >&2
        if kill "$dockerd" 2>/dev/null; then ended="does not answer after 60 s"; else ended="has ended"; fi
        die "dockerd $ended; its log is $ENGINE_HOME/log"
    }
    exec 9>&-
}

answers_or_ended() { answers || ! kill -0 "$dockerd" 2>/dev/null; }

gone() { ! engine_pid >/dev/null; }

# wait_for CONDITION: waits for at most 60 s
wait_for() {
    tries=0
    until "$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || return 1
        sleep 0.2
    done
}

has_compose() { docker compose version --short 2>/dev/null | grep -q '^v\{0,1\}[2-9]'; }

install_compose() {
    need_root "there is no Compose v2 ('docker compose')"
    say "fetching Compose v2"
    # The mirror that this machine uses for Debian
    # shellcheck source=/dev/null
    . /etc/os-release
    [ -n "$(apt-get indextargets "Codename: $VERSION_CODENAME" 2>/dev/null)" ] || apt-get -qq update >&2
    mirror=$(apt-get indextargets --format "\$(REPO_URI)" "Codename: $VERSION_CODENAME" \
        'Component: main' 'Created-By: Packages' | head -n 1)
    [ -n "$mirror" ] || die "apt knows no source of Debian $VERSION_CODENAME: install Compose v2 yourself"
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $COMPOSE_SUITE main" >"$work/sources.list"
    (
        cd "$work"
        private_apt() {
            apt-get -qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
                -o "Dir::State::Lists=$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
                -o APT::Sandbox::User=root "$@"
        }
        private_apt update && private_apt download docker-compose && dpkg-deb -x docker-compose_*.deb unpacked
    ) >&2 || {
        rm -rf "$work"
        die "could not fetch docker-compose of Debian $COMPOSE_SUITE from $mirror"
    }
    mkdir -p "${COMPOSE_PLUGIN%/*}"
    install_plugin "$work/unpacked/usr/libexec/docker/cli-plugins/docker-compose"
    rm -rf "$work"
    has_compose || die "docker compose does not work with $COMPOSE_PLUGIN"
}

# Renamed into place, so that nobody runs an incomplete program
install_plugin() {
    cp "$1" "$COMPOSE_PLUGIN.new"
    mv "$COMPOSE_PLUGIN.new" "$COMPOSE_PLUGIN"
}

start() {
    if answers; then
        say "an engine is running already"
    else
        start_engine
    fi
    if ! has_compose; then install_compose; fi
}

stop() {
    if ! pid=$(engine_pid); then
        say "no engine that this script has started is running"
        return 0
    fi
    say "stopping dockerd, process $pid"
    kill "$pid"
    wait_for gone || die "dockerd, process $pid, has not ended after 60 s"
}

case ${1:-} in
start)
    start
    ;;
stop)
    stop
    ;;
run)
    shift
    [ $# -gt 0 ] || die "run needs a command"
    ours=no
    answers || ours=yes
    start
    # An engine that was started here is stopped again, also after an interrupt
    if [ "$ours" = yes ]; then
        trap stop EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
    fi
    status=0
    "$@" || status=$?
    exit "$status"
    ;;
*)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
