#!/usr/bin/env bash
# Submits a training run to SLURM: one process for each GPU; the processes find each other.
#
#   launch/slurm.sh [--nodes=1] [--gpus=1] [--hours=24] [--partition=NAME] [--account=NAME] [--python=.venv/bin/python]
#       [--dry-run] -- --config=configs/mnist.py …
#
# --gpus counts the GPUs of one node. Two minutes before its time is up the job gets SIGTERM: training saves,
# and the job is queued again. Call it in a checkout that all nodes see.
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

NODES=1 GPUS=1 HOURS=24
PARTITION=${DOOD_SLURM_PARTITION:-}
ACCOUNT=${DOOD_SLURM_ACCOUNT:-}
PYTHON=${DOOD_PYTHON:-.venv/bin/python}

parse_flags NODES GPUS HOURS PARTITION ACCOUNT PYTHON -- "$@"
((${#REST[@]})) || die "no flags of dood_jax.main are given; write -- --config=configs/mnist.py"
for number in NODES GPUS HOURS; do
  [[ ${!number} =~ ^[1-9][0-9]*$ ]] || die "--${number,,}=${!number} is no whole number from 1"
done

mkdir -p runs
run sbatch --job-name=dood --nodes="$NODES" --ntasks-per-node="$GPUS" --gpus-per-node="$GPUS" \
  --time="$HOURS:00:00" --signal=TERM@120 --requeue --open-mode=append --output=runs/slurm-%j.txt \
  ${PARTITION:+"--partition=$PARTITION"} ${ACCOUNT:+"--account=$ACCOUNT"} \
  --wrap="srun $(quoted "$PYTHON" -m dood_jax.main "${REST[@]}"); code=\$?
[ \$code -ne 143 ] || scontrol requeue \$SLURM_JOB_ID
exit \$code"
