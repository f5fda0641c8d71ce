"""Which function a result belongs to: names, closures and code; each in real scripts, modules and shells."""

import functools
import importlib
import linecache
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from types import FunctionType

import pytest

from sqlitedict_kv import Store
from sqlitedict_kv.memoization.call_key import CallKeys
from sqlitedict_kv.memoization.code_text import code_text, names_of
from sqlitedict_kv.memoization.digests import CODE_DIGEST_BYTES, digest_of
from tests.support.cells import run_cell, session
from tests.support.processes import environment


@pytest.fixture
def store(clock):
    """Return a store in memory: which function it is does not depend on where its results are."""
    with Store(clock=clock) as store:
        yield store


def digest(cell, name="f"):
    """Return the digest of the code of a function in a cell."""
    return digest_of(code_text(session(cell, module="app")[name].__code__), CODE_DIGEST_BYTES)


# -- closures


def test_inner_functions_share_results_only_if_what_they_close_over_is_equal(store):
    calls = []

    def make(factor):
        @store.memoize(ignore=("calls",))
        def scale(x):
            calls.append(x)
            return x * factor

        return scale

    assert (make(2)(10), make(3)(10), make(2)(10)) == (20, 30, 20)
    assert len(calls) == 2
    assert make(2).cache_key(10).endswith(".make.<locals>.scale(10; factor=2)")
    assert make(2).cache_identity() == {"closure": {"factor": "2"}}


def test_a_variable_that_is_bound_to_another_object_counts(store):
    factor = 2

    @store.memoize
    def scale(x):
        return x * factor

    assert scale(10) == 20
    factor = 3
    assert scale(10) == 30
    factor = 2
    assert scale(10) == 20
    assert scale.cache_info().computed == 2


def test_a_list_that_the_function_appends_to_counts_with_what_it_held_when_it_was_first_seen(store):
    calls = []

    @store.memoize
    def f(x):
        calls.append(x)
        return x

    assert f(1) == f(1) == f(2) - 1
    assert calls == [1, 2]


def test_a_variable_that_the_function_writes_is_an_output(store):
    n, m = 0, 0

    @store.memoize
    def f(x):
        nonlocal n
        n += 1

        def inner():
            nonlocal m
            m += 1

        inner()
        return x

    assert f(1) == f(1)
    assert n == m == 1
    assert f.cache_identity() == {"closure": {}}


def test_recursion_and_super_decide_nothing(store):
    @store.memoize
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    class Base:
        def name(self):
            return "base"

    class Child(Base):
        @store.memoize(ignore=("self",))
        def name(self):
            return super().name()

    assert factorial(5) == 120
    assert factorial.cache_identity() == Child.name.cache_identity() == {"closure": {}}
    assert Child().name() == "base"


def test_functions_that_call_each_other_have_an_end(store):
    @store.memoize
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    assert even(10)
    assert even.cache_key(1) == even.cache_key(1)


class Client:
    pass


def test_what_has_no_form_is_an_error_at_the_first_call_that_says_what_to_do(store):
    client = Client()

    def fetch(x):
        return client and x

    with pytest.raises(
        TypeError,
        match=r"test_\w+\.<locals>\.fetch closes over 'client', a test_identity\.Client, which cannot be part of a "
        r"cache key; leave it out with memoize\(ignore=\('client',\)\), or pass it as an argument",
    ):
        store.memoize(fetch)(1)
    assert store.memoize(ignore=("client",))(fetch)(1) == 1


def test_a_function_that_is_closed_over_counts_with_its_own_code_and_closures(store):
    def make(function, factor):
        def helper(x):
            return function(x) * factor

        @store.memoize
        def f(x):
            return helper(x)

        return f

    assert make(lambda x: x + 1, 2)(1) == 4
    assert make(lambda x: x + 2, 2)(1) == 6
    assert make(lambda x: x + 2, 3)(1) == 9
    assert make(lambda x: x + 2, 3).cache_info().computed == 0
    client = Client()

    def helper():
        return client

    with pytest.raises(
        TypeError, match=r"closes over 'helper', a function, and .*helper closes over 'client', a .*Client"
    ):
        store.memoize(lambda: (helper,), name="f")()


