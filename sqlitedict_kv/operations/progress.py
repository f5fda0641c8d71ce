"""Progress of a verb that takes long: a bar in a notebook or on a terminal, or a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

Report = Callable[[int, int | None], object]  # takes how much is done, and how much there is; None is not known
Progress = bool | Report

PARTS_PER_REPORT = 1000


@contextmanager
def report(progress: Progress | None, title: str) -> Iterator[Report]:
    """Give a function that takes how much is done and how much there is; it does nothing where nobody asked.

    Args:
        progress: False or None is nobody; True is a bar, of tqdm or else of rich; or a function.
        title: what the bar is of.

    Raises:
        TypeError: *progress* is something else.
        ImportError: there is to be a bar, and neither library is installed.
    """
    if progress is None or progress is False:
        yield ignore
    elif progress is True:
        with _bar(title) as tell:
            yield tell
    elif callable(progress):
        yield progress
    else:
        raise TypeError(f"progress must be a bool or a function of (done, total), not {type(progress).__name__}")


def counted(parts: Iterable[T], advance: Callable[[int], object]) -> Iterator[T]:
    """Yield *parts*, and report how many were taken, now and then."""
    for done, part in enumerate(parts, 1):
        yield part
        if done % PARTS_PER_REPORT == 0:
            advance(done)


def ignore(_done: int, _total: int | None) -> None:
    """Report to nobody."""


def _bar(title: str) -> Any:
    import importlib.util  # noqa: PLC0415 - for bars alone

    if importlib.util.find_spec("tqdm") is not None:
        return _bar_of_tqdm(title)
    if importlib.util.find_spec("rich") is not None:
        return bar_of_rich(title)
    raise ImportError(
        "progress=True needs tqdm or rich, and neither is installed: pip install tqdm; "
        "or pass a function that takes (done, total)"
    )


@contextmanager
def _bar_of_tqdm(title: str) -> Iterator[Report]:
    import importlib.util  # noqa: PLC0415 - for bars alone

    # Without ipywidgets tqdm.auto warns in a notebook, where its bar of text works too.
    if importlib.util.find_spec("ipywidgets") is not None:
        from tqdm.auto import tqdm  # noqa: PLC0415 - optional
    else:
        from tqdm.std import tqdm  # noqa: PLC0415 - optional

    with tqdm(desc=title, unit_scale=True) as bar:

        def tell(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield tell


@contextmanager
def bar_of_rich(title: str, **options: Any) -> Iterator[Report]:
    """Give a function that moves a bar of rich, made with *options*."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, **options) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
