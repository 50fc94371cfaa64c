"""A whole study across datasets: trains every dataset, seed and variant, then makes the table of transfer.

    python launch/sweep.py [--configs=mnist,emnist,…] [--seeds=5] [--stacked] [--out=runs/sweep]
        [--variant=noguide:model.encoder=conv,model.guidance=none]… [--submit='launch/slurm.sh --gpus=1 --']
        [--targets=mnist,…] [--dry-run] [-- --config.training.steps=20000 …]

What stands after `--` goes to every training run. The same command continues a study: finished runs are left
as they are, and unfinished ones are resumed. `--stacked` trains the seeds of a dataset in one program. With
`--submit` runs are handed to a queue; when they are done, the same command without it makes the table.
"""

import argparse
import itertools
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from dood_jax import command_line
from dood_jax.errors import BadInput, require_at_least

_MAIN = [sys.executable, "-m", "dood_jax.main"]


class Run(NamedTuple):
    """One training program."""

    config: str  # the file's name
    flags: tuple[str, ...]
    workdir: Path
    members: int  # models that it trains together; 0: one alone

    def command(self, more: Sequence[str]) -> list[str]:
        """The words of its command line; it resumes whatever is in its folder."""
        return [*_MAIN, f"--config=configs/{self.config}.py", f"--workdir={self.workdir}", *self.flags, *more]

    @property
    def checkpoints(self) -> list[str]:
        """Names under which its models are evaluated."""
        return [f"{self.workdir}:{i}" for i in range(self.members)] if self.members else [str(self.workdir)]


def runs_of(
    configs: Sequence[str], variants: dict[str, tuple[str, ...]], seeds: int, stacked: bool, out: Path
) -> list[Run]:
    """Every run of a study; with `stacked` the seeds of a dataset are trained in one run."""
    found = []
    for config, (variant, flags) in itertools.product(configs, variants.items()):
        name = "-".join(filter(None, (config, variant)))
        if stacked:
            found.append(Run(config, (*flags, f"--config.training.num_models={seeds}"), out / name, seeds))
            continue
        for seed in range(seeds):
            found.append(Run(config, (*flags, f"--config.training.seed={seed}"), out / f"{name}-{seed}", 0))
    return found


def table_command(runs: Sequence[Run], targets: str, out: Path, more: Sequence[str]) -> list[str]:
    """The evaluation that makes the table; cells that were measured are not measured again.

    Of the further flags of the runs it takes those that say where data are, and how to evaluate.
    """
    names = ",".join(name for run in runs for name in run.checkpoints)
    about = [
        f"--config=configs/{runs[0].config}.py",
        f"--workdir={out}",
        "--mode=evaluate",
        "--task=transfer",
    ]
    also = [flag for flag in more if flag.startswith(("--config.data.dir=", "--config.evaluation."))]
    return [*_MAIN, *about, f"--checkpoint={names}", f"--config.data.names={targets}", *also]


def parse_variant(text: str) -> tuple[str, tuple[str, ...]]:
    """`name:key=value,key=value` -> the name and flags of `dood_jax.main`."""
    name, colon, settings = text.partition(":")
    pairs = settings.split(",")
    if not (name.isidentifier() and colon and all("=" in pair for pair in pairs)):
        raise BadInput(f"--variant={text} is not understood; write NAME:KEY=VALUE,KEY=VALUE")
    return name, tuple(f"--config.{pair}" for pair in pairs)


def study(arguments: argparse.Namespace, more: Sequence[str]) -> int:
    """Prints or runs all of it; the exit code is 1 if a run failed, and then there is no table."""
    require_at_least("--seeds", arguments.seeds, 1)
    configs = arguments.configs.split(",")
    for name in configs:
        if not Path(f"configs/{name}.py").is_file():
            raise BadInput(
                f"--configs={name}: configs/{name}.py is not there; give names of files in configs/"
            )
    variants = {"": (), **dict(map(parse_variant, arguments.variant))}
    runs = runs_of(configs, variants, arguments.seeds, arguments.stacked, arguments.out)
    submit = shlex.split(arguments.submit)
    commands = [[*submit, *run.command(more)[len(_MAIN) if submit else 0 :]] for run in runs]
    table = [] if submit else [table_command(runs, arguments.targets, arguments.out, more)]
    if arguments.dry_run:
        sys.stdout.writelines(f"{shlex.join(command)}\n" for command in [*commands, *table])
        return 0
    failed = [run for run, command in zip(runs, commands, strict=True) if subprocess.call(command)]
    for run in failed:
        sys.stderr.write(f"sweep: {run.workdir} failed; the same command tries it again\n")
    return 1 if failed else max([subprocess.call(command) for command in table], default=0)


def main(argv: list[str] | None = None) -> int:
    """Parses the flags; 2 with one line for bad input."""
    words = list(sys.argv[1:] if argv is None else argv)
    at = words.index("--") if "--" in words else len(words)
    parser = command_line.Parser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--configs", default="mnist,emnist,kmnist,quickdraw,omniglot", help="files in configs/"
    )
    parser.add_argument("--seeds", type=int, default=5, help="models of each set and variant")
    parser.add_argument(
        "--variant", action="append", default=[], help="NAME:KEY=VALUE,… beside the plain one"
    )
    parser.add_argument("--stacked", action="store_true", help="the seeds of a set in one program")
    parser.add_argument("--submit", default="", help="command that takes the flags of a run and queues it")
    parser.add_argument(
        "--targets", default="mnist,emnist,kmnist,quickdraw,omniglot", help="sets of the table"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"), help="folder of all runs")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    try:
        return study(parser.parse_args(words[:at]), words[at + 1 :])
    except BadInput as error:
        command_line.refuse(error)


if __name__ == "__main__":
    sys.exit(main())