def test_a_memoized_function_that_is_closed_over_counts_with_its_closures(store):
    def make(factor):
        @store.memoize
        def inner(x):
            return x * factor

        @store.memoize
        def outer(x):
            return inner(x) + 1

        return outer

    assert (make(2)(10), make(3)(10)) == (21, 31)


def factory(n):
    """Return two classes that depend on *n*."""

    class Scaled:
        factor = 10

        def times(self, x):
            return x * n * self.factor

        def again(self):
            return Scaled()

    @dataclass
    class Point:
        x: int

        def far(self):
            return self.x * n

    return Scaled, Point


def test_classes_of_a_factory_are_told_apart_by_what_they_close_over(store):
    scaled = [factory(n)[0] for n in (1, 2, 1)]

    @store.memoize()
    def by_argument(cls):
        return cls().times(1)

    def closing_over(cls):
        @store.memoize(name="inner")
        def inner(x):
            return cls().times(x)

        return inner

    assert [by_argument(cls) for cls in scaled] == [10, 20, 10]
    assert [closing_over(cls)(1) for cls in scaled] == [10, 20, 10]
    assert by_argument.cache_info().computed == 2


def test_objects_of_classes_of_a_factory_are_told_apart(store):
    @store.memoize()
    def far(point):
        return point.far()

    points = [factory(n)[1](5) for n in (1, 2, 1)]
    assert [far(point) for point in points] == [5, 10, 5]
    assert far.cache_info().computed == 2


def test_a_class_of_a_factory_that_closes_over_what_has_no_form_is_an_error(store):
    client = Client()

    class Fetcher:
        def fetch(self):
            return client

    @store.memoize()
    def use(cls):
        return cls.__name__

    with pytest.raises(TypeError, match="closes over 'client'"):
        use(Fetcher)


def test_stores_loggers_and_locks_decide_nothing(store):
    import logging
    import threading

    users, logger, lock = store.ns("users"), logging.getLogger("test"), threading.Lock()

    @store.memoize
    def f(x):
        with lock:
            logger.debug("%s", users)
        return x

    assert f(1) == 1
    assert f.cache_identity() == {"closure": {}}


def test_a_variable_that_is_not_bound_yet_is_looked_at_again(store):
    @store.memoize
    def f(x):
        return x * late if x else 0

    assert f(0) == 0
    late = 2
    assert f(10) == 20
    late = 3
    assert f(10) == 30


# -- what is called


def test_arguments_are_bound_to_the_signature_of_what_is_called(store):
    def decorator(function):
        @functools.wraps(function)
        def wrapper(x, y=5):
            return function(x, y)

        return wrapper

    @store.memoize
    @decorator
    def add(x, y=1):
        return x + y

    assert (add(1), add(1, 1)) == (6, 2)


