"""The options of a store, stated once, and checked before anything is touched."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, TypeVar, cast

from sqlitedict_kv import validation
from sqlitedict_kv.codecs.registry import Codec, Codecs
from sqlitedict_kv.engines.address import SCHEMES, is_client, names_servers, parted, scheme_of
from sqlitedict_kv.errors import UnsupportedError
from sqlitedict_kv.validation import checked_optional_int

if TYPE_CHECKING:
    from cachetools import Cache

    from sqlitedict_kv.engines.address import Client

    Policy = Callable[..., Cache[Any, Any]]

T = TypeVar("T")
C = TypeVar("C", bound=type[Any])

MEMORY = ":memory:"
PREFIX = "kv"
PREFIX_FORM = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # no brace: what is in braces decides where a cluster keeps a key
MAX_CONFIRM = 100  # replicas
LONGEST_TIMEOUT = 600.0  # seconds; SESSION_SECONDS of the servers' scripts is no less


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
        max_value_bytes: the size of the largest encoded value; 512 MiB by default, which is also the most.
        lru_bytes: the memory for values that were read before, as an int or text such as ``"64 MB"``; None is none.
            In front of a file it is never older than the last commit of any process, in front of servers no older
            than *lru_staleness*.
        lru_policy: what decides which values the LRU evicts: a class of cachetools such as ``cachetools.LFUCache``, or
            any ``function(maxsize, getsizeof)`` that returns a ``cachetools.Cache``, called with both by name:
            ``functools.partial(cachetools.TTLCache, ttl=60)``. Its keys are pairs of namespace and key. None, the
            default, is CLOCK, which is the fastest. It needs *lru_bytes*.
        codecs: further codecs, asked before the built-in ones.
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
    lru_bytes: int | str | None
    lru_policy: Policy | None
    codecs: Sequence[Codec]
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
    "lru_bytes": None,
    "lru_policy": None,
    "codecs": (),
    "clock": time.time,
    "allow_unsafe_filesystem": False,
    "on_corrupt": "raise",
    "prefix": PREFIX,
    "confirm": 0,
    "lru_staleness": None,
}


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


# Options by what they do where nothing is said, and why others are refused.
OF_FILES: Mapping[str, tuple[object, str]] = {
    "durability": (
        "process",
        "servers do as they are configured, by appendonly and appendfsync; confirm=1 lets a write wait for a replica",
    ),
    "max_bytes": (None, "servers limit memory by maxmemory and maxmemory-policy; give entries a ttl"),
    "max_entries": (None, "servers limit memory by maxmemory and maxmemory-policy; give entries a ttl"),
    "allow_unsafe_filesystem": (False, "servers have no file here; leave it out"),
    "on_corrupt": ("raise", "servers have no file here to put aside; leave it out"),
}
OF_SERVERS: Mapping[str, tuple[object, str]] = {
    "prefix": (PREFIX, "a file is a store of its own; take another file, or other namespaces"),
    "confirm": (0, "a file has no replicas; durability='power' lets writes survive a power cut"),
    "lru_staleness": (None, "the LRU in front of a file is never stale; leave it out"),
}
# Options that the address of servers may carry, so that a program moves to servers by what it opens alone: what each is
# where nothing is said, and how it is read.
IN_ADDRESS: Mapping[str, tuple[object, Callable[[str], object]]] = {
    "confirm": (0, int),
    "lru_bytes": (None, str),
    "lru_staleness": (None, float),
    "prefix": (PREFIX, str),
    "timeout": (10.0, float),
}


class Settings(NamedTuple):
    """The options of :class:`sqlitedict_kv.Store`, where the sizes are numbers of bytes."""

    target: str | Client  # a path or ":memory:"; with *served*, an address or a client object
    served: bool  # whether servers keep it
    label: str  # what may be shown of the target
    readonly: bool
    durability: Literal["process", "power"]
    timeout: float  # seconds
    max_bytes: int | None
    max_entries: int | None
    max_value_bytes: int
    lru_bytes: int | None
    lru_policy: Policy | None
    codecs: Codecs
    clock: Callable[[], float]
    allow_unsafe_filesystem: bool
    on_corrupt: Literal["raise", "quarantine"]
    prefix: str
    confirm: int  # replicas
    lru_staleness: float | None  # seconds


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
    options: StoreOptions = {**DEFAULTS, **given}
    target = _checked_target(path)
    served = names_servers(target)
    if served and isinstance(target, str):
        target, told = parted(target, IN_ADDRESS)
        options = {**options, **_read_address(options, told)}
    checked_readonly = validation.checked_bool(options["readonly"], "readonly")
    if checked_readonly and target == MEMORY:
        raise ValueError("readonly=True needs the path of a file; memory would stay empty")
    validation.checked_choice(options["on_corrupt"], "on_corrupt", ("raise", "quarantine"))
    if checked_readonly and options["on_corrupt"] == "quarantine":
        raise ValueError("on_corrupt='quarantine' needs to write; open without readonly=True")
    largest = validation.checked_size(options["max_value_bytes"], "max_value_bytes", lowest=1)
    limit = validation.checked_size(options["max_bytes"], "max_bytes", lowest=validation.MIN_MAX_BYTES)
    if largest is None:
        raise TypeError("max_value_bytes must be a number of bytes, not None")
    if largest > validation.MAX_VALUE_BYTES:
        raise ValueError(f"max_value_bytes must be at most {validation.MAX_VALUE_BYTES}, not {largest}")
    settings = Settings(
        target=target,
        served=served,
        label=_label_of(target) if served else str(target),
        readonly=checked_readonly,
        lru_bytes=validation.checked_size(options["lru_bytes"], "lru_bytes", lowest=1),
        lru_policy=_checked_policy(options["lru_policy"], options["lru_bytes"]),
        durability=validation.checked_choice(options["durability"], "durability", ("process", "power")),
        codecs=Codecs(validation.checked_codecs(options["codecs"]), min(largest, limit // 2) if limit else largest),
        clock=validation.checked_callable(options["clock"], "clock"),
        timeout=validation.checked_timeout(options["timeout"]),
        max_bytes=limit,
        max_entries=checked_optional_int(options["max_entries"], "max_entries", lowest=1),
        max_value_bytes=min(largest, limit // 2) if limit else largest,
        allow_unsafe_filesystem=validation.checked_bool(options["allow_unsafe_filesystem"], "allow_unsafe_filesystem"),
        on_corrupt=options["on_corrupt"],
        prefix=_checked_prefix(options["prefix"]),
        confirm=validation.checked_int(options["confirm"], "confirm", lowest=0, highest=MAX_CONFIRM),
        lru_staleness=_checked_staleness(options["lru_staleness"]),
    )
    _refuse_misfits(settings)
    return settings


def _checked_target(path: object) -> str | Client:
    """Return the text of a path or an address, or a client object."""
    if is_client(path):
        return cast("Client", path)
    kind = type(path)
    if kind.__module__.partition(".")[0] in ("redis", "valkey"):  # of asyncio, say; checked_path would ask for a path
        raise TypeError(
            f"path must be the address of servers, a redis.Redis or a redis.RedisCluster, "
            f"not a {kind.__module__}.{kind.__qualname__}; an AsyncStore takes those too"
        )
    text = validation.checked_path(path)
    if scheme_of(text) not in (None, *SCHEMES):
        raise ValueError(
            f"path must be that of a file or an address, and {scheme_of(text)}:// is neither; addresses begin with "
            f"{', '.join(f'{scheme}://' for scheme in SCHEMES)}"
        )
    return text


def _label_of(target: str | Client) -> str:
    """Return what may be shown of servers; raise ValueError for an address that is not well-formed."""
    if not isinstance(target, str):
        return f"<{type(target).__name__}>"
    from sqlitedict_kv.engines.valkey.client.url import parsed  # noqa: PLC0415 - whoever keeps a file does without

    return parsed(target).label


def _read_address(given: StoreOptions, told: Mapping[str, str]) -> StoreOptions:
    """Return the options that an address carries; *given* are those beside it."""
    found: dict[str, object] = {}
    for name, text in told.items():
        default, read = IN_ADDRESS[name]
        if cast("dict[str, object]", given)[name] != default:
            raise ValueError(f"{name} is given twice, in the address and beside it; give it once")
        try:
            found[name] = read(text)
        except ValueError:
            raise ValueError(f"{name} in the address must be a number") from None
    return cast("StoreOptions", found)


def _checked_policy(policy: object, lru_bytes: object) -> Policy | None:
    """Return what makes the caches of an LRU, or None."""
    if policy is None:
        return None
    if lru_bytes is None:
        raise ValueError("lru_policy needs lru_bytes; without an LRU there is nothing to evict")
    return validation.checked_callable(policy, "lru_policy")


def _checked_prefix(prefix: object) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix must be a str, not {type(prefix).__name__}")
    if not PREFIX_FORM.fullmatch(prefix):
        raise ValueError("prefix must be 1 to 64 of the characters A-Z a-z 0-9 _ . : -")
    return str.__str__(prefix)


def _checked_staleness(seconds: object) -> float | None:
    """Return a number of seconds of more than 0, or None."""
    if seconds is None:
        return None
    number = validation.checked_number(seconds, "lru_staleness")
    if not 0 < number <= validation.MAX_TTL:
        raise ValueError(
            f"lru_staleness must be more than 0 and at most {validation.MAX_TTL:.0f} seconds, "
            f"not {validation.shown(number)}; None is no stale value"
        )
    return float(number)


def _refuse_misfits(settings: Settings) -> None:
    """Raise for an option that the kind of store does not have; a silent one would be a promise that is not kept."""
    if settings.served and settings.timeout > LONGEST_TIMEOUT:
        raise ValueError(
            f"timeout must be at most {LONGEST_TIMEOUT:.0f} seconds on servers, which know so long what they executed"
        )
    if settings.lru_staleness is not None and settings.lru_bytes is None and settings.served:
        raise ValueError("lru_staleness needs lru_bytes; without an LRU nothing is stale")
    for name, (default, why) in (OF_FILES if settings.served else OF_SERVERS).items():
        if getattr(settings, name) != default:
            raise UnsupportedError(f"{name} is not for {settings.label}: {why}")
