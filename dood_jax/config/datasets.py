"""The names of the datasets, and the categories of Quick, Draw!.

The 345 categories of Quick, Draw! and the ten of the published runs (method.md 2.1).

The sets that are known by name: what they are called elsewhere, their classes, how many are published.
"""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from dood_jax.errors import BadInput

PUBLISHED_CATEGORIES = "eye,bicycle,tree,eyeglasses,book,airplane,cell phone,smiley face,apple,car"
ALL = "all"

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
CATEGORIES = tuple(" ".join(name.split()) for name in _NAMES.split(","))  # in their official order


def parse_categories(categories: str | Sequence[str]) -> tuple[str, ...]:
    """Names joined by commas, or a sequence of them, or `all`; in the order given, each once.

    Raises BadInput for a name that is not one of the 345, or none at all.
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
    near = difflib.get_close_matches(name, CATEGORIES, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


SPLITS = ("train", "test")
FOLDER = "folder"
SYNTHETIC = "synthetic"


class Entry(NamedTuple):
    """One published set."""

    tfds_name: str
    config: str | None  # of TensorFlow Datasets; None: the set has none, or ours choose it
    version: str
    size: int  # pixels of a side as published
    counts: dict[str, int]  # published images of each split
    classes: tuple[str, ...] = ()  # () where they depend on the files


def _digits_and_letters() -> tuple[str, ...]:
    return tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")


CATALOG = {
    "mnist": Entry("mnist", None, "3.0.1", 28, {"train": 60000, "test": 10000}, tuple("0123456789")),
    "emnist": Entry(
        "emnist", "balanced", "3.1.0", 28, {"train": 112800, "test": 18800}, _digits_and_letters()
    ),
    "kmnist": Entry(
        "kmnist",
        None,
        "3.0.1",
        28,
        {"train": 60000, "test": 10000},
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "quickdraw": Entry("quickdraw_bitmap", None, "3.0.0", 28, {"train": 40000, "test": 10000}),
    "omniglot": Entry("omniglot", None, "3.0.0", 105, {"train": 19280, "test": 13180}),
}
NAMES = (*CATALOG, FOLDER)  # sets that are files
TRANSPOSED_AS_PUBLISHED = ("emnist",)


def require_name(name: str, key: str = "data.name") -> str:
    """The name, or BadInput listing those known; `synthetic` is drawn, not loaded."""
    if name not in (*NAMES, SYNTHETIC):
        raise BadInput(f"{key}={name!r} is not a known set; choose from {', '.join(NAMES)}, {SYNTHETIC}")
    return name


def require_fitting(name: str, transpose: bool, per_category: int) -> None:
    """BadInput for a choice that the set does not have."""
    if transpose and name not in TRANSPOSED_AS_PUBLISHED:
        raise BadInput(
            f"data.transpose=True is for {', '.join(TRANSPOSED_AS_PUBLISHED)}, which was published lying on"
            f" its side; {name} was not: leave it False"
        )
    if per_category and name != "quickdraw":
        raise BadInput(f"data.per_category={per_category} is for quickdraw; leave it 0 for {name}")
