#!/usr/bin/env bash
# Builds the project and walks through the life of a job on a cluster of this machine.
#
# Usage: deploy/quickstart.sh [--keep | --build-only] [INPUT]
#   INPUT         a text file or a directory of them; default: the licence texts that every Debian carries
#   --keep        leave the cluster running at the end and say how to go on
#   --build-only  stop when build/dist is laid out
set -euo pipefail

SOURCE_DIR=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
BUILD_DIR=$SOURCE_DIR/build
# How long the first run of the job would take to read its input, seconds; it is cancelled long before.
PACE=10

fail() {
  echo "quickstart: $*" >&2
  exit 1
}

keep=0 build_only=0 input=
while (($# > 0)); do
  case $1 in
    --keep) keep=1 ;;
    --build-only) build_only=1 ;;
    -h | --help)
      sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    -*) fail "unknown option $1; see --help" ;;
    *)
      [[ -z $input ]] || fail "one input at most; see --help"
      [[ -r $1 ]] || fail "cannot read $1"
      input=$(readlink -f -- "$1")
      ;;
  esac
  shift
done

# ---- build

"$SOURCE_DIR/deploy/install-dependencies.sh"
cd "$SOURCE_DIR"
echo "Building into $BUILD_DIR (a first build takes some minutes) ..."
export CCACHE_BASEDIR=$SOURCE_DIR CCACHE_NOHASHDIR=1
configured=$(cmake --preset release 2>&1) || fail "the configuration of the build failed: $configured"
cmake --build "$BUILD_DIR" --target dist
if ((build_only)); then
  echo "The distribution is in $BUILD_DIR/dist."
  exit 0
fi

# ---- a copy of the distribution with ports of its own, so that it disturbs no other cluster

work=$(mktemp -d "${TMPDIR:-/tmp}/flink-quickstart.XXXXXX")
home=$work/flink

leave() {
  local code=$?
  trap - EXIT INT TERM
  if ((keep == 0 || code != 0)); then
    if [[ -x $home/bin/stop-cluster.sh ]]; then "$home/bin/stop-cluster.sh" > /dev/null || true; fi
    cd / && rm -rf -- "$work"
  fi
  exit $code
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
  local port
  while :; do
    port=$((10000 + RANDOM % 20000))
    if ! grep -qi ":$(printf %04X $port) " /proc/net/tcp /proc/net/tcp6 2> /dev/null; then
      echo $port
      return
    fi
  done
}

cp -a -- "$BUILD_DIR/dist" "$home"
rm -rf -- "$home/log" "$home/run"
cat > "$home/conf/config.yaml" <<CONF
rest.port: $(free_port)
jobmanager.rpc.port: $(free_port)
taskmanager.numberOfTaskSlots: 1
taskmanager.memory.process.size: 512m
state.backend.type: rocksdb
io.tmp.dirs: $work/tmp
CONF
printf 'localhost\nlocalhost\n' > "$home/conf/workers"
mkdir -- "$work/tmp"

if [[ -z $input ]]; then
  input=$work/licences.txt
  find /usr/share/common-licenses -type f -print0 | sort -z | xargs -0 cat > "$input"
fi
# What the example reads: below a directory all files but those whose names begin with . or _.
if [[ -d $input ]]; then
  find "$input" -mindepth 1 -name '[._]*' -prune -o -type f -print0 | xargs -0 -r cat > "$work/text"
else
  cp -- "$input" "$work/text"
fi
lines=$(wc -l < "$work/text")
((lines >= 20)) || fail "$input has $lines lines; that is too short to catch a job at work, 20 are needed"
rate=$(((lines + PACE - 1) / PACE))

# ---- the life of a job

bold='' plain=''
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() {
  printf '$ %s\n' "$*"
  "$@"
}

cd "$home"
step "1. Start a JobManager and two TaskManagers (in $home)"
show bin/start-cluster.sh

step "2. Count words, one subtask, slowly: $rate lines per second"
show bin/flink run -d -p 1 examples/WordCount.so --input "$input" --output "$work/counts" --rate "$rate" | tee "$work/run.txt"
job=$(sed -n 's/^Job has been submitted with JobID //p' "$work/run.txt")
[[ -n $job ]] || fail "the job was not submitted"
sleep 1

step "3. It runs"
show bin/flink list
sleep 1

step "4. Take a savepoint: its whole state, and how far it has read"
show bin/flink savepoint "$job" "$work/savepoints" | tee "$work/savepoint.txt"
savepoint=$(sed -n 's/^Savepoint completed. Path: //p' "$work/savepoint.txt")
[[ -n $savepoint ]] || fail "there is no savepoint"

step "5. Cancel it"
show bin/flink cancel "$job"
show bin/flink list

step "6. Go on from the savepoint with two subtasks at full speed, until the input ends"
show bin/flink run -s "$savepoint" -p 2 examples/WordCount.so --input "$input" --output "$work/counts"

# ---- compare

step "7. Compare with coreutils"
export LC_ALL=C
tr 'A-Z' 'a-z' < "$work/text" | tr -cs 'a-z0-9_' '\n' | sed '/^$/d' | sort | uniq -c > "$work/expected.txt"
# The job writes every update: each word must be there with every number from 1 to its count, each once.
awk '{ for (n = 1; n <= $1; n++) print $2 "," n }' "$work/expected.txt" | sort > "$work/expected-updates.txt"
find "$work/counts" -type f -name 'part-*' -print0 | xargs -0 cat | sort > "$work/updates.txt"
words=$(wc -l < "$work/expected-updates.txt")
distinct=$(wc -l < "$work/expected.txt")
if ! cmp -s "$work/updates.txt" "$work/expected-updates.txt"; then
  diff "$work/expected-updates.txt" "$work/updates.txt" | head -n 10 || true
  fail "the result differs from the count by tr, sort and uniq (above: < expected, > found)"
fi
echo "$words words, $distinct different ones: every update is there exactly once. The most frequent:"
sort -k1,1nr -k2 "$work/expected.txt" | sed -n '1,5p'

if ((keep)); then
  step "The cluster goes on. What to try next:"
  cat <<NEXT
  cd $home
  bin/flink list -a
  bin/flink run -d examples/WordCount.so --input $input --output $work/counts-2 --rate $rate
  bin/taskmanager.sh start           # one more slot; its log is in log/
  bin/stop-cluster.sh                # ends everything; then remove $work
NEXT
else
  step "8. Stop the cluster"
  show bin/stop-cluster.sh
fi
