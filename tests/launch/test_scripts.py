"""The launch scripts against stand-ins for gcloud, ssh, scp, sbatch: what they run, and what they leave."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))

# Keeps its words; fails where $FAIL is among them; says the next of $STATES where a state is asked for.
STUB = """#!/usr/bin/env bash
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\n\\0'; } >>"$CALLS"
if [[ -n ${FAIL:-} && " $* " == *"$FAIL"* ]]; then exit 1; fi
if [[ $* == *describe* ]]; then head -n 1 "$STATES"; sed -i '1{$!d}' "$STATES"; fi
"""


class Machine:
    """A shell with stand-ins first on its PATH."""

    def __init__(self, folder: Path):
        self.calls, self.states = folder / "calls", folder / "states"
        self.states.write_text("ACTIVE\n")
        commands = folder / "bin"
        commands.mkdir()
        for name in ("gcloud", "ssh", "scp", "sbatch"):
            (commands / name).write_text(STUB)
            (commands / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOOD_")}
        self.environment = {
            **kept,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "STATES": str(self.states),
            "DOOD_TPU_POLL_SECONDS": "0",
        }
        self.folder = folder

    def start(self, *words: str, **environment: str) -> subprocess.Popen:
        script, *rest = words
        return subprocess.Popen(
            [str(ROOT / "launch" / script), *map(str, rest)],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def called(self) -> list[list[str]]:
        if not self.calls.exists():
            return []
        return [call.split("\0")[:-1] for call in self.calls.read_text().split("\n\0")[:-1]]


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


TPU = ("--name=mine", "--zone=there-1a")
ZONE = "--zone=there-1a"


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("folder", [ROOT, ROOT / "launch"])
def test_shellcheck_finds_nothing(folder):
    scripts = [script.relative_to(folder) for script in SCRIPTS]
    done = subprocess.run(["shellcheck", *scripts], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_slice_is_asked_for_and_waited_for(machine):
    machine.states.write_text("WAITING_FOR_RESOURCES\nPROVISIONING\nACTIVE\n")
    code, _, err = machine.run("tpu.sh", "create", *TPU, "--spot=1", "--project=p q")
    assert code == 0, err
    create, *describes = machine.called()
    assert create[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "mine"]
    assert {"--node-id=mine", "--spot", ZONE, "--project=p q", "--accelerator-type=v5litepod-8"} <= set(
        create
    )
    assert [call[4] for call in describes] == ["describe"] * 3


@pytest.mark.parametrize("state", ["FAILED", "SUSPENDED"])
def test_a_slice_that_fails_is_deleted(machine, state):
    machine.states.write_text(f"PROVISIONING\n{state}\n")
    code, _, err = machine.run("tpu.sh", "create", *TPU)
    assert code == 1 and state in err
    assert machine.called()[-1][3:] == ["queued-resources", "delete", "mine", "--force", "--quiet", ZONE]


def test_a_slice_that_does_not_come_is_deleted(machine):
    machine.states.write_text("WAITING_FOR_RESOURCES\n")
    code, _, err = machine.run("tpu.sh", "create", *TPU, "--wait-minutes=0", DOOD_TPU_POLL_SECONDS="1")
    assert code == 1 and "within 0 minutes" in err
    assert machine.called()[-1][4] == "delete"


def test_a_slice_whose_wait_is_interrupted_is_deleted(machine):
    machine.states.write_text("WAITING_FOR_RESOURCES\n")
    process = machine.start("tpu.sh", "create", *TPU, DOOD_TPU_POLL_SECONDS="30")
    for _ in range(200):
        if len(machine.called()) >= 2:
            break
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1 and "interrupted" in err
    assert machine.called()[-1][4] == "delete"


def test_what_could_not_be_asked_for_is_not_deleted(machine):
    """It may be somebody else's of the same name."""
    code, _, err = machine.run("tpu.sh", "create", *TPU, FAIL=" create ")
    assert code == 2 and "was not asked for" in err
    assert [call[4] for call in machine.called()] == ["create"]


def test_what_may_be_left_is_said(machine):
    machine.states.write_text("FAILED\n")
    code, _, err = machine.run("tpu.sh", "create", *TPU, FAIL=" delete ")
    assert code == 1 and "may be left" in err and "list --zone=there-1a" in err


def test_setup_brings_the_source_and_python(machine):
    code, _, err = machine.run("tpu.sh", "setup", *TPU)
    assert code == 0, err
    copy, *remote = machine.called()
    assert copy[4] == "scp" and copy[6] == "mine:dood.tar.gz" and "--worker=all" in copy
    commands = [next(word for word in call if word.startswith("--command=")) for call in remote]
    assert any("uv venv" in command and "3.12" in command for command in commands)
    assert any("'.[tpu]'" in command for command in commands)
    assert not Path(copy[5]).exists()  # the archive is not left lying


@pytest.mark.parametrize("step", ["scp", "uv pip"])
def test_setup_ends_where_a_step_fails(machine, step):
    code, _, _ = machine.run("tpu.sh", "setup", *TPU, FAIL=step)
    assert code != 0
    assert step in " ".join(machine.called()[-1])


