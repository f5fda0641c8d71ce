"""README and docs tell the truth: programs run, commands are those of the automation, lists are complete."""

import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import sqlitedict_kv
from sqlitedict_kv import Namespace, Store, TransactionNamespace, errors
from tests.support.exact import assert_same
from tests.support.programs import blocks, promised_output

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md")))
}
README = PAGES["README.md"]
OVERVIEW = PAGES["docs/reference/index.md"]
# tests/adapters/test_recipes.py and test_pages.py run these programs, each in a process of its own.
RUN_ELSEWHERE = {"docs/cookbook.md", *(name for name in PAGES if name.startswith("docs/frameworks/"))}
RUN_ELSEWHERE -= {"docs/frameworks/your-own.md"}  # it needs no framework


def anchors(page):
    """Return what a link to a heading of a page may name, as GitHub writes it."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(name, heading):
    """Return what stands under a heading of the second level of a page."""
    return PAGES[name].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def without_code(page):
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", page, flags=re.MULTILINE | re.DOTALL)


LINKS = sorted(
    {(name, link) for name, page in PAGES.items() for link in re.findall(r"\]\(([^):\s]+)\)", without_code(page))}
)


def test_the_first_program_has_twelve_lines_and_prints_what_it_says(tmp_path):
    program = blocks("python", README)[0]
    assert len([line for line in program.splitlines() if line]) == 12

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(sqlitedict_kv.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == promised_output(program)
    assert done.stderr == ""


WITH_PROGRAMS = sorted({name for name, page in PAGES.items() if blocks("python", page)} - RUN_ELSEWHERE)


def test_the_pages_that_teach_have_programs():
    assert {"README.md", "docs/guide/memoize.md", "docs/guide/asyncio.md"} <= set(WITH_PROGRAMS)
    guide = {name for name in PAGES if name.startswith("docs/guide/")} - {
        "docs/guide/index.md",
        "docs/guide/promises.md",
    }
    assert guide <= set(WITH_PROGRAMS)


def marks_of(page):
    return [pytest.mark.servers] if "+cluster://" in "".join(blocks("python", PAGES[page])) else []


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in WITH_PROGRAMS])
def test_all_programs_of_a_page_run_one_after_the_other_and_print_what_they_say(name, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    stores = []
    on_servers = "+cluster://" in "".join(blocks("python", PAGES[name]))
    cluster = request.getfixturevalue("shared_cluster").url if on_servers else None

    class Remembered(Store):
        """A store that the reader would leave open for as long as the page lasts."""

        def __init__(self, path=":memory:", *arguments, **options):
            if "://" in str(path):  # where the reader has servers, the test has its own
                path = f"{cluster}?{path.partition('?')[2]}&prefix=docs"
            super().__init__(path, *arguments, **options)
            stores.append(self)

    monkeypatch.setattr(sqlitedict_kv, "Store", Remembered)
    names = {"__name__": "app"}  # the module that the keys of memoized functions name
    programs = blocks("python", PAGES[name])
    try:
        for block in programs:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(block, name, "exec"), names)
            assert output.getvalue().splitlines() == promised_output(block), block
    finally:
        for store in stores:
            store.close()
    assert programs
    assert stores


LIBRARIES = {
    "numpy": "import numpy as np",
    "pandas": "import numpy as np, pandas as pd",
    "polars": "import polars as pl",
    "pyarrow": "import pyarrow as pa",
    "scipy": "from scipy import sparse",
    "scikit-learn": "from sklearn.linear_model import LinearRegression",
    "torch": "import torch",
    "Pillow": "from PIL import Image",
    "shapely": "import shapely",
}
EXAMPLES = dict(
    re.findall(r"^\| ([\w-]+) \| `([^`]+)` \|", section("docs/guide/values.md", "Library by library"), re.MULTILINE)
)


def test_the_page_of_values_has_an_example_of_each_library():
    assert list(EXAMPLES) == list(LIBRARIES)


@pytest.mark.frameworks
@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "torch" or find_spec("torch")])
def test_the_example_of_a_library_comes_back_as_it_was(library):
    names = {}
    exec(LIBRARIES[library], names)
    value = eval(EXAMPLES[library], names)
    with Store() as store:
        store.ns("n")["k"] = value
        assert_same(value, store.ns("n")["k"])


def test_a_codec_is_registered_in_three_lines():
    (block,) = [block for block in blocks("python", PAGES["docs/guide/values.md"]) if "Codec(" in block]
    lines = [line for line in block.splitlines() if line and not line.startswith(("from ", "print("))]
    assert len(lines) == 3


def test_the_two_commands_are_those_of_the_automation():
    (commands,) = blocks("sh", README)
    run, tests = commands.splitlines()
    automation = [line.strip() for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()]

    assert f"({run})" in automation
    install, test = tests.split(" && ")
    assert install in automation
    assert test.startswith("python -m pytest")
    assert any(line.startswith(test.replace("python -m", "python -m coverage run -m") + " |") for line in automation)


def test_the_workflow_runs_the_automation_on_every_system_and_release():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "bash .ci/run" in workflow
    for system in ("ubuntu-latest", "macos-latest", "windows-latest"):
        assert system in workflow
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for release in re.findall(r"Python :: (3\.\d+)", project):
        assert f'"{release}"' in workflow


def test_the_gate_waits_for_every_job_that_counts():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    jobs = set(re.findall(r"^  ([a-z-]+):(?: #.*)?$", workflow.partition("\njobs:\n")[2], re.MULTILINE))
    (needed,) = re.findall(r"needs: \[(.*)\]", workflow)
    assert set(needed.split(", ")) == jobs - {"all", "other-pythons"}
    assert f'= "{" ".join(["success"] * len(needed.split(", ")))}" ]' in workflow


def test_a_release_is_checked_attested_and_published_without_a_token():
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    for step in ("twine check --strict", "quickstart.py", "attest-build-provenance", "gh-action-pypi-publish"):
        assert step in workflow
    assert "mkdocs build --strict" in workflow
    assert "secrets." not in workflow
    assert "password" not in workflow


def test_the_tree_of_errors_is_that_of_the_code():
    (tree,) = [block for block in blocks("text", PAGES["docs/reference/errors.md"]) if block.startswith("KVError")]
    assert tree in inspect.cleandoc(errors.__doc__).replace("\n    ", "\n")
    for name, kind in vars(errors).items():
        if inspect.isclass(kind) and kind.__module__ == errors.__name__:
            assert name in tree


def test_every_verb_is_named():
    faces = [
        part for face in (Namespace, Store) for part in face.__mro__ if part.__module__.startswith("sqlitedict_kv.")
    ]
    verbs = {name for part in faces for name in vars(part) if not name.startswith("_")}
    unnamed = {verb for verb in verbs if not re.search(rf"\b{verb}\b", OVERVIEW)}
    # walk() is what the views are made of.
    assert unnamed <= {"walk"}
    assert all(re.search(rf"\b{verb}\b", OVERVIEW) for verb in vars(TransactionNamespace) if not verb.startswith("_"))


def test_every_option_of_a_store_is_named():
    unnamed = {option for option in inspect.signature(Store).parameters if f"{option}=" not in OVERVIEW}
    assert unnamed <= {"path"}


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 180


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_has_one_title(name):
    assert len(re.findall(r"^# ", without_code(PAGES[name]), re.MULTILINE)) == 1


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_in_plain_english(name):
    odd = re.compile(r"\b(anew|for ever|of late|whoever|whosoever|is none of|are none of)\b|, say[ ,.)]", re.IGNORECASE)
    assert [line for line in without_code(PAGES[name]).splitlines() if odd.search(line)] == []


@pytest.mark.parametrize(("name", "link"), LINKS)
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(name, link):
    path, _, anchor = link.partition("#")
    target = (ROOT / name).parent / path if path else ROOT / name
    assert target.is_file()
    assert not anchor or anchor in anchors(target.read_text(encoding="utf-8"))


def test_the_eight_questions_are_answered_with_files():
    table = PAGES["CONTRIBUTING.md"].partition("| question | answer |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()]
    assert len(rows) == 8
    for question, answer in rows:
        assert question.endswith("?")
        files = re.findall(r"\]\((sqlitedict_kv/[^)]+)\)", answer)
        assert files, f"{question} names no file"
        assert all((ROOT / file).is_file() for file in files)
        for name, file in re.findall(r"`([\w.]+)` in \[[^\]]+\]\(([^)]+)\)", answer):
            assert name.split(".")[-1] in (ROOT / file).read_text(encoding="utf-8"), f"{name} is not in {file}"


def test_the_architecture_names_each_part_of_the_package():
    package = ROOT / "sqlitedict_kv"
    parts = {path.relative_to(ROOT).as_posix() for path in package.glob("*.py")} - {"sqlitedict_kv/__init__.py"}
    parts |= {path.relative_to(ROOT).as_posix() for path in package.glob("*/__init__.py")}
    linked = set(re.findall(r"\]\(\.\./\.\./(sqlitedict_kv/[\w/]+\.py)\)", PAGES["docs/design/architecture.md"]))
    assert parts <= linked
