# shellcheck shell=bash
# What the launch scripts share: flags, --dry-run, and the steps on a machine, over `on_all`, `on_first`,
# `copy_to_all` and `copy_from_first`, which each script defines for its kind of machine.

COMMIT=${DOOD_COMMIT:-HEAD}
FOLDER=dood # below the home of whoever logs in
DRY_RUN=${DOOD_DRY_RUN:-}
EXTRA=dev # of the package: which jax

# die MESSAGE: ends the script with one line.
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 2
}

# Runs a command, or with --dry-run prints it as it would be typed.
run() {
  if [[ -n $DRY_RUN ]]; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# parse_flags NAME... -- "$@": --name=value sets NAME; --dry-run; what follows is left in REST.
parse_flags() {
  local -A known=()
  while [[ $1 != -- ]]; do
    known[$1]=1
    shift
  done
  shift
  REST=()
  local flag name
  while (($#)); do
    flag=$1
    shift
    case $flag in
      --dry-run) DRY_RUN=1 ;;
      --)
        REST+=("$@")
        return
        ;;
      --*=*)
        name=${flag%%=*}
        name=${name#--}
        name=${name//-/_}
        name=${name^^}
        [[ -n ${known[$name]:-} ]] || die "${flag%%=*} is not a flag; see the head of $0"
        printf -v "$name" '%s' "${flag#*=}"
        ;;
      --*) die "$flag has no value; write $flag=VALUE" ;;
      *) REST+=("$flag") ;;
    esac
  done
}

# require NAME...: ends the script where a flag was not given.
require() {
  local name
  for name in "$@"; do
    [[ -n ${!name:-} ]] || die "$name is not given; write --$(tr '[:upper:]_' '[:lower:]-' <<<"$name")=VALUE"
  done
}

# A command line of words, safe to be given to another shell.
quoted() {
  local line
  printf -v line '%q ' "$@"
  printf '%s' "${line% }"
}

# setup: copies the source of a commit, and lets uv install Python 3.12 and the packages beside it.
setup() {
  local archive top
  top=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
  TEMPORARY=$(mktemp -d)
  trap 'rm -rf "$TEMPORARY"' EXIT
  archive=$TEMPORARY/dood.tar.gz
  run git -C "$top" archive --format=tar.gz --prefix="$FOLDER/" --output="$archive" "$COMMIT"
  copy_to_all "$archive" dood.tar.gz
  on_all "tar -xzf dood.tar.gz && rm dood.tar.gz"
  on_all "command -v \$HOME/.local/bin/uv || curl -LsSf https://astral.sh/uv/install.sh | sh"
  on_all "cd $FOLDER && \$HOME/.local/bin/uv venv --quiet --python 3.12 --allow-existing"
  on_all "cd $FOLDER && \$HOME/.local/bin/uv pip install --quiet '.[$EXTRA]'"
}

# data ARCHIVE: copies and unpacks an archive that `python launch/pack.py data` made.
data() {
  (($# == 1)) || die "data takes one archive, made by: python launch/pack.py data --names=mnist --out=FILE"
  [[ -f $1 ]] || die "$1 is not there; make it: python launch/pack.py data --names=mnist --out=$1"
  copy_to_all "$1" data.tar.xz
  on_all "cd $FOLDER && .venv/bin/python launch/pack.py unpack ~/data.tar.xz --out=data && rm ~/data.tar.xz"
}

# train FLAGS...: starts dood_jax.main with these flags on all machines, in the background. It resumes the run.
train() {
  (($#)) || die "train takes the flags of dood_jax.main, such as --config=configs/mnist.py"
  local flags
  flags=$(quoted "$@")
  on_all "cd $FOLDER && mkdir -p runs && \
{ ! grep -aqs dood_jax /proc/\$(cat runs/pid 2>/dev/null)/cmdline || \
{ echo 'a run is at work here; stop it first' >&2; exit 1; }; } && \
export DOOD_DATA_DIR=\$PWD/data && \
{ nohup .venv/bin/python -m dood_jax.main $flags >runs/log.txt 2>&1 </dev/null & echo \$! >runs/pid; }"
}

# logs: shows the log of the first machine as it grows.
logs() {
  on_first "tail -n 50 -F $FOLDER/runs/log.txt"
}

# stop: ends training, which saves first.
stop() {
  on_all "if [ -f $FOLDER/runs/pid ]; then kill -TERM \$(cat $FOLDER/runs/pid); rm $FOLDER/runs/pid; fi"
}

# results RUN FILE: fetches runs/RUN as a released model with its metrics, packed by `launch/pack.py results`.
results() {
  (($# == 2)) || die "results takes the name of a run and a file to write, such as: results mnist mnist.tar.xz"
  [[ ! -e $2 ]] || die "$2 is there already; name another file"
  local workdir
  workdir=$(quoted "runs/$1")
  on_first "cd $FOLDER && rm -rf results.tar.xz && .venv/bin/python launch/pack.py results \
--workdir=$workdir --out=results.tar.xz --part_mib=100000"
  copy_from_first "$FOLDER/results.tar.xz" "$2"
}
