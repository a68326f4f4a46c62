#!/usr/bin/env bash
# Installs Debian's libfaketime, by which chaos runs put clocks of single processes off.
# Without it those faults are left out, and this script says so.
set -euo pipefail

without() {
  echo "faketime: $1; chaos runs leave the clocks alone"
  exit 0
}

if ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; then
  echo "faketime: it is installed"
  exit 0
fi
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
  without "libfaketime is missing, and only root on Debian can install it here"
echo "faketime: installing Debian's libfaketime, once: a few seconds"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
DEBIAN_FRONTEND=noninteractive apt-get install -y -q libfaketime >"$log" 2>&1 ||
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q libfaketime; } >"$log" 2>&1 ||
  without "$(tail -1 "$log")"
