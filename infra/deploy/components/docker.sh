#!/usr/bin/env bash
# Prepares containers for tests: a Docker engine, and images of Postgres, Kafka and MinIO.
#
# A running engine is used as it is. If there is none, TESTS_INSTALL_DOCKER=1 installs
# and starts Debian's engine (as root on Debian); `docker.sh stop` stops that one. Images
# are pulled; if no image registry can be reached, stand-ins are built under a prefix of
# their own, from Debian's packages and the components that were built before. If none of
# this works, tests run on local processes, and this script says so.
set -euo pipefail
HERE="$(cd "$(dirname "$0")" && pwd)"
CACHE="${TESTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flightlog}"
RUN="${TESTS_DOCKER_RUN:-/run/flightlog-docker}"
PREFIX=standin/
SUITE=bookworm
KAFKA="apache/kafka:$(sed -n 's/^VERSION=//p' "$HERE/kafka.sh")"
IMAGES=(postgres:15-bookworm "$KAFKA" minio/minio:latest python:3.11-slim)

without() {
  echo "docker: $1; tests run on local processes instead"
  exit 0
}
answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
have() { docker image inspect "$1" >/dev/null 2>&1; }

start_engine() {
  [ -n "${TESTS_INSTALL_DOCKER:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    without "no Docker engine answers"
  mkdir -p "$RUN"
  if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null; then
    echo "docker: installing Debian's engine, once: about 20 seconds"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      docker.io containerd runc iptables debootstrap ca-certificates; } >"$RUN/apt.log" 2>&1 ||
      without "Debian's Docker can't be installed ($RUN/apt.log)"
  fi
  # The next engine refuses to start if a killed one has left its pid file.
  if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
    rm -f /var/run/docker.pid
  fi
  setsid nohup dockerd </dev/null >"$RUN/dockerd.log" 2>&1 &
  echo $! >"$RUN/dockerd.pid"
  for _ in $(seq 120); do
    answers && return
    kill -0 "$(cat "$RUN/dockerd.pid")" 2>/dev/null || without "the Docker engine exited ($RUN/dockerd.log)"
    sleep 0.25
  done
  without "the Docker engine isn't ready after 30 s ($RUN/dockerd.log)"
}

all_present() {
  for image in "${IMAGES[@]}"; do have "$1$image" || return 1; done
}

pull_all() {
  for image in "${IMAGES[@]}"; do
    have "$image" || timeout 300 docker pull -q "$image" >/dev/null 2>&1 || return 1
  done
}

# The equivalent of `debian:bookworm-slim`: Debian's minimal system, without documentation.
build_base() {
  local root mirror
  mirror="$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
    grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | grep -v snapshot | head -1 | tr -d ' ' || true)"
  [ -n "$mirror" ] || without "apt's sources name no Debian mirror"
  root="$(mktemp -d)"
  debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$root" "$mirror" >"$CACHE/debootstrap.log" 2>&1 ||
    without "Debian's base can't be created ($CACHE/debootstrap.log)"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/*
  mkdir -p "$root"/usr/share/man/man1 "$root"/usr/share/man/man7
  printf 'deb %s %s main\ndeb %s %s-updates main\n' "$mirror" "$SUITE" "$mirror" "$SUITE" >"$root/etc/apt/sources.list"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  printf 'APT::Install-Recommends "false";\nDPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n' \
    >"$root/etc/apt/apt.conf.d/99image"
  # Certificates that this machine trusts, for instance of a proxy.
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates >/dev/null 2>&1
  fi
  tar -C "$root" --one-file-system -c . | docker import \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -c 'CMD ["bash"]' - "$1" >/dev/null
  rm -rf "$root"
}

# build IMAGE FOLDER [FILE...]: build the folder's Dockerfile, with further files in its context.
build() {
  local image="$PREFIX$1" folder="$2" context
  have "$image" && return
  shift 2
  context="$(mktemp -d)"
  cp -r "$HERE/docker/$folder/." "$@" "$context"
  echo "docker: building $image"
  docker build -q --build-arg "BASE=${PREFIX}debian:$SUITE-slim" -t "$image" "$context" >"$CACHE/docker-build.log" 2>&1 ||
    { rm -rf "$context"; tail -20 "$CACHE/docker-build.log"; without "the image $image can't be built"; }
  rm -rf "$context"
}

build_standins() {
  echo "docker: no image registry can be reached; building stand-ins, once: about 4 minutes"
  mkdir -p "$CACHE"
  have "${PREFIX}debian:$SUITE-slim" || build_base "${PREFIX}debian:$SUITE-slim"
  build python:3.11-slim python
  build postgres:15-bookworm postgres
  build "$KAFKA" kafka "$CACHE/kafka-${KAFKA##*:}/lib"
  build minio/minio:latest minio "$(ls -dt "$CACHE"/minio-*/minio | head -1)"
}

if [ "${1:-}" = stop ]; then
  [ ! -f "$RUN/dockerd.pid" ] || kill "$(cat "$RUN/dockerd.pid")"
  rm -f "$RUN/dockerd.pid"
  exit 0
fi
answers || start_engine
all_present "" || all_present "$PREFIX" || pull_all || build_standins
echo "docker: the engine is running, images are present"
