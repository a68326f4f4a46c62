#!/usr/bin/env bash
# Downloads the Kafka broker of the tests with Maven, once, into the cache.
set -euo pipefail
VERSION=4.4.0
HERE="$(cd "$(dirname "$0")" && pwd)"
CACHE="${TESTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/flightlog}/kafka-$VERSION"

if [ -f "$CACHE/classes.jsa" ]; then
  echo "kafka: $CACHE exists"
  exit 0
fi
for need in java mvn; do
  if ! command -v "$need" >/dev/null; then
    echo "kafka: Expected Java and Maven to download Kafka, but there is no '$need';" \
      "install them, or set TESTS_KAFKA to an existing broker" >&2
    exit 1
  fi
done
echo "kafka: downloading the jars of $VERSION, once: about half a minute"
rm -rf "$CACHE" && mkdir -p "$CACHE"
part="$(mktemp -d "$CACHE/part-XXXXXX")"
trap 'rm -rf "$part"' EXIT
mvn -q -B -f "$HERE/kafka/pom.xml" dependency:copy-dependencies \
  -DoutputDirectory="$CACHE/lib" -DincludeScope=runtime >"$part/log" 2>&1 ||
  { tail -20 "$part/log" >&2; exit 1; }

# One start and stop writes an archive of loaded classes: later starts take 4 s, not 10.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port="$(free_port)" controller="$(free_port)"
sed -e "s|@PORT@|$port|; s|@CONTROLLER@|$controller|; s|@DATA@|$part/data|" \
  "$HERE/kafka/server.properties" | sed "s|@PORT@|$port|; s|@CONTROLLER@|$controller|" >"$part/server.properties"
flags=(-Xms64m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Dlog4j2.configurationFile=$HERE/kafka/log4j2.yaml" -cp "$CACHE/lib/*")
java "${flags[@]}" kafka.tools.StorageTool format -t FlightlogTestCluster00 \
  -c "$part/server.properties" --standalone >"$part/log" 2>&1 || { cat "$part/log" >&2; exit 1; }
java "${flags[@]}" "-XX:ArchiveClassesAtExit=$part/classes.jsa" kafka.Kafka "$part/server.properties" >"$part/log" 2>&1 &
broker=$!
for _ in $(seq 300); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
  kill -0 "$broker" 2>/dev/null || { tail -20 "$part/log" >&2; exit 1; }
  sleep 0.2
done
sleep 2
kill "$broker"
wait "$broker" || true
[ -f "$part/classes.jsa" ] || { tail -20 "$part/log" >&2; exit 1; }
mv "$part/classes.jsa" "$CACHE/classes.jsa"
echo "kafka: downloaded to $CACHE"
