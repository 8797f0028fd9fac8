#!/usr/bin/env bash
# Builds everything and runs every test; ctest's summary comes last, its exit code is ours.
#
# Usage: tests/run.sh [--all] [--interop] [ctest options, e.g. -R NAME or -L unit]
#   --all      also tests with the label "slow"
#   --interop  also tests with the label "interop": against the Apache Flink 1.20 in $PEER (see tests/interop/interop_test.py)
set -euo pipefail

SOURCE_DIR=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
BUILD_DIR=$SOURCE_DIR/build

excluded=(slow interop)
ctest_options=()
while (($# > 0)); do
  case $1 in
    --all) excluded=("${excluded[@]/slow/}") ;;
    --interop) excluded=("${excluded[@]/interop/}") ;;
    -h | --help)
      sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) ctest_options+=("$1") ;;
  esac
  shift
done
labels=$(printf '%s\n' "${excluded[@]}" | sed '/^$/d' | paste -sd '|')

"$SOURCE_DIR/deploy/install-dependencies.sh"
cd "$SOURCE_DIR"
export CCACHE_BASEDIR=$SOURCE_DIR CCACHE_NOHASHDIR=1
cmake --preset release
cmake --build "$BUILD_DIR"
# Half of a test that starts a cluster is waiting; those that are counted twice keep it to one per core.
exec ctest --test-dir "$BUILD_DIR" --output-on-failure -j "$((2 * $(nproc)))" ${labels:+-LE "^($labels)\$"} "${ctest_options[@]}"
