"""How XLA compiles in the tests: unoptimised and in one piece, since tiny programs compile faster so."""

from importlib.metadata import version

_JAXLIB = tuple(int(part) for part in version("jaxlib").split(".")[:3])
_FLAGS = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if _JAXLIB < (0, 11, 1):  # later ones have no such flag
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
UNOPTIMISED = " ".join(_FLAGS)
