#!/usr/bin/env bash
# Builds the fuzzers (clang, libFuzzer, AddressSanitizer) in build-fuzz and runs them. Ends with 1 at the first crash, leak,
# hang or allocation beyond the limit; the input is then in build-fuzz/artifacts.
#
# Usage: tests/fuzz/run.sh [--runs N] [fuzz_metadata] [fuzz_streams]
#   --runs N  executions of each fuzzer (default 1000000)
#
# What they learn stays in build-fuzz/corpus. They start from tests/fuzz/corpus and, where ../shared/golden is there, from
# the metadata that releases of Apache Flink wrote.
set -euo pipefail

SOURCE_DIR=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD_DIR=$SOURCE_DIR/build-fuzz
GOLDEN_DIR=$SOURCE_DIR/../shared/golden

runs=1000000
targets=()
while (($# > 0)); do
  case $1 in
    --runs)
      runs=${2:?--runs needs a number}
      shift
      ;;
    -h | --help)
      sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    fuzz_metadata | fuzz_streams) targets+=("$1") ;;
    *)
      echo "unknown argument: $1 (see --help)" >&2
      exit 2
      ;;
  esac
  shift
done
((${#targets[@]} > 0)) || targets=(fuzz_metadata fuzz_streams)

"$SOURCE_DIR/deploy/install-dependencies.sh" clang libclang-rt-14-dev
cd "$SOURCE_DIR"
export CCACHE_BASEDIR=$SOURCE_DIR CCACHE_NOHASHDIR=1
cmake --preset fuzz > /dev/null
cmake --build "$BUILD_DIR" --target "${targets[@]}"

goldens=$BUILD_DIR/goldens
if [[ -d $GOLDEN_DIR && ! -d $goldens ]]; then
  mkdir -p "$goldens.new" "$goldens.unpacked"
  for archive in "$GOLDEN_DIR"/*.tgz; do
    tar xzf "$archive" -C "$goldens.unpacked"
  done
  number=0
  while IFS= read -r -d '' file; do
    cp "$file" "$goldens.new/$((number += 1))"
  done < <(find "$goldens.unpacked" -name _metadata -size -64k -print0)
  rm -r "$goldens.unpacked"
  mv "$goldens.new" "$goldens"
fi

mkdir -p "$BUILD_DIR/artifacts"
for target in "${targets[@]}"; do
  learned=$BUILD_DIR/corpus/$target
  mkdir -p "$learned"
  seeds=("$SOURCE_DIR/tests/fuzz/corpus/$target")
  [[ $target != fuzz_metadata || ! -d $goldens ]] || seeds+=("$goldens")
  "$BUILD_DIR/tests/fuzz/$target" -runs="$runs" -max_len=65536 -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=256 \
    -print_final_stats=1 -artifact_prefix="$BUILD_DIR/artifacts/$target-" "$learned" "${seeds[@]}"
done
