#!/usr/bin/env bash
# Builds MinIO from its pinned Go module, once, into the cache: the S3 that tests run on.
set -euo pipefail
VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
CACHE="${FLIGHTLOG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flightlog}/minio-$VERSION"

if [ -x "$CACHE/minio" ]; then
  echo "minio: $CACHE/minio is there"
  exit 0
fi
if ! command -v go >/dev/null; then
  echo "minio: Expected Go to build MinIO, but there is no 'go' here;" \
    "install Go, or set FLIGHTLOG_TEST_S3 to an S3 of your own" >&2
  exit 1
fi
echo "minio: building $VERSION, once: about 6 minutes of one core"
mkdir -p "$CACHE"
part="$(mktemp -d "$CACHE/part-XXXXXX")"
trap 'rm -rf "$part"' EXIT
GOBIN="$part" GOFLAGS=-trimpath go install -ldflags "-s -w" "github.com/minio/minio@$VERSION" >"$part/log" 2>&1 ||
  { tail -20 "$part/log" >&2; exit 1; }
mv "$part/minio" "$CACHE/minio"
echo "minio: built $CACHE/minio"
