#!/usr/bin/env bash
# Starts a JobManager and one TaskManager for every line of conf/workers, all at once, and returns when they are ready.
# Usage: start-cluster.sh [-Dkey=value ...]
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/config.sh"
check_options "$@" || exit 1

workers=()
if [[ -r $FLINK_CONF_DIR/workers ]]; then
  while read -r worker _; do
    [[ -z $worker || $worker == \#* ]] || workers+=("$worker")
  done < "$FLINK_CONF_DIR/workers"
else
  workers=(localhost)
fi
for worker in "${workers[@]}"; do
  case $worker in
    localhost | 127.0.0.1 | ::1 | "$HOST_NAME") ;;
    *)
      echo "conf/workers names the host $worker: run bin/taskmanager.sh start there; this script starts" \
        "processes on this machine only." >&2
      exit 1
      ;;
  esac
done

echo "Starting cluster."
failed=0
start_daemon standalonesession "$@" || exit 1
jobmanager=("$NUMBER" "$READY" "$LOG")
numbers=() descriptors=() logs=()
for worker in "${workers[@]}"; do
  if start_daemon taskexecutor "$@"; then
    numbers+=("$NUMBER") descriptors+=("$READY") logs+=("$LOG")
  else
    failed=1
  fi
done
if ! await_ready standalonesession "${jobmanager[@]}" "$JOBMANAGER_START_TIMEOUT"; then
  # Nothing for TaskManagers to register with.
  for number in "${numbers[@]}"; do stop_number taskexecutor "$number" > /dev/null & done
  wait
  exit 1
fi
for i in "${!numbers[@]}"; do
  await_ready taskexecutor "${numbers[i]}" "${descriptors[i]}" "${logs[i]}" "$TASKMANAGER_START_TIMEOUT" || failed=1
done
exit $failed
