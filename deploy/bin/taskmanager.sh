#!/usr/bin/env bash
# Usage: taskmanager.sh (start|start-foreground|stop|stop-all) [-Dkey=value ...]
# Returns from "start" when the TaskManager is registered with the JobManager.
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/config.sh"
daemon_command taskexecutor "$TASKMANAGER_START_TIMEOUT" taskmanager.sh "$@"
