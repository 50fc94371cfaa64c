"""Which pictures."""

import dataclasses

from dood_jax.data import catalog, quickdraw_categories
from dood_jax.errors import BadInput, require_at_least, require_share


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which pictures."""

    name: str = "mnist"  # a set of `dood_jax.data`, or synthetic
    dir: str | None = None
    image_size: int = 50
    transpose: bool = False  # EMNIST lying on its side, as it was published
    categories: str = quickdraw_categories.PUBLISHED  # of Quick, Draw!, joined by commas; or all
    per_category: int = 0  # most drawings of each over both splits, a fifth of them in test; 0: all
    overlaid: float = 0.0  # share of training pictures over which another of the set is laid
    names: str = ""  # several sets, joined by commas: a model for each, side by side in one program

    def __post_init__(self) -> None:
        """Checks every value."""
        require_at_least("data.per_category", self.per_category, 0)
        require_share("data.overlaid", self.overlaid)
        for name in self.sets:
            catalog.require_name(name, "data.names" if self.names else "data.name")
        if len(self.sets) == 1:
            catalog.require_fitting(self.sets[0], self.transpose, self.per_category)
        elif len(set(self.sets) & set(catalog.CATALOG)) < len(self.sets):
            raise BadInput(f"data.names={self.names!r}; give different ones of {', '.join(catalog.CATALOG)}")
        quickdraw_categories.parse(self.categories)
        if self.sets == (catalog.FOLDER,) and not self.dir:
            raise BadInput("data.name='folder' without data.dir; give --config.data.dir=FOLDER")

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that models are trained on."""
        return tuple(self.names.split(",")) if self.names else (self.name,)

    @property
    def is_synthetic(self) -> bool:
        """Whether pictures are drawn on the device."""
        return self.sets == (catalog.SYNTHETIC,)

    def only(self, name: str) -> "DataConfig":
        """The settings of one of the sets, without those that other sets alone know."""
        transpose = self.transpose and name in catalog.TRANSPOSED_AS_PUBLISHED
        per_category = self.per_category if name == "quickdraw" else 0
        return dataclasses.replace(self, name=name, names="", transpose=transpose, per_category=per_category)
