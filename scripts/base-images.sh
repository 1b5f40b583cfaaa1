#!/bin/sh
# Makes base images from Debian's packages, for machines that can't reach an image registry.
#
# usage: scripts/base-images.sh [--fresh]
#
# The first image is made by debootstrap from Debian 12; the others add packages to it:
#     safe-redis/debian-base:bookworm
#     safe-redis/python-base:bookworm   Python 3.11 and pip, in place of python:3.13-slim-bookworm
#     safe-redis/redis-base:bookworm    redis 7.0, in place of redis:7.4-bookworm
# An image that exists is kept, unless --fresh is given. The names are written to .env, where Compose
# finds them; for docker build they are the build argument BASE.
#
# Packages come from the mirrors that this machine's apt uses. The machine's CA certificates are
# copied into the images, so that pip works behind a proxy that has a CA of its own. An image made
# from these therefore trusts what this machine trusts. Needs root and a Docker engine; debootstrap
# is installed if it is missing.
#
# shellcheck disable=SC2016 # $(...) in single quotes is filled in by apt-get indextargets
set -eu

cd "$(dirname "$0")/.."

RELEASE=bookworm
DEBIAN=safe-redis/debian-base:$RELEASE
PYTHON=safe-redis/python-base:$RELEASE
REDIS=safe-redis/redis-base:$RELEASE

say() { echo "base-images.sh: $*" >&2; }

die() {
    say "$*"
    exit 1
}

exists() { docker image inspect "$1" >/dev/null 2>&1; }

# This machine's apt sources of the release, in the given format
sources() {
    apt-get indextargets --format "$1" 'Origin: Debian' 'Created-By: Packages' 'Component: main' |
        grep -E "$RELEASE(-updates|-security)?( |\$)"
}

make_debian() {
    [ "$(id -u)" -eq 0 ] || die "debootstrap needs root"
    command -v apt-get >/dev/null || die "this needs Debian's apt-get"
    [ -n "$(sources '$(REPO_URI) $(RELEASE)')" ] || apt-get -qq update >&2
    command -v debootstrap >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends debootstrap >&2
    mirror=$(sources '$(REPO_URI) $(RELEASE)' | awk -v release="$RELEASE" '$2 == release { print $1; exit }')
    [ -n "$mirror" ] || die "this machine's apt has no source of Debian $RELEASE"
    say "making $DEBIAN"
    root=$work/root
    debootstrap --variant=minbase --include=ca-certificates "$RELEASE" "$root" "$mirror" >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        die "debootstrap failed"
    }
    sources 'deb $(REPO_URI) $(RELEASE) main' >"$root/etc/apt/sources.list"
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    slim "$root"
    tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["/bin/sh"]' \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV LANG=C.UTF-8' - "$DEBIAN" >/dev/null
}

# Removes what no program needs at run time, and keeps later packages from bringing it back
slim() {
    cat >"$1/etc/dpkg/dpkg.cfg.d/slim" <<-'END'
	path-exclude /usr/share/doc/*
	path-include /usr/share/doc/*/copyright
	path-exclude /usr/share/man/*
	path-exclude /usr/share/info/*
	path-exclude /usr/share/locale/*
	END
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod 755 "$1/usr/sbin/policy-rc.d"
    find "$1/usr/share/doc" -type f ! -name copyright -delete
    find "$1/usr/share/doc" -type l -delete
    find "$1/usr/share/doc" -type d -empty -delete
    for emptied in usr/share/man usr/share/info usr/share/locale var/cache/apt var/lib/apt/lists var/log; do
        find "$1/$emptied" -mindepth 1 \( -type f -o -type l \) -delete
    done
}

# make NAME: builds an image from the Dockerfile on standard input
make() {
    say "making $1"
    docker build --quiet --tag "$1" - >/dev/null
}

make_python() {
    make "$PYTHON" <<-END
	FROM $DEBIAN
	RUN apt-get -qq update \
	 && apt-get -qq install -y --no-install-recommends python3 python3-pip python3-venv \
	 && ln -s python3 /usr/bin/python \
	 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
	CMD ["python3"]
	END
}

# The user id is that of the redis and valkey images, so that volumes can move between them
make_redis() {
    make "$REDIS" <<-END
	FROM $DEBIAN
	RUN groupadd --system --gid 999 redis \
	 && useradd --system --uid 999 --gid redis --home-dir /var/lib/redis --shell /usr/sbin/nologin redis \
	 && apt-get -qq update \
	 && apt-get -qq install -y --no-install-recommends redis-server \
	 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
	CMD ["redis-server"]
	END
}

# A .env that this script didn't write stays as it is
write_env() {
    marker="# Written by scripts/base-images.sh: the base images that Compose builds upon"
    if [ -e .env ] && [ "$(head -n 1 .env)" != "$marker" ]; then
        say "leaving your .env alone; Compose needs PYTHON_BASE=$PYTHON REDIS_BASE=$REDIS"
        return 0
    fi
    printf '%s\n' "$marker" "PYTHON_BASE=$PYTHON" "REDIS_BASE=$REDIS" >.env
}

case ${1:-} in
'') ;;
--fresh) docker image rm --no-prune "$PYTHON" "$REDIS" "$DEBIAN" >/dev/null 2>&1 || true ;;
*) die "usage: scripts/base-images.sh [--fresh]" ;;
esac
docker version >/dev/null 2>&1 || die "no Docker engine answers: sh scripts/docker-engine.sh start"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# Not "exists ... || make ...": set -e would then ignore a failure inside the function
if ! exists "$DEBIAN"; then make_debian; fi
if ! exists "$PYTHON"; then make_python; fi
if ! exists "$REDIS"; then make_redis; fi
write_env
