#!/usr/bin/env bash
# Trains on one machine that is reached by ssh, with or without a GPU.
#
#   launch/box.sh setup|data ARCHIVE|train|logs|stop|results RUN FILE
#       --host=USER@HOST [--extra=cuda13|cuda12|dev] [--dry-run]
#   launch/box.sh train --host=USER@HOST -- --config=configs/mnist.py …
#
# The host may stand in DOOD_BOX_HOST instead; ports and keys belong in ~/.ssh/config.
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

HOST=${DOOD_BOX_HOST:-}
EXTRA=${DOOD_BOX_EXTRA:-cuda13}

on_all() { run ssh "$HOST" "$1"; }
on_first() { run ssh -t "$HOST" "$1"; }
copy_to_all() { run scp -q "$1" "$HOST:$2"; }
copy_from_first() { run scp -q "$HOST:$1" "$2"; }

parse_flags HOST EXTRA -- "$@"
set -- "${REST[@]}"
case ${1:-} in
  setup | data | train | logs | stop | results) ;;
  *) die "'${1:-}' is not a command; choose from setup, data, train, logs, stop, results" ;;
esac
require HOST
[[ $HOST != -* ]] || die "--host=$HOST is no host"
"$@"
