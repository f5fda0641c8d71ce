"""The options of a store, stated once, and checked before anything is touched."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, TypeVar, cast

from sqlitedict_kv import validation
from sqlitedict_kv.codecs.kinds import Kind
from sqlitedict_kv.codecs.registry import Codec, Codecs
from sqlitedict_kv.engines.address import scheme_of, split_address
from sqlitedict_kv.engines.registry import FILES, engine_of, specs_with_addresses
from sqlitedict_kv.engines.spec import EngineSpec
from sqlitedict_kv.errors import UnsupportedError

if TYPE_CHECKING:
    from cachetools import Cache

    from sqlitedict_kv.engines.registry import Client

    Policy = Callable[..., Cache[Any, Any]]

C = TypeVar("C", bound=type[Any])

MEMORY = ":memory:"
PREFIX = "kv"


class StoreOptions(TypedDict, total=False):
    """The keyword arguments of a store: of Store, AsyncStore, and the adapters that pass them on.

    Attributes:
        readonly: open an existing file and refuse every write; the file may be on a read-only medium.
        durability: what an acknowledged write survives. ``"process"``, the default: the kill of any process; a power
            cut may lose the last commits, in order, and never corrupts the file. ``"power"``: a power cut too. For a
            file only.
        timeout: seconds to wait while others hold the lock, or until a server answers; 10 by default.
        max_bytes: the size of the file at which entries are evicted: of those created longest ago the ones written
            longest ago. An int or text such as ``"1 GB"``; None is no limit. Not for servers.
        max_entries: the number of entries at which entries are evicted, in the same way; None is no limit.
        max_value_bytes: the size of the largest encoded value; 512 MiB by default, which is also the most of one that
            is not in a file of its own. By default those have no limit.
        files_above: the size from which on a value is kept in a file of its own, in a folder beside the database
            (``app.db-values`` beside ``app.db``), as an int or text, ``"8 MiB"`` by default and 64 KiB at least. None
            keeps everything in the one file. For a file only.
        lru_bytes: the memory for values that were read before, as an int or text such as ``"64 MB"``; None is none.
            In front of a file it is never older than the last commit of any process, in front of servers no older
            than *lru_staleness*.
        lru_policy: what decides which values the LRU evicts: a class of cachetools such as ``cachetools.LFUCache``, or
            any ``function(maxsize, getsizeof)`` that returns a ``cachetools.Cache``, called with both by name:
            ``functools.partial(cachetools.TTLCache, ttl=60)``. Its keys are pairs of namespace and key. None, the
            default, is CLOCK, which is the fastest. It needs *lru_bytes*.
        codecs: further codecs, asked before the built-in ones.
        types: the classes whose objects may be kept, and made from what is stored: dataclasses, attrs classes,
            pydantic models, named tuples, enums, ``msgspec.Struct``; or a :class:`Kind` for any other class. Anybody
            who can write to the store chooses the fields of such an object; its constructor does not run.
        clock: returns the Unix time in seconds; ``time.time`` by default. Several threads call it.
        allow_unsafe_filesystem: open a file on a network or virtual file system all the same. For a file only.
        on_corrupt: what to do with a damaged file that nobody else has open. ``"raise"``, the default: raise an error.
            ``"quarantine"``: move it aside and continue with a new one that has every entry that can be read and
            matches its checksum. :attr:`Store.quarantined` and a warning say what was done. It reads every page, so a
            large file takes longer to open. For a file only.
        prefix: the beginning of all keys of the store on the servers, ``"kv"`` by default; stores with different
            prefixes do not meet.
        confirm: how many replicas must have a write before it is acknowledged. On servers only.
        lru_staleness: seconds for which the LRU may still return a value that was overwritten on the servers. With
            servers that do not send invalidations, each value is kept for that long. None is 1 second, and no LRU
            with servers that do not send them. On servers only.
    """

    readonly: bool
    durability: Literal["process", "power"]
    timeout: float
    max_bytes: int | str | None
    max_entries: int | None
    max_value_bytes: int | str
    files_above: int | str | None
    lru_bytes: int | str | None
    lru_policy: Policy | None
    codecs: Sequence[Codec]
    types: Sequence[type | Kind]
    clock: Callable[[], float]
    allow_unsafe_filesystem: bool
    on_corrupt: Literal["raise", "quarantine"]
    prefix: str
    confirm: int
    lru_staleness: float | None


DEFAULTS: StoreOptions = {
    "readonly": False,
    "durability": "process",
    "timeout": 10.0,
    "max_bytes": None,
    "max_entries": None,
    "max_value_bytes": validation.MAX_VALUE_BYTES,
    "files_above": "8 MiB",
    "lru_bytes": None,
    "lru_policy": None,
    "codecs": (),
    "types": (),
    "clock": time.time,
    "allow_unsafe_filesystem": False,
    "on_corrupt": "raise",
    "prefix": PREFIX,
    "confirm": 0,
    "lru_staleness": None,
}


# Options that concern values and memory, whatever the engine.
OF_EVERY_STORE = frozenset({"clock", "codecs", "lru_bytes", "lru_policy", "max_value_bytes", "types"})


def with_store_options(store: C) -> C:
    """Let ``help()``, Shift-Tab and ``inspect.signature()`` show each option of a class that takes ``**options``."""
    shown = inspect.signature(store)
    parameters = [one for one in shown.parameters.values() if one.kind is not one.VAR_KEYWORD]
    for name, kind in StoreOptions.__annotations__.items():
        default = cast("dict[str, object]", DEFAULTS)[name]
        annotation = getattr(kind, "__forward_arg__", kind)
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )
    store.__signature__ = shown.replace(parameters=parameters, return_annotation=None)
    described = inspect.getdoc(StoreOptions)  # None with python -OO
    if described:
        store.__init__.__doc__ = (inspect.getdoc(store.__init__) or "").replace(
            "**options: those of :class:`StoreOptions`.", described.partition("Attributes:\n")[2].strip()
        )
    return store


def refuse_unknown_options(given: Mapping[str, object], known: Mapping[str, object], function: str) -> None:
    """Raise TypeError for the first name that is not an option, in Python's words, with the nearest name."""
    for name in given:
        if name not in known:
            from difflib import get_close_matches  # noqa: PLC0415 - for a mistake only

            nearest = get_close_matches(name, known, 1)
            hint = f". Did you mean {nearest[0]!r}?" if nearest else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


