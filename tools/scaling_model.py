"""What a training step would take on so many chips: arithmetic of what was counted and what is published.

A step's time on one chip is the sum of three, nothing overlapped: what starting its products one after
another takes, the products at an assumed fraction of the published peak, and the traffic at an assumed
fraction of the published bandwidth. Over n chips comes one all-reduce of the gradient. The equations stand
in `docs/scaling.md`.
"""

import dataclasses
import math
from typing import Any, NamedTuple

ADAM_TRAFFIC = 7  # arrays of the parameters' size: four read (parameters, gradient, moments), three written


@dataclasses.dataclass(frozen=True)
class Counted:
    """What a step of one model asks for, counted in its program."""

    batch_size: int
    multiply_adds: float  # a step
    products: int  # matrix products a step, each after the other
    traffic: float  # bytes that its operations read and write
    parameters: int
    reduced: int  # bytes that are averaged over devices: the gradient
    image: int  # bytes

    @property
    def optimizer_traffic(self) -> float:
        """Bytes that do not depend on the batch."""
        return ADAM_TRAFFIC * 4.0 * self.parameters

    def traffic_of(self, images: float) -> float:
        """Bytes that a step of one model reads and writes."""
        each = (self.traffic - self.optimizer_traffic) / self.batch_size
        return self.optimizer_traffic + images * each


class Links(NamedTuple):
    """What joins chips, or groups of them that nearer links have joined."""

    most: int  # chips that are joined by them and by all nearer ones
    bandwidth: float  # bytes a second out of one chip
    hop: float  # seconds that one hop takes, assumed


@dataclasses.dataclass(frozen=True)
class Chip:
    """Published figures, and in words where they stand."""

    name: str
    peak: float  # operations a second in products; a multiply-add is two
    bandwidth: float  # bytes a second of its memory
    links: tuple[Links, ...]  # from the nearest out
    torus: bool  # hops go along its sides; otherwise up and down a tree
    source: str


V5E = Chip(
    name="TPU v5e",
    peak=197e12,
    bandwidth=819e9,
    links=(Links(256, 50e9, 1e-6),),
    torus=True,
    source="Google Cloud's page *TPU v5e*: 197 TFLOP/s in bfloat16, memory at 819 GB/s, 400 GB/s between"
    " chips over four ports, both directions together (one port one way is counted: two chips share no"
    " more, and others in a slice have two to four times that), 256 chips on a 2D torus",
)
H100 = Chip(
    name="H100 SXM",
    peak=494.7e12,
    bandwidth=3.35e12,
    links=(Links(8, 450e9, 3e-6), Links(256, 50e9, 10e-6)),
    torus=False,
    source="NVIDIA's *H100 Tensor Core GPU* datasheet: 989 TFLOP/s in TF32 with sparsity (half of it is"
    " counted), memory at 3.35 TB/s, NVLink 900 GB/s both directions together (half); beyond 8 one 400 Gbit/s"
    " adapter a GPU, as in NVIDIA's *DGX H100* datasheet",
)
CHIPS = {"v5e": V5E, "h100": H100}


class Assumed(NamedTuple):
    """What nobody published and nobody measured here."""

    products: float = 0.10  # fraction of the peak that small products reach
    traffic: float = 0.50  # fraction of the memory's bandwidth
    start: float = 5e-6  # seconds that an operation takes at least, with those fused around a product
    links: float = 0.50  # fraction of the links' bandwidth


def chip_seconds(counted: Counted, chip: Chip, assumed: Assumed, images: float, models: int = 1) -> float:
    """A step of `models` stacked models on one chip, each with its part of the images: equation (1)."""
    multiply_adds = counted.multiply_adds * images / counted.batch_size
    products = 2 * multiply_adds / (assumed.products * chip.peak)
    traffic = counted.traffic_of(images) / (assumed.traffic * chip.bandwidth)
    return counted.products * assumed.start + models * (products + traffic)


def sent_bytes(counted: Counted, chips: int) -> float:
    """Bytes that leave each chip in an all-reduce."""
    return 2 * (chips - 1) / chips * counted.reduced


def reduce_seconds(counted: Counted, chip: Chip, assumed: Assumed, chips: int) -> float:
    """An all-reduce: equation (2). What nearer links have scattered over a group goes on in as many parts."""
    seconds, joined = 0.0, 1
    for links in chip.links:
        size = min(chips, links.most) // joined
        sent = sent_bytes(counted, size) / joined
        seconds += sent / (assumed.links * links.bandwidth) + hops(size, chip.torus) * links.hop
        joined *= size
    return seconds


def hops(size: int, torus: bool) -> int:
    """Of a reduction and the way back: in a tree, or along both sides of the squarest rectangle."""
    if not torus:
        return 2 * math.ceil(math.log2(size))
    rows = max(side for side in range(1, math.isqrt(size) + 1) if size % side == 0)
    return 2 * (rows - 1 + size // rows - 1)


def data_parallel(
    counted: Counted, chip: Chip, assumed: Assumed, chips: int, batch_size: int
) -> dict[str, Any]:
    """One model, its batch split over the chips; efficiency is against one chip with a batch of `counted`."""
    reduce = reduce_seconds(counted, chip, assumed, chips)
    seconds = chip_seconds(counted, chip, assumed, batch_size / chips) + reduce
    row = _row(counted, chip, assumed, chips, batch_size / seconds)
    return {
        **row,
        "batch": batch_size,
        "seconds": seconds,
        "sent": sent_bytes(counted, chips),
        "reduce": reduce,
    }


def many_models(
    counted: Counted, chip: Chip, assumed: Assumed, chips: int, models_each: int
) -> dict[str, Any]:
    """So many whole models on each chip, which never speak to each other."""
    seconds = chip_seconds(counted, chip, assumed, counted.batch_size, models_each)
    row = _row(counted, chip, assumed, chips, chips * models_each * counted.batch_size / seconds)
    return {**row, "models": chips * models_each, "seconds": seconds}


def _row(counted: Counted, chip: Chip, assumed: Assumed, chips: int, rate: float) -> dict[str, Any]:
    alone = counted.batch_size / chip_seconds(counted, chip, assumed, counted.batch_size)
    return {
        "chips": chips,
        "images": rate,
        "input": rate / chips * counted.image,
        "efficiency": rate / chips / alone,
    }


def last_that_pays(rows: list[dict[str, Any]], least: float = 0.5) -> int:
    """The most chips up to which efficiency stays at `least` or above."""
    paying = 0
    for row in rows:
        if row["efficiency"] < least:
            break
        paying = row["chips"]
    return paying


def study_seconds(
    counted: Counted, chip: Chip, assumed: Assumed, steps: int, models: int, chips: int, stacked: bool
) -> float:
    """So many models spread over the chips: those of the fullest chip stacked, or one after the other."""
    each = -(-models // chips)
    one = chip_seconds(counted, chip, assumed, counted.batch_size, each if stacked else 1)
    return steps * one * (1 if stacked else each)