def test_a_wrapper_that_takes_anything_passes_it_on(store):
    def decorator(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    @store.memoize
    @decorator
    def add(x, y=1):
        return x + y

    assert add.cache_key(1) == add.cache_key(x=1, y=1)
    assert add(1) == 2


def test_wrappers_of_the_own_module_count_with_what_they_close_over_and_others_do_not(store):
    def times(factor):
        def decorator(function):
            @functools.wraps(function)
            def wrapper(*args):
                return function(*args) * factor

            return wrapper

        return decorator

    def base(x):
        return x

    assert [store.memoize(times(factor)(base))(10) for factor in (2, 3)] == [20, 30]
    assert "=" not in store.memoize(functools.lru_cache(base)).cache_key(10)


@dataclass(frozen=True)
class Site:
    base: str

    def get(self, path):
        return self.base + path

    def __call__(self, path):
        return f"called {self.base}{path}"

    @classmethod
    def named(cls, x):
        return f"{cls.__name__} {x}"


class SubSite(Site):
    pass


class Plain:
    def get(self, path):
        return path


def test_the_object_of_a_bound_method_is_an_argument(store):
    memoize = store.memoize
    assert [memoize(Site(base).get)("/me") for base in ("prod", "test")] == ["prod/me", "test/me"]
    assert [memoize(Site(base))("/me") for base in ("prod", "test")] == ["called prod/me", "called test/me"]
    assert [memoize(Site(base).__call__)("!") for base in ("prod", "test")] == ["called prod!", "called test!"]
    assert [memoize(kind.named)(1) for kind in (Site, SubSite)] == ["Site 1", "SubSite 1"]
    assert [memoize(re.compile(pattern).findall)("abab") for pattern in "ab"] == [["a", "a"], ["b", "b"]]
    assert [memoize(text.upper)() for text in "ab"] == ["A", "B"]
    assert memoize(Site("prod").get).cache_key("/me") == memoize(Site.get).cache_key(Site("prod"), "/me")
    with pytest.raises(TypeError, match=r"argument 'self' of .*Plain\.get cannot be a part .*ignore=\('self',\)"):
        memoize(Plain().get)("/me")
    assert memoize(ignore=("self",))(Plain().get)("/me") == "/me"


def test_the_object_counts_beside_a_key_function_that_does_not_see_it(store):
    memoize = store.memoize(key=lambda path: path.lower())
    assert [memoize(Site(base).get)("/ME") for base in ("prod", "test")] == ["prod/ME", "test/ME"]


def test_a_partial_is_its_function_with_those_arguments(store):
    def base(x, y, z=3):
        return x, y, z

    partial = functools.partial
    bound = store.memoize(partial(base, 2, z=4))
    assert bound(3) == (2, 3, 4)
    assert bound.cache_key(3) == store.memoize(base).cache_key(2, 3, 4)
    assert store.memoize(partial(partial(base, 1), 2))() == (1, 2, 3)
    assert store.memoize(partial(Site("a").get, "/x"))() == "a/x"


def test_a_function_in_c_without_a_signature_needs_a_key(store):
    with pytest.raises(ValueError, match=r"max does not say what its parameters are; say .* memoize\(key=lambda"):
        store.memoize(max)
    assert store.memoize(key=lambda *numbers: numbers)(max)(1, 3) == 3
    assert store.memoize(abs)(-1) == 1
    with pytest.raises(ValueError, match="its code cannot be read; say version="):
        store.memoize(code=True)(abs)


def test_without_brackets_it_works_as_functools_cache_does(store):
    @store.memoize
    def apply(function, x):
        return function(x)

    assert apply(abs, -1) == 1
    assert apply(len, "ab") == 2

    class Report:
        @store.memoize
        @classmethod
        def named(cls, x):
            return cls.__name__, x

    assert Report.named(1) == ("Report", 1)
    assert store.memoize(60)(abs).peek(-1) is None
    with pytest.raises(TypeError, match="ttl is given twice"):
        store.memoize(60, ttl=60)


# -- code

BASE = """
def f(x, unit="m"):
    total = x + 1
    return [total for x in range(3)]
"""


@pytest.mark.parametrize(
    "edited",
    [
        "# a comment\n\n\n" + BASE.replace("x + 1", "(x\n    # another\n  + 1)"),
        'def f(x, unit="m"):\n    """Say it."""\n    total = x + 1\n    return [total for x in range(3)]\n',
        "def f(x: int, unit: str = 'm') -> list[int]:\n    total: int = x + 1\n    return [total for x in range(3)]\n",
        "def f(x, unit='cm'):\n    total = x + 1\n    return [total for x in range(3)]\n",
        "\n" * 40 + BASE,
    ],
    ids=["comments, blank lines and brackets", "docstring", "annotations", "default", "moved"],
)
def test_layout_docstrings_annotations_and_defaults_are_no_code(edited):
    assert digest(edited) == digest(BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ 1", "+ 2"),
        ("+ 1", "- 1"),
        ("+ 1", "+ 1.0"),
        ("total", "sum_"),
        ("range(3)", "range(3) if x"),
        ("[total", "[x"),
    ],
)
def test_constants_operators_names_and_inner_comprehensions_are_code(old, new):
    assert digest(BASE.replace(old, new)) != digest(BASE)


def test_a_docstring_counts_if_it_is_read():
    reads = "def f():\n    '''One.'''\n    return f.__doc__\n"
    assert digest(reads) != digest(reads.replace("One", "Two"))


def test_annotations_of_a_class_in_a_function_count():
    fields = "def f():\n    class P:\n        x: int = 1\n    return P\n"
    assert digest(fields) != digest(fields.replace("int", "float"))


