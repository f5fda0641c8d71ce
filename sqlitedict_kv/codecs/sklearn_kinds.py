"""Fitted estimators of scikit-learn as their attributes; no constructor, no fit and no pickle takes part."""

from __future__ import annotations

import types
import warnings
from importlib import import_module
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils import Bunch

from sqlitedict_kv.codecs import sklearn_parts
from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

# The public classes of these modules are kept, and those that their objects hold.
PUBLIC = (
    "calibration", "cluster", "compose", "covariance", "cross_decomposition", "decomposition", "discriminant_analysis",
    "dummy", "ensemble", "feature_extraction", "feature_extraction.text", "feature_selection", "gaussian_process",
    "impute", "isotonic", "kernel_approximation", "kernel_ridge", "linear_model", "manifold", "mixture",
    "model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors", "neural_network", "pipeline",
    "preprocessing", "random_projection", "semi_supervised", "svm", "tree",
)  # fmt: skip
INNER = (
    "calibration._CalibratedClassifier", "calibration._SigmoidCalibration",
    "ensemble._hist_gradient_boosting.binning._BinMapper",
    "gaussian_process.kernels.CompoundKernel", "gaussian_process.kernels.ConstantKernel",
    "gaussian_process.kernels.DotProduct", "gaussian_process.kernels.ExpSineSquared",
    "gaussian_process.kernels.Exponentiation", "gaussian_process.kernels.Matern",
    "gaussian_process.kernels.PairwiseKernel", "gaussian_process.kernels.Product", "gaussian_process.kernels.RBF",
    "gaussian_process.kernels.RationalQuadratic", "gaussian_process.kernels.Sum",
    "gaussian_process.kernels.WhiteKernel",
    "gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "metrics._scorer._PassthroughScorer", "metrics._scorer._Scorer",
    "neural_network._stochastic_optimizers.AdamOptimizer", "neural_network._stochastic_optimizers.SGDOptimizer",
    "preprocessing._label.LabelBinarizer", "preprocessing._label.LabelEncoder",
)  # fmt: skip
# Functions and classes that an attribute may name, as FunctionTransformer(np.log1p) and OneHotEncoder(dtype=...) do.
FUNCTIONS_OF = ("sklearn.feature_selection", "sklearn.metrics", "numpy")
OF_NUMPY = ("amax", "amin", "max", "mean", "median", "min", "sum")
BUILT_IN = {"builtins.int": int, "builtins.float": float, "builtins.bool": bool, "builtins.str": str}


# -- names


def _name_of(cls: type) -> str | None:
    """Return the public name of a class below ``sklearn.``, None if objects of it are not kept."""
    path = f"{cls.__module__}.{cls.__qualname__}".removeprefix("sklearn.")
    if path in INNER:
        return path
    for module in PUBLIC:
        if path.startswith(f"{module}.") and _is_kept(module, cls) and _public(module, cls.__qualname__) is cls:
            return f"{module}.{cls.__qualname__}"
    return None


def _public(module: str, name: str) -> Any:
    found = import_module(f"sklearn.{module}")
    public = getattr(found, "__all__", vars(found))  # a few modules do not say
    return getattr(found, name) if name in public and not name.startswith("_") else None


def _is_kept(module: str, cls: Any) -> bool:
    """Return whether a class is one of estimators, or of the ways to split data, as in GridSearchCV(cv=...)."""
    return isinstance(cls, type) and (issubclass(cls, BaseEstimator) or module == "model_selection")


def _class_named(path: str) -> Any:
    """Return the class of a stored name."""
    module, _, name = path.rpartition(".")
    if path in INNER:
        return getattr(import_module(f"sklearn.{module}"), name)
    require(module in PUBLIC)
    found = _public(module, name)
    require(_is_kept(module, found))
    return found


def _name_of_function(thing: Any) -> str | None:
    """Return the name of a function, or of a class of numbers, that an attribute may have; None for any other."""
    for path in (f"{module}.{getattr(thing, '__name__', '')}" for module in (*FUNCTIONS_OF, "builtins")):
        if _function_named(path) is thing:
            return path
    return None


def _function_named(path: str) -> Any:
    """Return what a name stands for, None if it is not one that an attribute may have."""
    module, _, name = path.rpartition(".")
    if module == "numpy":
        found = getattr(np, name, None)
        is_number = isinstance(found, type) and issubclass(found, np.generic)
        return found if is_number or isinstance(found, np.ufunc) or name in OF_NUMPY else None
    if module not in FUNCTIONS_OF:
        return BUILT_IN.get(path)
    found = _public(module.removeprefix("sklearn."), name)
    return found if isinstance(found, types.FunctionType) else None


# -- estimators


def take_estimator(value: Any) -> list[Any]:
    """Return class, release, attributes, and the names of those attributes that are functions or classes."""
    name = _name_of(type(value))
    if name is None:
        raise CodecError(f"a {type(value).__name__} of scikit-learn cannot be kept; keep its attributes")
    if vars(value).get("memory") is not None:
        raise CodecError(f"a {type(value).__name__} with memory= cannot be kept: the files there are pickles")
    named = {key: _name_of_function(part) for key, part in vars(value).items() if callable(part)}
    named = {key: path for key, path in named.items() if path is not None}
    plain = {key: None if key in named else part for key, part in vars(value).items()}
    return [name, sklearn.__version__, plain, named]


def build_estimator(parts: list[Any]) -> Any:
    """Return an estimator; one that another release fitted brings scikit-learn's own warning."""
    name, release, state, named = parts
    require(type(name) is str and type(release) is str and type(state) is dict and type(named) is dict)
    cls = _class_named(name)
    functions = {key: _function_named(path) for key, path in named.items()}
    require(all(functions.values()) and state.get("memory") is None)
    made = cls.__new__(cls)
    made.__dict__.update(state | functions)
    sklearn_parts.require_fitting_trees(made)
    if hasattr(getattr(made, "_optimizer", None), "params"):  # of before 1.9, which change the network's own arrays
        made._optimizer.params = [*made.coefs_, *made.intercepts_]  # noqa: SLF001
    if release != sklearn.__version__:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=cls.__name__,
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=release,
            ),
            stacklevel=2,
        )
    return made


def build_bunch(parts: list[Any]) -> Any:
    """Return a Bunch, as the data sets are."""
    (items,) = parts
    require(type(items) is dict)
    made = Bunch()
    dict.update(made, items)
    return made


ESTIMATOR = LibraryKind("sklearn.estimator", take_estimator, build_estimator, raw_parts=False)
BUNCH = LibraryKind("sklearn.Bunch", lambda value: [dict(value)], build_bunch, raw_parts=False)
BY_NAME = {kind.name: kind for kind in (ESTIMATOR, BUNCH, *sklearn_parts.KINDS.values())}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of scikit-learn."""
    if kind := sklearn_parts.KINDS.get(cls):
        return kind
    return BUNCH if cls is Bunch else ESTIMATOR


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
