#!/usr/bin/env bash
# Stops every TaskManager and JobManager of this copy of the distribution; returns when they are gone.
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/config.sh"
echo "Stopping cluster."
stop_all_daemons taskexecutor
stop_all_daemons standalonesession
