#!/usr/bin/env bash
# Usage: jobmanager.sh (start|start-foreground|stop|stop-all) [-Dkey=value ...]
# Returns from "start" when the JobManager serves.
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/config.sh"
daemon_command standalonesession "$JOBMANAGER_START_TIMEOUT" jobmanager.sh "$@"
