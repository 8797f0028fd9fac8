#!/usr/bin/env bash
# Runs all benchmarks and prints one line per figure: name, value, unit.
#
#   benchmarks/run.sh [--json FILE] [--only NAME...] [--scale FRACTION]
#
# Builds a release first. Takes about five minutes on two cores. "--only flink_snapshots" are the
# figures of "snapshots" from the real Apache Flink 1.20 that ../shared/interop/peer has installed in
# $PEER; it needs a JDK.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build
"$root/deploy/install-dependencies.sh" >&2
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
(cd "$root" && cmake --preset release) >/dev/null
ninja -C "$build" >&2
exec python3 "$root/benchmarks/driver.py" --build "$build" --dist "$build/dist" "$@"