# One list for all releases of Python: one that changes the tree fails here, and not in the files of users.
GOLDEN = {
    "def f(): pass": "01f854b0b3",
    "def f(a, /, b, *c, d=1, **e): return a + b * -d, c, e": "43995cf897",
    ("async def f(x):\n    async with x as y:\n        return [await z async for z in y if z]"): "01b4aef5ce",
    (
        "def f(x):\n"
        "    try:\n"
        "        return x[1:2, ...]\n"
        "    except (A, B) as e:\n"
        "        raise C from e\n"
        "    finally:\n"
        "        x()"
    ): "cab3fb2021",
    "def f(x): return f'{x!r:>{x}} {{}} a' f'b{x=}' 'c'": "192210b8b3",
    (
        "def f(x):\n"
        "    match x:\n"
        "        case {'a': [1, *_], **r}:\n"
        "            return r\n"
        "        case P(y=None) | 1.5:\n"
        "            pass"
    ): "54f6680605",
    (
        "def f(x):\n"
        "    while x:\n"
        "        x -= 1\n"
        "        if x == 3:\n"
        "            continue\n"
        "    else:\n"
        "        yield from x"
    ): "cb0374c17f",
    (
        "def f(x):\n"
        "    @x\n"
        "    class A(x, metaclass=x):\n"
        "        '''Doc.'''\n"
        "        y: int = 1\n"
        "        z: str\n"
        "    return A"
    ): "529d01437a",
    (
        "def f(x):\n"
        "    global g\n"
        "    g = lambda *a, k=b'\\x00', **o: (a, k, o)\n"
        "    return {**x, 'é\\u200b': {1, *x}, 2j: True}"
    ): "ec2849bb2a",
    (
        "def f(x):\n"
        "    def g(y: int = 0, *, z=None) -> None:\n"
        "        nonlocal x\n"
        "        x = y if z is not None else not y\n"
        "    return g"
    ): "887318743a",
}


@pytest.mark.parametrize(("source", "expected"), GOLDEN.items(), ids=map(str, range(len(GOLDEN))))
def test_the_digest_of_a_tree_is_the_same_for_all_releases_of_python(source, expected):
    assert digest(source + "\n") == expected


def test_lambdas_and_functions_without_source_are_known_by_their_bytecode():
    one, other = lambda x: x + 1, lambda x: x + 2
    assert code_text(one.__code__) != code_text(other.__code__)
    assert code_text(one.__code__).startswith(sys.implementation.cache_tag)
    made = [{}, {}, {}]
    for namespace, number in zip(made, (3, 4, 3), strict=True):
        exec(f"def f(x): return x in {{1, 2, {number}}}", namespace)
    texts = [code_text(namespace["f"].__code__) for namespace in made]
    assert texts[0] == texts[2] != texts[1]


def test_bytecode_that_has_run_often_has_the_same_text():
    before = code_text.__wrapped__(eval("lambda x: x + 1").__code__)
    often = eval("lambda x: x + 1")
    for number in range(5000):
        often(number)
    assert code_text.__wrapped__(often.__code__) == before


def test_lines_that_are_not_those_of_the_function_are_not_taken():
    namespace = session("def f(x):\n    return x\n")
    code = namespace["f"].__code__
    linecache.cache[code.co_filename] = (1, None, ["def f(y):\n", "    return y\n"], code.co_filename)
    assert code_text.__wrapped__(code).startswith(sys.implementation.cache_tag)


def test_names_are_read_and_written_as_the_bytecode_does():
    namespace = session("""
        def make(a, b, c):
            def f():
                global written
                written = read_too
                nonlocal a
                a = [read for x in (b,)]
                def inner():
                    nonlocal c
                    c = deep
                class Inner:
                    x = of_a_class
                return c, inner, thing.attribute
            return f
        f = make(1, 2, 3)
    """)
    names = names_of(namespace["f"].__code__)
    assert set(names.globals_read) == {"read_too", "read", "deep", "thing", "of_a_class"}
    assert names.cells_written == {"a", "c"}


# -- notebooks


def keys(namespace, name="f", **options):
    return CallKeys(namespace[name], **options)


def test_in_a_notebook_an_edited_cell_is_another_function():
    notebook = session(BASE)
    first = keys(notebook).of((1,), {})
    assert re.fullmatch(r"__main__\.f@~[0-9a-f]{10}\(1, 'm'\)", first)
    run_cell(notebook, "# a comment\n" + BASE)
    assert keys(notebook).of((1,), {}) == first
    run_cell(notebook, BASE.replace("+ 1", "+ 2"))
    assert keys(notebook).of((1,), {}) != first
    run_cell(notebook, BASE)
    assert keys(notebook).of((1,), {}) == first


