"""Compiled parts of fitted estimators of scikit-learn (trees, neighbours, losses) as their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn._loss import loss as losses
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.linear_model import _sgd_fast
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree._tree import Tree

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

MAX_CLASSES = 2**20
BITSET_WORDS = 8


# -- decision trees


def take_tree(value: Tree) -> list[Any]:
    """Return what makes a tree, and its nodes."""
    _, (features, classes, outputs), state = value.__reduce__()
    return [features, classes, outputs, state["max_depth"], state["nodes"], state["values"]]


def build_tree(parts: list[Any]) -> Tree:
    """Return a tree whose nodes point downwards, within it, and at features that there are."""
    features, classes, outputs, depth, nodes, values = parts
    require(all(type(part) is int and part >= 0 for part in (features, outputs, depth)))
    require(all(type(part) is np.ndarray for part in (classes, nodes, values)))
    require(classes.shape == (outputs,) and classes.dtype == np.intp and len(classes))
    most = int(classes.max())
    require(classes.min() > 0 and most < MAX_CLASSES and values.shape == (len(nodes), outputs, most))
    _require_children(nodes["left_child"], nodes["right_child"], nodes["left_child"] == -1)
    require((nodes["feature"] < features).all() and ((nodes["feature"] >= 0) | (nodes["left_child"] == -1)).all())
    made = Tree(features, classes, outputs)
    made.__setstate__({"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": values})
    return made


def _require_children(left: Any, right: Any, leaves: Any) -> None:
    """Raise unless each node that is not a leaf has children further down, so that each way through a tree ends."""
    places = np.arange(len(leaves))
    for children in (left.astype(np.int64), right.astype(np.int64)):
        require((leaves | ((children > places) & (children < len(leaves)))).all())


def take_predictor(value: TreePredictor) -> list[Any]:
    """Return the nodes of a tree of histogram gradient boosting."""
    return [value.nodes, value.binned_left_cat_bitsets, value.raw_left_cat_bitsets]


def build_predictor(parts: list[Any]) -> TreePredictor:
    """Return a tree of histogram gradient boosting."""
    nodes, binned, raw = parts
    require(all(type(part) is np.ndarray for part in parts) and nodes.dtype.names)
    require(all(sets.dtype == np.uint32 and sets.shape[1:] == (BITSET_WORDS,) for sets in (binned, raw)))
    leaves = nodes["is_leaf"] != 0
    _require_children(nodes["left"], nodes["right"], leaves)
    categorical = (nodes["is_categorical"] != 0) & ~leaves
    require((nodes["feature_idx"] >= 0).all() and (nodes["bitset_idx"][categorical] < min(len(binned), len(raw))).all())
    return TreePredictor(nodes, binned, raw)


def require_fitting_trees(estimator: Any) -> None:
    """Raise unless the trees of an estimator look at features that its data have; their code does not check."""
    state = vars(estimator)
    features = state.get("n_features_in_")
    trees = [state.get("tree_")]
    if "estimators_features_" not in state:  # where there are some, numpy picks the columns for each
        parts = state.get("estimators_", ())
        members = parts.ravel().tolist() if isinstance(parts, np.ndarray) else parts
        trees += [getattr(member, "tree_", None) for member in members if not isinstance(member, (str, tuple))]
    require(all(type(tree) is not Tree or tree.n_features == features for tree in trees))
    for predictor in (one for several in state.get("_predictors", ()) for one in several):
        require(type(predictor) is TreePredictor and (predictor.nodes["feature_idx"] < features).all())


# -- neighbours


def take_neighbours(value: Any) -> list[Any]:
    """Return the points, the size of a leaf, the distance and the weights, of which the same tree is made again."""
    state = value.__getstate__()
    metric, weights = state[11], state[12]
    name = METRICS.get(type(metric).__name__.removesuffix("64"))
    if name is None:
        raise CodecError(f"a {type(value).__name__} with {type(metric).__name__} cannot be kept")
    order = float(metric.__getstate__()[0])
    return [np.asarray(state[0]), int(state[4]), name, order, None if weights is None else np.asarray(weights)]


def build_neighbours(cls: Any) -> Any:
    """Return what builds a tree of neighbours."""

    def build(parts: list[Any]) -> Any:
        points, leaf_size, metric, order, weights = parts
        require(type(points) is np.ndarray and points.dtype == np.float64 and points.ndim == 2)  # noqa: PLR2004 - points
        require(type(leaf_size) is int and leaf_size > 0 and metric in METRICS.values() and type(order) is float)
        options = {"p": order} if metric == "minkowski" else {}
        return cls(points, leaf_size=leaf_size, metric=metric, sample_weight=weights, **options)

    return build


METRICS = {
    "EuclideanDistance": "euclidean", "ManhattanDistance": "manhattan", "ChebyshevDistance": "chebyshev",
    "MinkowskiDistance": "minkowski",
}  # fmt: skip


# -- losses


def take_loss(value: Any) -> list[Any]:
    """Return the numbers of a loss, its classes, and whether its second derivative is constant."""
    return [list(value.closs.__reduce__()[1]), value.n_classes, bool(value.constant_hessian)]


def build_loss(cls: Any, option: str | None) -> Any:
    """Return what builds a loss."""

    def build(parts: list[Any]) -> Any:
        numbers, classes, constant = parts
        require(type(numbers) is list and all(type(number) is float for number in numbers))
        require(type(constant) is bool and (classes is None or (type(classes) is int and 0 < classes < MAX_CLASSES)))
        options = {"n_classes": classes} if option == "n_classes" else {option: numbers[0]} if option else {}
        made = cls(**options)
        made.constant_hessian = constant
        return made

    return build


LOSSES = {
    "AbsoluteError": None, "ExponentialLoss": None, "HalfBinomialLoss": None, "HalfGammaLoss": None,
    "HalfMultinomialLoss": "n_classes", "HalfPoissonLoss": None, "HalfSquaredError": None,
    "HalfTweedieLoss": "power", "HalfTweedieLossIdentity": "power", "PinballLoss": "quantile",
}  # fmt: skip
SLOPES = ("EpsilonInsensitive", "Hinge", "SquaredEpsilonInsensitive", "SquaredHinge")


def build_slope(cls: Any) -> Any:
    """Return what builds a loss of stochastic gradient descent."""

    def build(parts: list[Any]) -> Any:
        (numbers,) = parts
        require(type(numbers) is list and all(type(number) is float for number in numbers))
        return cls(*numbers)

    return build


def _slopes() -> dict[type, LibraryKind]:
    classes = [getattr(_sgd_fast, name) for name in SLOPES if hasattr(_sgd_fast, name)]
    return {
        cls: LibraryKind(f"sklearn.{cls.__name__}", lambda value: [list(value.__reduce__()[1])], build_slope(cls))
        for cls in classes
    }


def _losses() -> dict[type, LibraryKind]:
    classes = {getattr(losses, name): option for name, option in LOSSES.items() if hasattr(losses, name)}
    return {
        cls: LibraryKind(f"sklearn.{cls.__name__}", take_loss, build_loss(cls, option))
        for cls, option in classes.items()
    }


KINDS: dict[type, LibraryKind] = {
    Tree: LibraryKind("sklearn.Tree", take_tree, build_tree),
    TreePredictor: LibraryKind("sklearn.TreePredictor", take_predictor, build_predictor),
    KDTree: LibraryKind("sklearn.KDTree", take_neighbours, build_neighbours(KDTree)),
    BallTree: LibraryKind("sklearn.BallTree", take_neighbours, build_neighbours(BallTree)),
    **_losses(),
    **_slopes(),
}
