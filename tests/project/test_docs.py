"""The documentation site: built without a warning, complete, and without the network."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import sqlitedict_kv

ROOT = Path(__file__).parents[2]
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in REFERENCE)
# Modules that say with __all__ which of their names are public.
PUBLIC_MODULES = [
    "sqlitedict_kv",
    "sqlitedict_kv.aio",
    "sqlitedict_kv.locks",
    "sqlitedict_kv.adapters.diskcache",
    "sqlitedict_kv.adapters.sqlitedict",
    "sqlitedict_kv.adapters.support",
]


def public_names():
    for module in PUBLIC_MODULES:
        yield from (f"{module}.{name}" for name in importlib.import_module(module).__all__ if name != "__version__")


def directives():
    """Return what the pages of the reference are generated from."""
    return set(re.findall(r"^::: (\S+)$", TEXT, re.MULTILINE))


def is_constant(name):
    return name.rpartition(".")[2].isupper()


def thing(name):
    module, _, short = name.rpartition(".")
    return getattr(importlib.import_module(module), short)


def is_named(name, named):
    """Return whether a page is generated from a name, its module, or another name of the same thing."""
    module, _, short = name.rpartition(".")
    of_frameworks = "sqlitedict_kv.adapters."
    same = {other for other in named if other.endswith(f".{short}")}
    same = {other for other in same if not other.startswith(of_frameworks) or other.startswith(module)}
    return name in named or module in named or any(thing(other) is thing(name) for other in same)


@pytest.mark.parametrize("name", sorted(public_names()))
def test_a_public_name_is_in_the_reference(name):
    assert is_named(name, directives()) or (is_constant(name) and f"`{name.rpartition('.')[2]}`" in TEXT)


def test_a_name_that_is_not_in_the_reference_is_noticed():
    assert not is_named("sqlitedict_kv.Store", directives() - {"sqlitedict_kv.Store"})


def test_every_adapter_is_in_the_reference():
    adapters = ROOT / "sqlitedict_kv" / "adapters"
    modules = {path.stem for path in adapters.glob("[a-z]*")}
    named = {match[1] for name in directives() if (match := re.match(r"sqlitedict_kv\.adapters\.(\w+)", name))}
    assert modules - {"__pycache__"} == named


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("**/*.md")}
    assert sorted(listed) == sorted(pages)


def test_the_title_of_a_page_is_that_of_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    for title, name in re.findall(r"^ +- ([^:\n]+): (\S+\.md)$", navigation, re.MULTILINE):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert title == "Home" or page.startswith(f"# {title}\n"), f"{name} is not called {title}"


NEEDS_SITE = pytest.mark.slow  # it takes some seconds to build, and the extra `docs`


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as .ci/run does, where nothing can be fetched."""
    directory = tmp_path_factory.mktemp("site")
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", directory],
        cwd=ROOT,
        env={
            **os.environ,
            "NO_MKDOCS_2_WARNING": "1",
            "PYTHONPATH": str(Path(sqlitedict_kv.__file__).parents[1]),
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr  # with --quiet they would not count
    return directory


@NEEDS_SITE
def test_the_site_has_every_public_name(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    anchors = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    anchors |= {name.rpartition(".")[0] for name in anchors if re.search(r"(\.\w+)\1$", name)}  # a module's namesake
    assert {name for name in public_names() if name not in anchors and not is_constant(name)} == set()


@NEEDS_SITE
def test_the_site_has_every_method(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    anchors = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    classes = {kind for kind in map(thing, public_names()) if inspect.isclass(kind)}
    assert len(classes) > 50
    for kind in classes:
        named = {name for name in vars(kind) if not name.startswith("_")} - set(getattr(kind, "_fields", ()))
        named = {name for name in named if getattr(getattr(kind, name), "__name__", name) == name}  # no second names
        documented = {name for name in named if inspect.getdoc(getattr(kind, name)) and not is_constant(f".{name}")}
        assert {name for name in documented if f"{kind.__module__}.{kind.__qualname__}.{name}" not in anchors} == set()


@NEEDS_SITE
def test_the_site_has_every_option_of_memoize(site):
    page = (site / "reference" / "memoize" / "index.html").read_text("utf-8")
    for option in inspect.signature(sqlitedict_kv.Memoize.__call__).parameters:
        assert option == "self" or f"<code>{option}</code>" in page, option


@NEEDS_SITE
def test_the_site_asks_no_other_server(site):
    for page in site.glob("**/*.html"):
        fetched = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?://[^\" >]+)", page.read_text("utf-8"))
        assert fetched == [], page


@NEEDS_SITE
def test_the_site_shows_no_markup_of_another_language(site):
    for page in (site / "reference").glob("**/*.html"):
        text = re.sub(r"<[^>]+>", "", page.read_text("utf-8"))
        assert not re.search(r":(?:class|meth|func|attr|mod):|``", text), page
