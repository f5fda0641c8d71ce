"""What is done to a store while faults happen, and what the store must hold after each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from sqlitedict_kv import Store

NAMESPACES = ("a", "b")
SIZES = (0, 0, 10, 100, 1000, 5000)  # of values; the last one needs pages of its own
KEYS = 20  # of a namespace

Key = tuple[str, str]
Content = frozenset[tuple[Key, tuple[int, int]]]  # by namespace and key, the number and the length of each value
Step = tuple[str, list[tuple[str, str, int, int]]]  # the verb; namespace, key, number, length of what it writes

WEIGHTS = {
    "set": 40,
    "set_many": 8,
    "atomic": 20,
    "delete": 15,
    "clear": 2,
    "sync": 5,
    "vacuum": 1,
    "reopen": 2,
    "backup": 1,
}


def steps_of(
    seed: int, count: int, weights: dict[str, int] = WEIGHTS, sizes: Sequence[int] = SIZES, keys_of_each: int = KEYS
) -> list[Step]:
    """Return what one writer does; the number of a step is in all that it writes."""
    random = Random(seed)
    steps: list[Step] = []
    for number in range(1, count + 1):
        (verb,) = random.choices(list(weights), list(weights.values()))
        many = random.randint(2, min(12, keys_of_each)) if verb in ("set_many", "atomic") else 1
        keys = random.sample(range(keys_of_each), many)
        namespace = random.choice(NAMESPACES)
        steps.append((verb, [(namespace, f"k{key}", number, random.choice(sizes)) for key in keys]))
    return steps


def after(content: Content, step: Step) -> Content:
    """Return what a store with that content holds after a step."""
    verb, writes = step
    now = dict(content)
    if verb in ("set", "set_many", "atomic"):
        now |= {(namespace, key): (number, length) for namespace, key, number, length in writes}
    if verb in ("atomic", "delete"):  # the first one goes
        now.pop(writes[0][:2], None)
    if verb == "clear":
        now = {key: value for key, value in now.items() if key[0] != writes[0][0]}
    return frozenset(now.items())


def states_of(steps: list[Step]) -> list[Content]:
    """Return the content before the first step and after each."""
    states: list[Content] = [frozenset()]
    for step in steps:
        states.append(after(states[-1], step))
    return states


def value_of(number: int, length: int) -> list[object]:
    """Return a value that names its step."""
    return [number, str(number % 10) * length]


def do(store: Store, step: Step, value_of: Callable[[int, int], object] = value_of) -> None:
    """Take a step, unless it is one of those that need more than the store."""
    verb, writes = step
    namespace, key, number, length = writes[0]
    ns = store.ns(namespace)
    match verb:
        case "set":
            ns[key] = value_of(number, length)
        case "set_many":
            ns.set_many({name: value_of(number, size) for _, name, _, size in writes})
        case "atomic":
            with store.atomic() as transaction:
                for _, name, _, size in writes:
                    transaction.ns(namespace)[name] = value_of(number, size)
                transaction.ns(namespace).delete(key)
        case "delete":
            ns.delete(key)
        case "clear":
            ns.clear()
        case "vacuum":
            store.vacuum()
        case "sync":
            store.sync()
        case _:
            raise ValueError(verb)


def content_of(store: Store) -> Content:
    """Return what a store holds."""
    return frozenset(
        ((name, key), (entry.value[0], len(entry.value[1])))
        for name in store.namespaces()
        for key, entry in store.ns(name).scan()
    )
