"""Categories of Quick, Draw!: which, how many, and which are test images."""

import numpy as np
import pytest

from dood_jax.config import datasets
from dood_jax.data import load, originals
from dood_jax.errors import BadInput


def test_there_are_345_and_the_published_ten_are_among_them():
    assert len(set(datasets.CATEGORIES)) == 345
    assert len(datasets.parse_categories(datasets.PUBLISHED_CATEGORIES)) == 10
    assert datasets.parse_categories("all") == datasets.CATEGORIES


@pytest.mark.parametrize(
    ("given", "said"),
    [("eye, tres", r"'tres' is not one .*did you mean 'tree'"), ("", "names none"), ([], "names none")],
)
def test_a_category_that_does_not_exist_is_refused(given, said):
    with pytest.raises(BadInput, match=said):
        datasets.parse_categories(given)


def test_labels_follow_the_order_in_which_categories_are_asked_for(toy_pack):
    every = load("quickdraw", "train", str(toy_pack), 28, categories="all")
    some = load("quickdraw", "train", str(toy_pack), 28, categories="tree, book,tree")
    assert every.metadata["classes"] == ("apple", "book", "cat", "eye", "tree")
    assert some.metadata["classes"] == ("tree", "book")
    np.testing.assert_array_equal(some.images[some.labels == 0], every.images[every.labels == 4])
    np.testing.assert_array_equal(some.images[some.labels == 1], every.images[every.labels == 1])


def test_what_the_set_lacks_is_said_and_the_rest_is_taken(toy_pack, caplog):
    dataset = load("quickdraw", "train", str(toy_pack), 28, categories=("cat", "zebra"))
    assert dataset.metadata["classes"] == ("cat",) and dataset.metadata["lacking"] == ("zebra",)
    assert "without zebra" in dataset.metadata["note"]
    with pytest.raises(BadInput, match=r"quickdraw_train\.npz has none of zebra, ant; it has apple, book"):
        load("quickdraw", "train", str(toy_pack), 28, categories="zebra,ant")


def test_the_cap_counts_both_splits_and_a_fifth_of_it_is_for_testing(toy_pack):
    train = load("quickdraw", "train", str(toy_pack), 28, categories="all", per_category=5)
    test = load("quickdraw", "test", str(toy_pack), 28, categories="all", per_category=5)
    assert np.bincount(train.labels).tolist() == [4] * 5
    assert np.bincount(test.labels).tolist() == [1] * 5
    whole = load("quickdraw", "train", str(toy_pack), 28, categories="all", per_category=1000)
    assert len(whole.labels) == 25


def test_a_cap_takes_the_same_drawings_whatever_the_other_categories(toy_pack):
    alone = load("quickdraw", "train", str(toy_pack), 28, categories="eye", per_category=3)
    among = load("quickdraw", "train", str(toy_pack), 28, categories="cat,eye", per_category=3)
    np.testing.assert_array_equal(alone.images, among.images[among.labels == 1])


def test_a_fifth_of_each_class_is_the_test_split_always_the_same():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [10, 25, 101]))
    is_test = originals.in_test_split(labels)
    assert np.bincount(labels[is_test]).tolist() == [2, 5, 20]
    np.testing.assert_array_equal(is_test, originals.in_test_split(labels))
