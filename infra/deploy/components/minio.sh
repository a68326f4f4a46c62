#!/usr/bin/env bash
# Builds MinIO, the S3 of the tests, from its pinned Go module, once, into the cache.
set -euo pipefail
VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
CACHE="${TESTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flightlog}/minio-$VERSION"

if [ -x "$CACHE/minio" ]; then
  echo "minio: $CACHE/minio exists"
  exit 0
fi
if ! command -v go >/dev/null; then
  echo "minio: Expected Go to build MinIO, but there is no 'go';" \
    "install Go, or set TESTS_S3 to an existing S3" >&2
  exit 1
fi
echo "minio: building $VERSION, once: about 6 minutes on one core"
mkdir -p "$CACHE"
part="$(mktemp -d "$CACHE/part-XXXXXX")"
trap 'rm -rf "$part"' EXIT
GOBIN="$part" GOFLAGS=-trimpath go install -ldflags "-s -w" "github.com/minio/minio@$VERSION" >"$part/log" 2>&1 ||
  { tail -20 "$part/log" >&2; exit 1; }
mv "$part/minio" "$CACHE/minio"
echo "minio: built $CACHE/minio"