def test_training_gets_its_flags_whole(machine, tmp_path):
    """What the far shell makes of the line is run here, with a stand-in for Python."""
    odd = ["--config=configs/mnist.py", "--config.data.categories=cell phone,it's $HOME; rm -rf *", "--x="]
    code, _, err = machine.run("box.sh", "train", "--host=me@there", "--", *odd)
    assert code == 0, err
    ((name, host, line),) = machine.called()
    assert (name, host) == ("ssh", "me@there")
    python = tmp_path / "dood" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/usr/bin/env bash\nprintf "%s\\0" "$DOOD_DATA_DIR" "$@" >words\n')
    python.chmod(0o755)
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    words = tmp_path / "dood" / "words"
    for _ in range(100):
        if words.exists() and words.read_text().endswith("\0"):
            break
        time.sleep(0.05)
    assert words.read_text().split("\0")[:-1] == [f"{tmp_path}/dood/data", "-m", "dood_jax.main", *odd]
    assert (tmp_path / "dood" / "runs" / "pid").read_text().strip().isdecimal()


def test_data_and_results_are_carried(machine, tmp_path):
    archive = tmp_path / "my data.tar.xz"
    archive.write_bytes(b"")
    assert machine.run("box.sh", "data", archive, "--host=there")[0] == 0
    assert machine.run("box.sh", "results", "mnist", "out.tar.xz", "--host=there")[0] == 0
    copy, unpack, make, fetch = machine.called()
    assert copy == ["scp", "-q", str(archive), "there:data.tar.xz"]
    assert "pack.py unpack" in unpack[-1] and "--workdir=runs/mnist" in make[-1]
    assert fetch == ["scp", "-q", "there:dood/results.tar.xz", "out.tar.xz"]


def test_a_job_is_submitted_whole(machine):
    flags = ["--config=configs/mnist.py", "--config.data.categories=cell phone"]
    code, _, err = machine.run("slurm.sh", "--nodes=2", "--gpus=4", "--account=a b", "--", *flags)
    assert code == 0, err
    (call,) = machine.called()
    assert {"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4", "--account=a b", "--requeue"} <= set(
        call
    )
    wrapped = call[-1].removeprefix("--wrap=")
    stub = 'srun() { printf "%s\\n" "$@"; return 143; }; scontrol() { echo "again $*"; }\n'
    done = subprocess.run(
        ["sh", "-c", stub + wrapped], env={"SLURM_JOB_ID": "7"}, capture_output=True, text=True, check=False
    )
    words = [".venv/bin/python", "-m", "dood_jax.main", *flags, "again requeue 7"]
    assert done.stdout.splitlines() == words and done.returncode == 143


@pytest.mark.parametrize(
    "words",
    [
        ("tpu.sh", "create", *TPU),
        ("tpu.sh", "setup", *TPU),
        ("tpu.sh", "delete", *TPU),
        ("box.sh", "train", "--host=there", "--", "--config=configs/mnist.py"),
        ("slurm.sh", "--", "--config=configs/mnist.py"),
    ],
)
def test_a_dry_run_prints_what_it_would_run_and_runs_nothing(machine, words):
    code, out, err = machine.run(words[0], "--dry-run", *words[1:])
    assert code == 0, err
    assert machine.called() == [] and out.strip()
    machine.run(*words)
    tools = {call[0] for call in machine.called()}
    assert tools <= {line.split()[0] for line in out.splitlines()} | {""}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tpu.sh", *TPU), "is not a command"),
        (("tpu.sh", "rm", *TPU), "'rm' is not a command"),
        (("tpu.sh", "create", ZONE), "--name=VALUE"),
        (("tpu.sh", "create", *TPU, "--wait-minutes=soon"), "is no number"),
        (("tpu.sh", "create", *TPU, "--nmae=x"), "--nmae is not a flag"),
        (("tpu.sh", "create", *TPU, "--spot"), "--spot has no value"),
        (("box.sh", "logs"), "--host=VALUE"),
        (("box.sh", "logs", "--host=-oProxyCommand=x"), "is no host"),
        (("box.sh", "data", "nowhere", "--host=there"), "nowhere is not there"),
        (("box.sh", "train", "--host=there"), "takes the flags of dood_jax.main"),
        (("box.sh", "results", "mnist", "--host=there"), "takes the name of a run"),
        (("slurm.sh",), "no flags of dood_jax.main"),
        (("slurm.sh", "--gpus=none", "--", "--config=x"), "--gpus=none"),
    ],
)
def test_bad_input_is_one_line_and_runs_nothing(machine, words, said):
    code, _, err = machine.run(*words)
    assert code == 2 and said in err and err.count("\n") == 1
    assert machine.called() == []


def test_nothing_personal_stands_in_the_scripts():
    for script in [*SCRIPTS, ROOT / "launch" / "Dockerfile"]:
        text = script.read_text()
        assert not re.search(r"/home/|projects/|(us|europe|asia)-\w+\d|\d+\.\d+\.\d+\.\d+", text)