HELPERS = """
N = 10
def deeper(x): return x + N
def helper(x): return deeper(x)
def f(x): return helper(x)
"""


@pytest.mark.parametrize(
    "edit",
    [
        "N = 11",
        "def helper(x): return deeper(x) + 1",
        "def deeper(x): return x - N",
        "def helper(x, y=2): return deeper(x)",
    ],
)
def test_in_a_notebook_what_a_function_names_counts_transitively(edit):
    notebook = session(HELPERS)
    of = keys(notebook).of
    before = of((1,), {})
    assert of((1,), {}) == before
    run_cell(notebook, edit)
    assert of((1,), {}) != before
    run_cell(notebook, HELPERS.replace("def f(x): return helper(x)", ""))
    assert of((1,), {}) == before


@pytest.mark.parametrize("edit", ["# a comment\ndef helper(x): return deeper(x)", "other = 5", "N = 5 + 5"])
def test_in_a_notebook_comments_of_helpers_and_other_names_do_not_count(edit):
    notebook = session(HELPERS)
    of = keys(notebook).of
    before = of((1,), {})
    run_cell(notebook, edit)
    assert of((1,), {}) == before


def test_in_a_notebook_classes_count_with_functions_constants_and_fields():
    cell = """
        from dataclasses import dataclass
        class Parent:
            def m(self): return 1
        @dataclass
        class P(Parent):
            x: int = 1
            N = 5
            @property
            def size(self): return self.x + self.N
        def f(x): return P(x).size
    """
    of = keys(session(cell)).of
    assert of((1,), {}) == keys(session(cell)).of((1,), {})
    for old, new in (
        ("x: int = 1", "x: int = 2"),
        ("N = 5", "N = 6"),
        ("self.x +", "self.x -"),
        ("m(self): return 1", "m(self): return 2"),
    ):
        assert keys(session(cell.replace(old, new))).of((1,), {}) != of((1,), {}), new


def test_in_a_notebook_frames_clients_and_what_they_hold_are_no_part():
    notebook = session("frame = {'a': [1]}\nclient = object()\nimport math\ndef f(x): return frame, client, math.pi")
    of = keys(notebook).of
    before = of((1,), {})
    run_cell(notebook, "frame = {}\nclient = object()")
    assert of((1,), {}) == before
    assert keys(notebook).current().parts.keys() == {"code", "closure", "math"}


def test_a_helper_that_is_defined_later_is_looked_at_again():
    notebook = session("def f(x): return later(x)")
    of = keys(notebook).of
    before = of((1,), {})
    run_cell(notebook, "def later(x): return x")
    after = of((1,), {})
    assert before != after == of((1,), {})


def test_a_helper_that_is_memoized_with_a_version_counts_by_its_version(store):
    def key(version, body):
        notebook = session("store = None")
        notebook["store"] = store
        run_cell(
            notebook, f"@store.memoize(version={version})\ndef helper(x): return {body}\ndef f(x): return helper(x)"
        )
        return keys(notebook).of((1,), {})

    assert key(1, "x") == key(1, "x + 1") != key(2, "x")


def test_code_of_modules_counts_only_if_it_is_asked_for():
    module = session(HELPERS, module="app")
    assert keys(module).of((1,), {}) == "app.f(1)"
    own, deep = keys(module, code=True), keys(module, code="deep")
    first = own.of((1,), {}), deep.of((1,), {})
    run_cell(module, "N = 11")
    assert own.of((1,), {}) == first[0]
    assert deep.of((1,), {}) != first[1]


def test_version_and_code_false_switch_code_off():
    notebook = session(HELPERS)
    assert keys(notebook, version=3).of((1,), {}) == "__main__.f@3(1)"
    assert keys(notebook, code=False).of((1,), {}) == "__main__.f(1)"
    with pytest.raises(ValueError, match="version stands for the code"):
        keys(notebook, version=3, code=True)
    with pytest.raises(ValueError, match="code must be True, False or 'deep'"):
        keys(notebook, code="all")


def test_lambdas_of_a_notebook_are_told_apart_by_their_code():
    notebook = session("f = lambda x: x + 1\ng = lambda x: x + 2")
    one, other = keys(notebook, "f").of((1,), {}), keys(notebook, "g").of((1,), {})
    assert one != other
    assert re.fullmatch(r"__main__\.<lambda>@~[0-9a-f]{10}\(1\)", one)