class Settings(NamedTuple):
    """The options of a store, checked; sizes are numbers of bytes."""

    target: Any  # a path or ":memory:", an address or a client object
    engine: EngineSpec
    label: str  # what may be shown of the target
    engine_options: Mapping[str, Any]
    max_value_bytes: int  # in an entry itself
    max_file_bytes: int | None  # in a file of its own; None is no limit
    lru_bytes: int | None
    lru_policy: Policy | None
    codecs: Codecs
    clock: Callable[[], float]
    given: dict[str, Any]  # the keyword arguments as they were


def check_options(path: str | os.PathLike[str] | Client, given: StoreOptions, kind: str = "Store") -> Settings:
    """Return the options of a store, checked.

    Args:
        path: what the store is opened with.
        given: its keyword arguments.
        kind: the name of the class that got them, for messages.

    Raises:
        TypeError, ValueError: one is not as :class:`StoreOptions` describes it, or unknown.
        UnsupportedError: one is not for this kind of store.
    """
    refuse_unknown_options(given, DEFAULTS, f"{kind}.__init__")
    target, engine = _engine_of(path)
    options: dict[str, Any] = {**DEFAULTS, **given}
    if "files_above" not in given and target == MEMORY:
        options["files_above"] = None
    if isinstance(target, str) and engine is not FILES:
        target, carried = split_address(target, engine.address_options)
        options |= _read_address(engine, options, carried)
    for name, check in {**_options_of_others(engine, given), **engine.options}.items():
        if name in options:
            options[name] = check(options[name])
    max_bytes = options["max_bytes"]
    largest = _check_max_value_bytes(options["max_value_bytes"])
    largest = min(largest, max_bytes // 2) if max_bytes else largest
    files_above = options["files_above"] if "files_above" in engine.options else None
    # Without files a value is limited by what SQLite can keep; with files only by what was asked for.
    limit = None if files_above and not max_bytes and "max_value_bytes" not in given else largest
    settings = Settings(
        target=target,
        engine=engine,
        label=engine.label(target),
        engine_options={name: options[name] for name in engine.options if name in options},
        max_value_bytes=min(largest, files_above) if files_above else largest,
        max_file_bytes=limit,
        lru_bytes=validation.check_size(options["lru_bytes"], "lru_bytes", lowest=1),
        lru_policy=_check_policy(options["lru_policy"], options["lru_bytes"]),
        codecs=Codecs(
            validation.check_codecs(options["codecs"]),
            validation.check_types(options["types"]),
            limit,
            files_above=files_above,
        ),
        clock=validation.check_callable(options["clock"], "clock"),
        given=dict(given),
    )
    engine.check(target, settings.engine_options)
    _refuse_misfits(settings, options)
    return settings


def _engine_of(path: object) -> tuple[Any, EngineSpec]:
    """Return what is opened, and by which engine."""
    engine = engine_of(path)
    if engine is not None:
        return path, engine
    text = validation.check_path(path)
    if (engine := engine_of(text)) is None and scheme_of(text) is not None:
        raise ValueError(
            f"path must be that of a file or an address, and {scheme_of(text)}:// is neither; addresses begin with "
            f"{', '.join(f'{scheme}://' for spec in specs_with_addresses() for scheme in spec.schemes)}"
        )
    return text, engine or FILES


def _read_address(engine: EngineSpec, given: Mapping[str, Any], carried: Mapping[str, str]) -> dict[str, Any]:
    """Return the options that an address carries; *given* are those beside it."""
    defaults, found = cast("Mapping[str, Any]", DEFAULTS), {}
    for name, text in carried.items():
        if given.get(name) != defaults.get(name):
            raise ValueError(f"{name} is given twice, in the address and beside it; give it once")
        try:
            found[name] = engine.address_options[name](text)
        except ValueError:
            raise ValueError(f"{name} in the address must be a number") from None
    return found


def _check_max_value_bytes(size: Any) -> int:
    largest = validation.check_size(size, "max_value_bytes", lowest=1)
    if largest is None:
        raise TypeError("max_value_bytes must be a number of bytes, not None")
    if largest > validation.MAX_VALUE_BYTES:
        raise ValueError(f"max_value_bytes must be at most {validation.MAX_VALUE_BYTES}, not {largest}")
    return largest


def _check_policy(policy: object, lru_bytes: object) -> Policy | None:
    """Return what makes the caches of an LRU, or None."""
    if policy is None:
        return None
    if lru_bytes is None:
        raise ValueError("lru_policy needs lru_bytes; without an LRU there is nothing to evict")
    return validation.check_callable(policy, "lru_policy")


def _options_of_others(engine: EngineSpec, given: Iterable[str]) -> dict[str, Callable[[Any], Any]]:
    """Return the given options that are not for this engine, and how those that take them check them."""
    strange = [name for name in given if name not in engine.options and name not in OF_EVERY_STORE]
    others = (FILES, *specs_with_addresses()) if strange else ()  # mostly none, and nothing is imported
    return {name: spec.options[name] for name in strange for spec in others if name in spec.options}


def _refuse_misfits(settings: Settings, options: Mapping[str, Any]) -> None:
    """Raise for an option that the engine does not take; to ignore one would be a promise that is not kept."""
    engine, defaults = settings.engine, cast("Mapping[str, Any]", DEFAULTS)
    for name in DEFAULTS:
        if name not in engine.options and name not in OF_EVERY_STORE and options[name] != defaults[name]:
            why = engine.refusals.get(name, "its engine does not take it; leave it out")
            raise UnsupportedError(f"{name} is not for {settings.label}: {why}")
    if options["lru_staleness"] is not None and options["lru_bytes"] is None:
        raise ValueError("lru_staleness needs lru_bytes; without an LRU nothing is stale")


def address_to_pickle(settings: Settings) -> tuple[str | None, str | None]:
    """Return the address by which another process opens a store; or None, and why there is none."""
    target = settings.target
    if not isinstance(target, str):
        return None, f"a store over a client object cannot be pickled ({settings.label}); open it by its address"
    if target == MEMORY:
        return None, "a store in memory cannot be pickled, as another process would not see it; give it a path"
    if settings.engine is FILES:
        return os.path.abspath(target), None
    from urllib.parse import urlsplit  # noqa: PLC0415 - for servers alone

    parts = urlsplit(target)
    if parts.password or "password" in parts.query:
        return None, (
            f"a store with a password in its address cannot be pickled ({settings.label}), as the password would lie "
            f"in the pickle; let each process open the store by itself"
        )
    return target, None
