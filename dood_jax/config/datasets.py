"""The datasets that are known by name, and the categories of Quick, Draw! (method.md 2.1)."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from dood_jax.errors import BadInput

# The ten categories of the published runs.
PUBLISHED_CATEGORIES = "eye,bicycle,tree,eyeglasses,book,airplane,cell phone,smiley face,apple,car"
ALL = "all"  # stands for all 345 categories

_NAMES = """
aircraft carrier, airplane, alarm clock, ambulance, angel, animal migration, ant, anvil, apple, arm,
asparagus, axe, backpack, banana, bandage, barn, baseball bat, baseball, basket, basketball, bat, bathtub,
beach, bear, beard, bed, bee, belt, bench, bicycle, binoculars, bird, birthday cake, blackberry,
blueberry, book, boomerang, bottlecap, bowtie, bracelet, brain, bread, bridge, broccoli, broom, bucket,
bulldozer, bus, bush, butterfly, cactus, cake, calculator, calendar, camel, camera, camouflage, campfire,
candle, cannon, canoe, car, carrot, castle, cat, ceiling fan, cell phone, cello, chair, chandelier,
church, circle, clarinet, clock, cloud, coffee cup, compass, computer, cookie, cooler, couch, cow, crab,
crayon, crocodile, crown, cruise ship, cup, diamond, dishwasher, diving board, dog, dolphin, donut, door,
dragon, dresser, drill, drums, duck, dumbbell, ear, elbow, elephant, envelope, eraser, eye, eyeglasses,
face, fan, feather, fence, finger, fire hydrant, fireplace, firetruck, fish, flamingo, flashlight,
flip flops, floor lamp, flower, flying saucer, foot, fork, frog, frying pan, garden hose, garden, giraffe,
goatee, golf club, grapes, grass, guitar, hamburger, hammer, hand, harp, hat, headphones, hedgehog,
helicopter, helmet, hexagon, hockey puck, hockey stick, horse, hospital, hot air balloon, hot dog,
hot tub, hourglass, house plant, house, hurricane, ice cream, jacket, jail, kangaroo, key, keyboard, knee,
knife, ladder, lantern, laptop, leaf, leg, light bulb, lighter, lighthouse, lightning, line, lion,
lipstick, lobster, lollipop, mailbox, map, marker, matches, megaphone, mermaid, microphone, microwave,
monkey, moon, mosquito, motorbike, mountain, mouse, moustache, mouth, mug, mushroom, nail, necklace, nose,
ocean, octagon, octopus, onion, oven, owl, paint can, paintbrush, palm tree, panda, pants, paper clip,
parachute, parrot, passport, peanut, pear, peas, pencil, penguin, piano, pickup truck, picture frame, pig,
pillow, pineapple, pizza, pliers, police car, pond, pool, popsicle, postcard, potato, power outlet, purse,
rabbit, raccoon, radio, rain, rainbow, rake, remote control, rhinoceros, rifle, river, roller coaster,
rollerskates, sailboat, sandwich, saw, saxophone, school bus, scissors, scorpion, screwdriver, sea turtle,
see saw, shark, sheep, shoe, shorts, shovel, sink, skateboard, skull, skyscraper, sleeping bag,
smiley face, snail, snake, snorkel, snowflake, snowman, soccer ball, sock, speedboat, spider, spoon,
spreadsheet, square, squiggle, squirrel, stairs, star, steak, stereo, stethoscope, stitches, stop sign,
stove, strawberry, streetlight, string bean, submarine, suitcase, sun, swan, sweater, swing set, sword,
syringe, t-shirt, table, teapot, teddy-bear, telephone, television, tennis racquet, tent,
The Eiffel Tower, The Great Wall of China, The Mona Lisa, tiger, toaster, toe, toilet, tooth, toothbrush,
toothpaste, tornado, tractor, traffic light, train, tree, triangle, trombone, truck, trumpet, umbrella,
underwear, van, vase, violin, washing machine, watermelon, waterslide, whale, wheel, windmill,
wine bottle, wine glass, wristwatch, yoga, zebra, zigzag
"""
CATEGORIES = tuple(" ".join(name.split()) for name in _NAMES.split(","))  # in the official order


def parse_categories(categories: str | Sequence[str]) -> tuple[str, ...]:
    """The categories of Quick, Draw! that are named, in the order given, each once.

    They may be joined by commas, or be a sequence of names, or `all`. Raises BadInput for a name that is not
    one of the 345, or none at all.
    """
    names = categories.split(",") if isinstance(categories, str) else list(categories)
    names = [name.strip() for name in names if name.strip()]
    if names == [ALL]:
        return CATEGORIES
    if not names:
        raise BadInput(f"data.categories={categories!r} names none; give some joined by commas, or {ALL}")
    for name in names:
        if name not in CATEGORIES:
            raise BadInput(
                f"data.categories: {name!r} is not one of the {len(CATEGORIES)} categories of Quick, Draw!"
                f"{_nearest(name)}; give names joined by commas, or {ALL}"
            )
    return tuple(dict.fromkeys(names))


def _nearest(name: str) -> str:
    """A question whether the most similar category is meant, if one is similar."""
    near = difflib.get_close_matches(name, CATEGORIES, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


SPLITS = ("train", "test")
FOLDER = "folder"  # images of one's own
SYNTHETIC = "synthetic"  # random drawings, rendered while training


class Entry(NamedTuple):
    """A published dataset."""

    tfds_name: str  # what TensorFlow Datasets (TFDS) calls it
    config: str | None  # its variant in TFDS; None where TFDS has only one, or our builder names it
    version: str  # in TFDS
    size: int  # pixels of a side, as published
    counts: dict[str, int]  # published images of each split
    classes: tuple[str, ...] = ()  # names by label; () where they depend on the files


_DIGITS = tuple("0123456789")
_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")  # others look alike in both cases
_SYLLABLES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

CATALOG = {
    "mnist": Entry("mnist", None, "3.0.1", 28, {"train": 60000, "test": 10000}, _DIGITS),
    "emnist": Entry("emnist", "balanced", "3.1.0", 28, {"train": 112800, "test": 18800}, _DIGITS + _LETTERS),
    "kmnist": Entry("kmnist", None, "3.0.1", 28, {"train": 60000, "test": 10000}, _SYLLABLES),
    "quickdraw": Entry("quickdraw_bitmap", None, "3.0.0", 28, {"train": 40000, "test": 10000}),
    "omniglot": Entry("omniglot", None, "3.0.0", 105, {"train": 19280, "test": 13180}),
}
NAMES = (*CATALOG, FOLDER)  # datasets that are loaded from files
TRANSPOSED_AS_PUBLISHED = ("emnist",)  # published lying on its side


def require_name(name: str, key: str = "data.name") -> str:
    """The name, or BadInput listing those known; `synthetic` is drawn, not loaded."""
    if name not in (*NAMES, SYNTHETIC):
        raise BadInput(f"{key}={name!r} is not a known set; choose from {', '.join(NAMES)}, {SYNTHETIC}")
    return name


def require_fitting(name: str, transpose: bool, per_category: int) -> None:
    """Raises BadInput for a setting of `data` that this dataset does not have."""
    if transpose and name not in TRANSPOSED_AS_PUBLISHED:
        raise BadInput(
            f"data.transpose=True is for {', '.join(TRANSPOSED_AS_PUBLISHED)}, which was published lying on"
            f" its side; {name} was not: leave it False"
        )
    if per_category and name != "quickdraw":
        raise BadInput(f"data.per_category={per_category} is for quickdraw; leave it 0 for {name}")