# -- two functions of one name


def test_two_functions_of_one_name_in_one_place_warn_once(store):
    module = session("def f(x): return x + 1", module="app.twice")
    first = [store.memoize(module["f"]), store.memoize(module["f"])]
    run_cell(module, "def f(x): return x + 2")
    with pytest.warns(
        UserWarning, match=r"two functions named app\.twice\.f memoize in one place .* give one of them name="
    ):
        store.memoize(module["f"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.memoize(module["f"])
        store.memoize(ns="other")(module["f"])
        store.memoize(name="g")(module["f"])
        store.memoize(code=True)(module["f"])
    assert first[0](1) == 2


# -- scripts, modules and archives


def script_output(*command, **options):
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, **options)
    return done.stdout.splitlines()


SCRIPT = """
from sqlitedict_kv import Store
class Thing: ...
store = Store()
@store.memoize
def f(x): return x
if __name__ == "__main__":
    print(f.cache_key(1), f.cache_key(Thing).partition("(")[2])
"""


@pytest.mark.parametrize("way", [(), ("-m", "cProfile"), ("-m", "trace", "--count", "-C", "counts"), ("-O",)], ids=repr)
def test_a_script_has_its_own_name_whatever_runs_it(tmp_path, way):
    plain = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "job.py"
        path.write_text(SCRIPT)
        first = next(line for line in script_output(sys.executable, *way, path, cwd=tmp_path) if "@~" in line)
        assert re.match(r"job-[0-9a-f]{8}\.f@~[0-9a-f]{10}\(1\) <", first)
        if way:
            assert first.split()[0] == script_output(sys.executable, path)[0].split()[0]
        plain.append(first.split()[0])
    assert plain[0] != plain[1]


def test_two_archives_have_names_of_their_own(tmp_path):
    import zipapp

    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text(SCRIPT)
    shown = []
    for name in ("one", "two"):
        zipapp.create_archive(tmp_path / "app", tmp_path / f"{name}.pyz")
        shown += script_output(sys.executable, tmp_path / f"{name}.pyz")
    assert re.match(r"one-[0-9a-f]{8}\.f@~[0-9a-f]{10}\(1\)", shown[0])
    assert re.match(r"two-[0-9a-f]{8}\.f@~[0-9a-f]{10}\(1\)", shown[1])
    assert shown[0].split("@")[1][:11] == shown[1].split("@")[1][:11]


def test_a_module_that_python_runs_is_importable(tmp_path):
    (tmp_path / "job.py").write_text(SCRIPT)
    assert script_output(sys.executable, "-m", "job", cwd=tmp_path)[0].startswith("job.f(1) ")


def test_a_file_that_is_edited_while_it_runs_changes_nothing(tmp_path):
    path = tmp_path / "job.py"
    path.write_text(SCRIPT)
    before = script_output(sys.executable, path)[0]
    # before the first call, the script inserts a line above the function, and another body
    edit = 'import pathlib; pathlib.Path(__file__).write_text("def f(x): return 0")\n    '
    path.write_text(SCRIPT.replace("    print(", f"    {edit}print("))
    assert script_output(sys.executable, path)[0].split()[0] == before.split()[0]


def test_a_spawned_child_that_computes_with_another_constant_has_another_key(tmp_path):
    path = tmp_path / "job.py"
    path.write_text("""
import multiprocessing
from sqlitedict_kv import Store
N = 1
store = Store()
@store.memoize
def f(x): return x + N
@store.memoize
def g(x): return x
def show(): print(f.cache_key(1), g.cache_key(1), flush=True)
if __name__ == "__main__":
    N = 2
    show()
    child = multiprocessing.get_context("spawn").Process(target=show)
    child.start(); child.join()
""")
    (parent_f, parent_g), (child_f, child_g) = (line.split() for line in script_output(sys.executable, path))
    assert parent_f != child_f
    assert parent_g == child_g


def test_keys_of_module_functions_are_those_of_the_first_release(tmp_path, monkeypatch):
    (tmp_path / "shop_prices.py").write_text("def price(item, *, unit='EUR'):\n    return item\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("shop_prices")
    assert isinstance(module.price, FunctionType)
    assert Store().memoize(module.price).cache_key("x") == "shop_prices.price('x', unit='EUR')"
