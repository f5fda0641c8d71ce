"""The frameworks' own tests: their source distributions, downloaded once, and what they say of our adapters.

None of it is copied into the repository. Where a distribution cannot be had, its tests skip and say why.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

import sqlitedict_kv

REPOSITORY = Path(__file__).parents[2]
PACKAGE_PARENT = str(Path(sqlitedict_kv.__file__).resolve().parents[1])
CACHE = "SUITES_CACHE"  # names the directory that keeps the sources; left out, pytest's own cache
REPORT = "SUITES_REPORT"  # names a file that gets a line of JSON for each suite that was run
PATIENCE = 400.0  # seconds for a download, or a suite


class Counts(NamedTuple):
    """The outcome of a suite."""

    passed: int
    failed: int  # failures and errors
    skipped: int


def version_of(distribution: str) -> str:
    """Return the installed version of a distribution, or skip the test."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed: pip install -e '.[frameworks]'", allow_module_level=True)


def source_of(distribution: str, version: str) -> Path:
    """Return the directory of an unpacked source distribution, or skip the test where it cannot be downloaded."""
    cache = Path(os.environ.get(CACHE) or REPOSITORY / ".pytest_cache" / "suites")
    target = cache / f"{distribution}-{version}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as work:
        archive = _downloaded(distribution, version, Path(work))
        with tarfile.open(archive) as tar:
            tar.extractall(Path(work, "unpacked"), filter="data")
        (unpacked,) = Path(work, "unpacked").iterdir()
        try:
            unpacked.rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return target


def wheel_of(distribution: str, version: str) -> Path:
    """Return a directory with a release in it, without what it needs, or skip the test where it cannot be had."""
    cache = Path(os.environ.get(CACHE) or REPOSITORY / ".pytest_cache" / "suites")
    target = cache / f"{distribution}-{version}-installed"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as work:
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--target", f"{work}/installed"]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, f"{distribution}=={version}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip() or "pip does not say why").splitlines()[-1]
            pytest.skip(f"{distribution} {version} cannot be installed: {reason}")
        try:
            Path(work, "installed").rename(target)
        except OSError:  # another process was faster
            if not target.is_dir():
                raise
    return target


def _downloaded(distribution: str, version: str, directory: Path) -> Path:
    # Not `--no-binary :all:`, which would hold for what is needed to build it, too.
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-binary", distribution]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", directory, f"{distribution}=={version}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    archives = list(directory.glob("*.tar.gz"))
    if done.returncode != 0 or not archives:
        reason = (done.stderr.strip() or "no .tar.gz came").splitlines()[-1]
        pytest.skip(f"the source distribution of {distribution} {version} cannot be downloaded: {reason}")
    return archives[0]


def run_pytest(
    *arguments: object,
    directory: Path,
    path: tuple[object, ...] = (),
    coroutines: bool = False,
    **variables: object,
) -> Counts:
    """Run pytest in a process of its own and return the outcome.

    Args:
        arguments: of pytest.
        directory: the working directory, which also gets the log: ``suite.log``.
        path: directories in which modules are found, before the package under test.
        coroutines: whether pytest-asyncio runs the tests that are coroutines; others fail of its warnings.
        variables: of the environment.
    """
    plugins = [] if coroutines else ["-p", "no:asyncio"]
    results = directory / "suite.xml"
    run_logged(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugins, f"--junitxml={results}", *arguments],
        directory=directory,
        path=path,
        **variables,
    )
    assert results.exists(), Path(directory, "suite.log").read_text(encoding="utf-8")
    (suite,) = ElementTree.parse(results).getroot()
    number = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    return Counts(number["tests"] - failed - number["skipped"], failed, number["skipped"])


def run_logged(command: list[object], *, directory: Path, path: tuple[object, ...] = (), **variables: object) -> str:
    """Run a command, whatever its exit code, and return what it printed, which ``suite.log`` gets too."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (*path, PACKAGE_PARENT))), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        list(map(str, command)),
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    Path(directory, "suite.log").write_text(done.stdout, encoding="utf-8")
    return done.stdout


def failures_in(log: str) -> list[str]:
    """Return the names that pytest's short summary gives as failed."""
    return re.findall(r"^(?:FAILED|ERROR) (\S+)", log, re.MULTILINE)


def report(framework: str, version: str, counts: Counts) -> None:
    """Print the outcome of a suite, and add it to the file that the environment names."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    line = {"framework": framework, "version": version, "python": python, **counts._asdict()}
    outcome = f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped"
    print(f"{framework} {version}: {outcome}")  # noqa: T201 # seen with pytest -s
    if os.environ.get(REPORT):
        with open(os.environ[REPORT], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
