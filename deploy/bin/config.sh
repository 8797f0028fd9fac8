# Functions of the start and stop scripts. Read by them, not run.
#
# Files: <pid dir>/flink-<user>-<daemon>-<n>.pid holds the pid of one process; the first free n is taken, a file whose
# process has gone counts as free. <log dir>/flink-<user>-<daemon>-<n>-<host>.log has what the process logs, .out
# what it and its jobs print. <pid dir>/<daemon>-<n>.conf is its configuration when -D options were given,
# <pid dir>/<daemon>-<n>.directories names its temporary directories.

set -u

FLINK_HOME=$(cd -P -- "${BASH_SOURCE[0]%/*}/.." && pwd)
: "${FLINK_CONF_DIR:=$FLINK_HOME/conf}"
: "${FLINK_LOG_DIR:=$FLINK_HOME/log}"
: "${FLINK_PID_DIR:=$FLINK_HOME/run}"
FLINK_IDENT=${USER:-$(id -un)}
HOST_NAME=${HOSTNAME:-$(uname -n)}
# Seconds: until a TaskManager must be registered, a JobManager must serve, a stopped process must be gone.
TASKMANAGER_START_TIMEOUT=10
JOBMANAGER_START_TIMEOUT=30
STOP_TIMEOUT=15

if [[ ! -d $FLINK_CONF_DIR ]]; then
  echo "No configuration directory $FLINK_CONF_DIR: FLINK_CONF_DIR must name one, or be unset." >&2
  exit 1
fi
export FLINK_CONF_DIR=$(cd -P -- "$FLINK_CONF_DIR" && pwd)
mkdir -p -- "$FLINK_LOG_DIR" "$FLINK_PID_DIR" || exit 1

# program_of <daemon>: the executable behind a daemon's name.
program_of() {
  case $1 in
    standalonesession) echo "$FLINK_HOME/bin/jobmanager" ;;
    taskexecutor) echo "$FLINK_HOME/bin/taskmanager" ;;
  esac
}

# is_ours <pid> <daemon>: whether the pid is a living process of this daemon in this copy of the distribution.
is_ours() {
  local program
  [[ -n $1 && -e /proc/$1/exe ]] || return 1
  program=$(program_of "$2")
  # A rebuilt program reads as "<path> (deleted)".
  [[ $(readlink "/proc/$1/exe") == "$(readlink -f "$program")"?( \(deleted\)) ]]
}

pid_file() { echo "$FLINK_PID_DIR/flink-$FLINK_IDENT-$1-$2.pid"; }
log_file() { echo "$FLINK_LOG_DIR/flink-$FLINK_IDENT-$1-$2-$HOST_NAME.$3"; }

