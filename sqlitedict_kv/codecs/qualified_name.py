"""Lasting names of classes and functions: the same in every process and run, for scripts too."""

from __future__ import annotations

import os
import sys
from types import FunctionType, ModuleType
from typing import Any

MAIN = ("__main__", "__mp_main__")  # how a script is called, in its own process and in one that it spawns


def qualified_name(thing: Any, made_in: Any = None) -> str:
    """Return ``module.qualname`` of a class or a function, with a lasting name for the module of a script.

    Of what wraps a function of a script in another module, *made_in* is that function.
    """
    module = thing.__module__
    return f"{_script_name(made_in or thing) if module in MAIN else module}.{thing.__qualname__}"


def is_of_main(thing: Any) -> bool:
    """Return whether a function is of a script, a notebook or a shell; ``python -m`` runs a module."""
    return getattr(thing, "__module__", None) in MAIN and _module_run(_home(thing)) is None


def _script_name(thing: Any) -> str:
    """Return a name made of the path of a script, for each process calls its module otherwise."""
    home = _home(thing)
    name = _module_run(home)
    if name is not None:
        return name
    path = _existing(home.get("__file__"))
    if path is None:
        return "__main__"  # a notebook or a shell
    directory, base = os.path.split(path)
    from hashlib import blake2b  # noqa: PLC0415 - few functions are of a script, and it takes long to import

    place = blake2b(os.fsencode(directory), digest_size=4).hexdigest()
    return f"{os.path.splitext(base)[0]}-{place}"


def _module_run(home: dict[str, Any]) -> str | None:
    """Return the name of the module that ``python -m`` runs; a script run by a profiler has a spec without one."""
    spec = home.get("__spec__")
    return None if spec is None or spec.name in MAIN else str(spec.name)


def _existing(file: object) -> str | None:
    """Return the path of a script; of one in a zipped application, which is no file, that of the application."""
    if not isinstance(file, str):
        return None
    path = os.path.abspath(file)
    return next((found for found in (path, os.path.dirname(path)) if os.path.isfile(found)), None)


def _home(thing: Any) -> dict[str, Any]:
    """Return the globals in which a function or a class was made.

    They are not always those of ``sys.modules["__main__"]``: before Python 3.12, that is cProfile itself while it runs
    a script.
    """
    own: dict[str, Any] | None = getattr(thing, "__globals__", None)
    if own is not None:
        return own
    main = vars(sys.modules.get(thing.__module__, ModuleType(thing.__module__)))
    methods = vars(thing).values() if isinstance(thing, type) else ()
    made_in = (method.__globals__ for method in methods if isinstance(method, FunctionType))
    return next((home for home in made_in if home is not main and home.get("__name__") in MAIN), main)
