"""How long, on what, and what is kept."""

import dataclasses
import re

from dood_jax.errors import BadInput, require_at_least, require_choice, require_seed

PRECISIONS = ("default", "bfloat16", "tensorfloat32", "float32")  # as JAX names them


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long, on what, and what is kept."""

    steps: int = 12000
    batch_size: int = 64  # over all devices
    init_from: str = ""  # a folder or released name, whose parameters a run without checkpoints begins with
    seed: int = 0
    num_models: int = 1  # models of each set, with seeds from `seed` on, side by side in one program
    steps_per_call: int = 1  # steps per compiled call; more than 1 pays on accelerators
    parallel: str = "pmap"
    precision: str = "default"  # of the networks' products on accelerators; drawing is exact anyway
    checkpoint_every: int = 500
    keep_checkpoints: int = 3  # the newest so many; the best one on held-out pictures stays besides
    evaluate_every: int = 1000
    log_every: int = 50
    max_skipped: int = 100  # steps in a row that were not finite, before the run gives up; 0: never
    distributed: str = "auto"  # over processes: where a cluster is found; on: or refuse; off: never
    coordinator: str = ""  # HOST:PORT of the first process; else $JAX_COORDINATOR_ADDRESS, or the cluster's
    num_processes: int = 0  # of the run; 0: $JAX_NUM_PROCESSES, or the cluster's
    process_id: int = -1  # of this process; -1: $JAX_PROCESS_ID, or the cluster's
    heartbeat: int = 100  # seconds of silence after which a process is taken for dead, and the others end
    join_timeout: int = 300  # seconds that processes wait for each other at the start and at the end

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("training.seed", self.seed)
        require_choice("training.parallel", self.parallel, ("pmap", "shard_map"))
        require_choice("training.precision", self.precision, PRECISIONS)
        require_choice("training.distributed", self.distributed, ("auto", "on", "off"))
        for key, least in {"max_skipped": 0, "num_processes": 0, "process_id": -1}.items():
            require_at_least(f"training.{key}", getattr(self, key), least)
        if self.coordinator and not re.fullmatch(r"\S+:\d{1,5}", self.coordinator):
            raise BadInput(
                f"training.coordinator={self.coordinator!r} is no HOST:PORT; give one as node0:1234"
            )
        if self.num_processes and self.process_id >= self.num_processes:
            raise BadInput(
                f"training.process_id={self.process_id} of num_processes={self.num_processes};"
                f" give 0 to {self.num_processes - 1}"
            )
        for key in (
            "steps",
            "batch_size",
            "num_models",
            "steps_per_call",
            "checkpoint_every",
            "keep_checkpoints",
            "evaluate_every",
            "log_every",
            "heartbeat",
            "join_timeout",
        ):
            require_at_least(f"training.{key}", getattr(self, key), 1)
        require_seed("training.seed + training.num_models - 1", self.seed + self.num_models - 1)
        for key in ("steps", "checkpoint_every", "evaluate_every", "log_every"):
            if getattr(self, key) % self.steps_per_call:
                raise BadInput(
                    f"training.{key}={getattr(self, key)} is not a multiple of"
                    f" training.steps_per_call={self.steps_per_call}"
                )
