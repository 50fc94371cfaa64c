"""How XLA compiles in the tests: unoptimised, since tiny programs compile several times faster so."""

from importlib.metadata import version

_JAXLIB = tuple(int(part) for part in version("jaxlib").split(".")[:3])
_EMITTERS = (
    "--xla_cpu_use_fusion_emitters=false" if _JAXLIB < (0, 11, 1) else ""
)  # later ones have no such flag
UNOPTIMISED = f"--xla_backend_optimization_level=0 {_EMITTERS}".strip()
