#!/usr/bin/env bash
# Creates a Cloud TPU slice by queued resources, trains on it, fetches the results, and deletes it.
#
#   launch/tpu.sh create|setup|data ARCHIVE|train|logs|stop|results RUN FILE|delete
#       --name=NAME --zone=ZONE [--project=PROJECT] [--type=v5litepod-8] [--version=v2-alpha-tpuv5-lite]
#       [--spot=1] [--wait-minutes=60] [--dry-run]
#   launch/tpu.sh train --name=NAME --zone=ZONE -- --config=configs/mnist.py …
#
# Flags may stand in the environment instead: DOOD_TPU_NAME, DOOD_TPU_ZONE, and so on.
# A slice that does not come up within the time, or whose wait is interrupted, is deleted.
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

NAME=${DOOD_TPU_NAME:-}
ZONE=${DOOD_TPU_ZONE:-}
PROJECT=${DOOD_TPU_PROJECT:-}
TYPE=${DOOD_TPU_TYPE:-v5litepod-8}
VERSION=${DOOD_TPU_VERSION:-v2-alpha-tpuv5-lite}
SPOT=${DOOD_TPU_SPOT:-}
WAIT_MINUTES=${DOOD_TPU_WAIT_MINUTES:-60}
POLL_SECONDS=${DOOD_TPU_POLL_SECONDS:-20}
EXTRA=tpu

tpu() { # tpu GROUP COMMAND ARGUMENTS…
  run gcloud compute tpus "$@" --zone="$ZONE" ${PROJECT:+"--project=$PROJECT"}
}

on_all() { tpu tpu-vm ssh "$NAME" --worker=all --command="$1"; }
on_first() { tpu tpu-vm ssh "$NAME" --worker=0 --command="$1"; }
copy_to_all() { tpu tpu-vm scp "$1" "$NAME:$2" --worker=all; }
copy_from_first() { tpu tpu-vm scp "$NAME:$1" "$2" --worker=0; }

create() {
  [[ $WAIT_MINUTES =~ ^[0-9]+$ ]] || die "--wait-minutes=$WAIT_MINUTES is no number"
  tpu queued-resources create "$NAME" --node-id="$NAME" --accelerator-type="$TYPE" \
    --runtime-version="$VERSION" ${SPOT:+--spot} || die "$NAME was not asked for; gcloud says why"
  trap 'give_up "interrupted"' INT TERM
  [[ -z $DRY_RUN ]] || return 0
  local state="" deadline=$((SECONDS + 60 * WAIT_MINUTES))
  while [[ $state != ACTIVE ]]; do
    ((SECONDS <= deadline)) || give_up "it did not come up within $WAIT_MINUTES minutes"
    state=$(tpu queued-resources describe "$NAME" --format="value(state.state)") || state=""
    case $state in
      FAILED | SUSPENDING | SUSPENDED) give_up "it is $state" ;;
      ACTIVE) ;;
      *)
        sleep "$POLL_SECONDS" &
        SLEEPER=$!
        wait "$SLEEPER"
        ;;
    esac
  done
  trap - INT TERM
}

give_up() {
  trap - INT TERM
  [[ -z ${SLEEPER:-} ]] || kill "$SLEEPER" 2>/dev/null || true
  printf '%s: %s: %s; deleting it\n' "${0##*/}" "$NAME" "$1" >&2
  delete || printf '%s: %s may be left; look: gcloud compute tpus queued-resources list --zone=%s\n' \
    "${0##*/}" "$NAME" "$ZONE" >&2
  exit 1
}

delete() { tpu queued-resources delete "$NAME" --force --quiet; }

parse_flags NAME ZONE PROJECT TYPE VERSION SPOT WAIT_MINUTES -- "$@"
set -- "${REST[@]}"
case ${1:-} in
  create | setup | data | train | logs | stop | results | delete) ;;
  *) die "'${1:-}' is not a command; choose from create, setup, data, train, logs, stop, results, delete" ;;
esac
require NAME ZONE
"$@"