# numbers_of <daemon>: the n of every pid file, ascending, one per line.
numbers_of() {
  local file prefix="$FLINK_PID_DIR/flink-$FLINK_IDENT-$1-"
  for file in "$prefix"*.pid; do
    file=${file#"$prefix"}
    [[ $file == *[!0-9]*.pid || ! -e $prefix$file ]] || echo "${file%.pid}"
  done | sort -n
}

pid_of() {
  local pid=
  read -r pid 2>/dev/null < "$(pid_file "$1" "$2")"
  echo "$pid"
}

# record_directories <daemon> <n>: notes where the process keeps temporary files (it holds a lock file in each such
# directory), so that they can be removed when it was killed and could not do so itself.
record_directories() {
  find "/proc/$(pid_of "$1" "$2")/fd" -lname '*/flink-cpp-*/lock' -printf '%l\n' 2> /dev/null |
    sed 's|/lock$||' > "$FLINK_PID_DIR/$1-$2.directories"
}

# forget <daemon> <n>: removes the files about a process that has gone, and what it left.
forget() {
  local directory record="$FLINK_PID_DIR/$1-$2.directories"
  if [[ -s $record ]]; then
    while IFS= read -r directory; do
      [[ $directory != */flink-cpp-* ]] || rm -rf -- "$directory"
    done < "$record"
  fi
  rm -rf -- "$(pid_file "$1" "$2")" "$FLINK_PID_DIR/$1-$2.conf" "$record"
}

# effective_conf_dir <daemon> <n> [-D options]: prints the directory of the process' configuration. Settings reach a
# process as a file, so that none shows in the list of processes.
effective_conf_dir() {
  local daemon=$1 number=$2 conf="$FLINK_PID_DIR/$1-$2.conf" property
  shift 2
  rm -rf -- "$conf"
  if (($# == 0)); then
    echo "$FLINK_CONF_DIR"
    return
  fi
  (umask 077 && mkdir -p -- "$conf" && cp -- "$FLINK_CONF_DIR"/*.yaml "$conf"/) || return 1
  while (($# > 0)); do
    property=${1#-D}
    if [[ -z $property && $# -gt 1 ]]; then
      shift
      property=$1
    fi
    [[ $property == *=* ]] || property+==true
    printf '\n%s: %s\n' "${property%%=*}" "${property#*=}" >> "$conf/flink-conf.yaml"
    shift
  done
  echo "$conf"
}

# check_options [options]: everything after the verb must be -Dkey=value or -D key=value.
check_options() {
  while (($# > 0)); do
    case $1 in
      -D) shift; (($# > 0)) || { echo "Missing argument for option: D" >&2; return 1; } ;;
      -D*) ;;
      *) echo "Unrecognized option: $1 (accepted: -Dkey=value)" >&2; return 1 ;;
    esac
    shift
  done
}

# close_descriptors: closes all but 0 to 3, so that a daemon holds nothing of whoever started it.
close_descriptors() {
  local fd
  for fd in /proc/self/fd/*; do
    fd=${fd##*/}
    ((fd <= 3 || fd == 255)) || eval "exec $fd>&-" 2> /dev/null
  done
}

# launch <daemon> <n> [-D options]: starts the process and leaves in READY the descriptor on which it says "ready",
# in LOG the path of its log. Call it with the pid directory locked.
launch() {
  local daemon=$1 number=$2 program conf out pid suffix
  shift 2
  program=$(program_of "$daemon")
  LOG=$(log_file "$daemon" "$number" log)
  out=$(log_file "$daemon" "$number" out)
  forget "$daemon" "$number"
  for suffix in "$LOG" "$out"; do
    [[ ! -s $suffix ]] || mv -f -- "$suffix" "$suffix.1"
  done
  conf=$(effective_conf_dir "$daemon" "$number" "$@") || return 1
  exec {READY}< <(
    exec 3>&1 1>> "$out" 2>> "$LOG" < /dev/null
    close_descriptors
    cd / || exit 1
    # Before the process can say that it is ready.
    echo "$BASHPID" >&3
    FLINK_CONF_DIR=$conf FLINK_LOG_DIR=$FLINK_LOG_DIR FLINK_READY_FD=3 exec setsid "$program"
  )
  IFS= read -r pid <&"$READY" || return 1
  echo "$pid" > "$(pid_file "$daemon" "$number")"
  # Whoever gets the lock next must recognise the process, so wait until it has become the program.
  until is_ours "$pid" "$daemon" || [[ ! -e /proc/$pid/exe ]]; do :; done
}

# start_daemon <daemon> [-D options]: under the lock, picks the number and launches; sets READY, LOG, NUMBER.
start_daemon() {
  local daemon=$1 lock running=0 number
  shift
  exec {lock}> "$FLINK_PID_DIR/.lock"
  flock "$lock"
  NUMBER=-1
  for ((number = 0; NUMBER < 0; number++)); do
    if [[ -e $(pid_file "$daemon" $number) ]] && is_ours "$(pid_of "$daemon" $number)" "$daemon"; then
      ((running += 1))
    else
      NUMBER=$number
    fi
  done
  ((running == 0)) || echo "[INFO] $running instance(s) of $daemon are already running on $HOST_NAME."
  echo "Starting $daemon daemon on host $HOST_NAME."
  launch "$daemon" "$NUMBER" "$@"
  local result=$?
  exec {lock}>&-
  return $result
}

# await_ready <daemon> <number> <descriptor> <log> <seconds>: 0 when the process said that it is ready; else says why
# not, ends it, returns 1.
await_ready() {
  local daemon=$1 number=$2 descriptor=$3 log=$4 seconds=$5 word= reason why
  IFS= read -r -t "$seconds" word <&"$descriptor"
  local code=$?
  exec {descriptor}<&-
  if [[ $word == ready ]]; then
    record_directories "$daemon" "$number"
    return 0
  fi
  reason="it ended"
  ((code <= 128)) || reason="it was not ready within $seconds s"
  why=$(grep -iE 'error|critical' -- "$log" 2> /dev/null | tail -n 1)
  [[ -n $why ]] || why=$(tail -n 1 -- "$log" 2> /dev/null)
  echo "Could not start $daemon: $reason${why:+: $why} (see $log)" >&2
  stop_number "$daemon" "$number" > /dev/null
  return 1
}

# await_gone <pid> <daemon> <seconds>: 0 once the process has ended.
await_gone() {
  local end=$((SECONDS + $3)) idle
  # A descriptor on which nothing ever comes: read gives the pauses without starting processes.
  exec {idle}<> <(:)
  while is_ours "$1" "$2" && ((SECONDS < end)); do
    read -r -t 0.02 -u "$idle"
  done
  exec {idle}<&-
  ! is_ours "$1" "$2"
}

# stop_number <daemon> <n>: ends one process and waits until it is gone.
stop_number() {
  local daemon=$1 number=$2 pid
  pid=$(pid_of "$daemon" "$number")
  if ! is_ours "$pid" "$daemon"; then
    forget "$daemon" "$number"
    return 1
  fi
  echo "Stopping $daemon daemon (pid: $pid) on host $HOST_NAME."
  kill -TERM "$pid" 2> /dev/null
  if ! await_gone "$pid" "$daemon" "$STOP_TIMEOUT"; then
    echo "It did not end within $STOP_TIMEOUT s; killing it."
    kill -KILL "$pid" 2> /dev/null
    await_gone "$pid" "$daemon" 5
  fi
  forget "$daemon" "$number"
}

# stop_daemon <daemon>: the one started last.
stop_daemon() {
  local daemon=$1 number
  for number in $(numbers_of "$daemon" | sort -rn); do
    stop_number "$daemon" "$number" && return 0
  done
  echo "No $daemon daemon to stop on host $HOST_NAME."
}

# stop_all_daemons <daemon>: every one, at the same time.
stop_all_daemons() {
  local daemon=$1 number found=0
  for number in $(numbers_of "$daemon" | sort -rn); do
    if is_ours "$(pid_of "$daemon" "$number")" "$daemon"; then found=1; fi
    stop_number "$daemon" "$number" &
  done
  wait
  ((found == 1)) || echo "No $daemon daemon to stop on host $HOST_NAME."
}

# run_foreground <daemon> [-D options]: becomes the process.
run_foreground() {
  local daemon=$1 conf
  shift
  conf=$(effective_conf_dir "$daemon" "foreground-$$" "$@") || exit 1
  FLINK_CONF_DIR=$conf exec "$(program_of "$daemon")"
}

# daemon_command <daemon> <start timeout> <script> <verb> [-D options]
daemon_command() {
  local daemon=$1 timeout=$2 script=$3 verb=${4:-}
  shift 3
  (($# == 0)) || shift
  case $verb in
    start)
      check_options "$@" || exit 1
      start_daemon "$daemon" "$@" && await_ready "$daemon" "$NUMBER" "$READY" "$LOG" "$timeout" || exit 1
      ;;
    start-foreground)
      check_options "$@" || exit 1
      run_foreground "$daemon" "$@"
      ;;
    stop) stop_daemon "$daemon" ;;
    stop-all) stop_all_daemons "$daemon" ;;
    *)
      echo "Unknown verb '$verb'. Usage: $script (start|start-foreground|stop|stop-all) [-Dkey=value ...]" >&2
      exit 1
      ;;
  esac
}
