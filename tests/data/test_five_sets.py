"""The five sets of the pack as they are: counts, classes, histograms, pixels, and what their notes say."""

import hashlib

import numpy as np
import pytest

from dood_jax.data import load, omniglot, sources
from dood_jax.data.dataset import resize

EACH = {  # name, split: images, classes, fewest and most of a class, sha256 of the pixels at published size
    ("emnist", "train"): (
        92474,
        47,
        (517, 2400),
        "029a5d1020e8d1b27f70ea843b057a98ae8694e5a8d6b368bdd45d92b6160dc6",
    ),
    ("emnist", "test"): (
        18800,
        47,
        (400, 400),
        "583c9b798ca4f4ae2a2161ad0552dae923192918377eaf42bf3c0c7692f6ec1b",
    ),
    ("kmnist", "train"): (
        7011,
        10,
        (672, 757),
        "782054ee0fed6ea58de3349dcef53321702aa7b60ab4a30eb66904c9c9c52ec5",
    ),
    ("kmnist", "test"): (
        10000,
        10,
        (1000, 1000),
        "dc10e73c6e83fb3fb3586eafece217ab6602e7825fa7d49399359bde3fc66f07",
    ),
    ("quickdraw", "train"): (
        18192,
        9,
        (400, 3179),
        "6b10c06cd338e326d4ca870524064ea1dcbab73f560c2e6bdda3012cd20ebe46",
    ),
    ("quickdraw", "test"): (
        4548,
        9,
        (100, 795),
        "0d8d91ba281ba3d8879243b6ab52d42fe68a0abd0ca88829c3ca32d87b8019e3",
    ),
    ("omniglot", "train"): (
        19280,
        964,
        (20, 20),
        "0cd55851480f8c5b1a4156118ed9d43f2b4440971d1c5d495a8418ef25f360df",
    ),
    ("omniglot", "test"): (
        13180,
        659,
        (20, 20),
        "2f8abf420f25346ce14179a52fd9cf287b35442f55259ce414af4e022e124b15",
    ),
}
NOTES = {
    ("emnist", "train"): "a substitute for the published selection: 92,474 images, published 112,800",
    ("emnist", "test"): "a substitute for the published selection: 18,800 images, published 18,800",
    ("kmnist", "train"): "7,011 of the 60,000 published images",
    ("quickdraw", "train"): "18,192 drawings of 9 categories, without cell phone; published 40,000 of 10",
    ("quickdraw", "test"): "4,548 drawings of 9 categories, without cell phone; published 10,000 of 10",
}


@pytest.mark.parametrize(("name", "split"), EACH)
def test_a_set_is_what_the_documentation_says(data_dir, name, split):
    count, num_classes, ends, checksum = EACH[name, split]
    size = 105 if name == "omniglot" else 28
    dataset = load(name, split, str(data_dir), size)
    counts = np.bincount(dataset.labels)
    assert dataset.images.shape == (count, size, size) and dataset.images.dtype == np.uint8
    assert len(counts) == len(dataset.metadata["classes"]) == num_classes
    assert (counts.min(), counts.max()) == ends
    assert hashlib.sha256(np.ascontiguousarray(dataset.images)).hexdigest() == checksum
    assert dataset.metadata["note"] == NOTES.get((name, split), "")
    edge = np.concatenate([dataset.images[:, 0].ravel(), dataset.images[:, -1].ravel()])
    assert np.median(edge) == 0, "ink is white on black"


def test_kmnist_names_and_histogram(data_dir):
    dataset = load("kmnist", "train", str(data_dir), 28)
    assert dataset.metadata["classes"] == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert np.bincount(dataset.labels).tolist() == [690, 690, 695, 702, 757, 708, 688, 708, 672, 701]


def test_transposed_emnist_is_the_upright_one_on_its_side(data_dir):
    upright = load("emnist", "test", str(data_dir), 20)
    lying = load("emnist", "test", str(data_dir), 20, transpose=True)
    difference = np.abs(lying.images.transpose(0, 2, 1).astype(int) - upright.images)
    assert difference.max() <= 1, "rows and columns are rounded in another order"
    ones = upright.images[upright.labels == 1].astype(float).mean(0)
    assert ones.sum(0).max() > 1.5 * ones.sum(1).max(), "an upright 1 is high and narrow"


def test_omniglot_knows_who_drew_what(data_dir):
    dataset = load("omniglot", "test", str(data_dir), 20)
    assert set(dataset.attributes) == set(omniglot.ATTRIBUTES)
    assert dataset.metadata["alphabets"] == omniglot.ALPHABETS["test"]
    assert dataset.metadata["classes"][0] == "Angelic/character01"
    drawers = dataset.attributes["drawer"].reshape(659, 20)
    np.testing.assert_array_equal(drawers, np.tile(np.arange(1, 21), (659, 1)))
    assert (dataset.attributes["char_id"].min(), dataset.attributes["char_id"].max()) == (965, 1623)
    assert len(np.unique(dataset.attributes["alphabet"])) == 20


def test_one_shot_runs_show_test_images_with_the_right_answers(data_dir):
    runs = sources.one_shot_runs(str(data_dir))
    assert runs.supports.shape == runs.queries.shape == (20, 20, 105, 105)
    assert runs.answers.shape == (20, 20)
    test = load("omniglot", "test", str(data_dir), 105)
    with np.load(data_dir / "omniglot_oneshot.npz") as arrays:
        supports, queries = arrays["support_index"], arrays["query_index"]
    np.testing.assert_array_equal(runs.supports, test.images[supports])
    np.testing.assert_array_equal(runs.queries, test.images[queries])
    answered = np.take_along_axis(test.labels[supports], runs.answers, axis=1)
    np.testing.assert_array_equal(answered, test.labels[queries])
    small = sources.one_shot_runs(str(data_dir), 50).queries
    np.testing.assert_array_equal(small[3, 4], resize(runs.queries[3, 4][None], 50)[0])


def test_human_strokes_lie_on_the_ink_of_their_images(data_dir):
    strokes = omniglot.human_strokes(data_dir)
    assert len(strokes.train_row) == 2720 and len(strokes.stroke_start) == 6171
    train = load("omniglot", "train", str(data_dir), 105)
    near = []
    for drawing in range(0, 2720, 40):
        ink = np.pad(train.images[strokes.train_row[drawing]] > 0, 1)
        thick = np.any([np.roll(ink, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
        points = np.clip(np.round(np.concatenate(strokes.strokes_of(drawing))), 0, 104).astype(int) + 1
        near.append(thick[points[:, 1], points[:, 0]].mean())
    assert np.mean(near) > 0.99
