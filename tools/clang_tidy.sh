#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy over this tree's own sources, libraries before tests.
#
# Usage: tools/clang_tidy.sh [-p BUILD_DIR] [FILE...]
#   -p BUILD_DIR  a configured and built directory with compile_commands.json (default: build); built, because generated
#                 headers are read from it
#   FILE          sources to check (default: every tracked .cc file that BUILD_DIR compiles)
#
# Prints every finding, then one line with the count of files. Exits with 0 when there is no finding, 1 when there is, 2 when it
# could not run. CLANG_TIDY names another clang-tidy.
set -uo pipefail

build=build
while getopts "p:" option; do
  case "${option}" in
    p) build=${OPTARG} ;;
    *) sed -n '4,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [[ ${build} != /* && -d ${build} ]]; then build=$(cd "${build}" && pwd); fi
files=()
for file in "$@"; do files+=("$(realpath "${file}")"); done

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
root=$(pwd -P)
tidy=${CLANG_TIDY:-clang-tidy}
if [[ ${build} != /* ]]; then build=${root}/${build}; fi
if ! command -v "${tidy}" > /dev/null; then
  echo "clang_tidy.sh: ${tidy} is not installed; install the package clang-tidy or set CLANG_TIDY." >&2
  exit 2
fi
if [[ ! -f ${build}/compile_commands.json ]]; then
  echo "clang_tidy.sh: ${build}/compile_commands.json does not exist; run 'cmake --preset dev', build it, and pass" \
    "'-p build-dev'." >&2
  exit 2
fi

if [[ ${#files[@]} -eq 0 ]]; then
  for folder in common api connectors taskmanager jobmanager cli rpc proto examples tests benchmarks; do
    while IFS= read -r file; do
      if grep -qF "\"${root}/${file}\"" "${build}/compile_commands.json"; then files+=("${root}/${file}"); fi
    done < <(git ls-files "${folder}/*.cc")
  done
fi

# One process per file, as many at once as there are cores. The commands are gcc's, which has warning names that clang does not know.
check() {
  "${tidy}" -p "${build}" --quiet --extra-arg=-Wno-unknown-warning-option "$1" \
    2> >(grep -vE '^[0-9]+ warnings? (and [0-9]+ errors? )?generated\.|^Suppressed ' >&2) && return
  echo "finding: ${1#"${root}"/}"
  return 1
}
export -f check
export tidy build root
if printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'check "$1"' check; then
  echo "${#files[@]} files checked, no findings."
else
  echo "${#files[@]} files checked; findings in the files named above."
  exit 1
fi
