"""What a cell reads, and what tells two of them apart; the magic itself is in test_notebook_magics.py."""

import ast

import pytest

from sqlitedict_kv.memoization.cell_identity import identify_cell, inputs_of


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("df = load(x); y = df.sum()", ["load", "x"]),
        ("n = n + 1", ["n"]),
        ("n += 1", ["n"]),
        ("for i in range(k):\n    z = f(i)\n    if z: break\nw = z", ["k", "f", "z"]),
        ("while a:\n    b = a\n    continue", ["a"]),
        ("def f():\n    return g(df)\ndef g(d): return d\nr = f()", ["df"]),
        ("with open(p) as h:\n    t = h.read()\nu = t", ["p"]),
        ("try:\n    a = b\nexcept E as e:\n    c = e\nfinally:\n    d = 1\nd", ["b", "E"]),
        ("if q:\n    s = 1\nelse:\n    s = 2\nuse(s)", ["q", "use"]),
        ("if q:\n    s = 1\nuse(s)", ["q", "use", "s"]),
        ("xs = [i * m for i in ys]", ["ys", "m"]),
        ("import numpy as np\nfrom a import b\nv = np.zeros(b)", []),
        ("d = await fetch(u)\nasync with lock as l:\n    l", ["fetch", "u", "lock"]),
        ("if (x := f()) > 1:\n    print(x)", ["f"]),
        ("class A(B):\n    c = d", ["B", "d"]),
        ("match v:\n    case [a, _]:\n        pass", ["v"]),
        ("", []),
    ],
)
def test_a_cell_reads_what_it_has_not_bound(cell, read):
    assert sorted(inputs_of(ast.parse(cell))) == sorted(read)


def key(cell, outputs=("y",), **space):
    return identify_cell(cell, outputs, {"__name__": "__main__", **space}).key


def test_code_values_and_outputs_tell_cells_apart():
    first = key("y = x + 1", x=1)
    assert key("y  =  x+1  # the same", x=1) == first
    assert key("y = x + 1", x=1, other=2) == first
    assert key("y = x + 2", x=1) != first
    assert key("y = x + 1", x=1.0) != first
    assert key("y = x + 1", x=[1]) != first
    assert key("y = x + 1", ("y", "x"), x=1) != first


def test_a_key_is_the_same_in_each_release_of_python():
    assert key("y = [f'{a!r:>{w}}' for a in x if a]", x=[1, 2], w=3) == "cc181dc218ba412ecacaf724625b8300af3ae8b1"


def test_what_it_calls_counts_with_its_code():
    def cell_with(body):
        space = {"__name__": "__main__"}
        exec(f"def helper(v): return inner(v)\ndef inner(v): return {body}\nCONSTANT = 5", space)
        return identify_cell("y = helper(1)", ["y"], space)

    assert cell_with("v + CONSTANT").key == cell_with("v  +  CONSTANT").key
    assert cell_with("v + CONSTANT").key != cell_with("v - CONSTANT").key
    assert set(cell_with("v + CONSTANT").parts) == {"helper", "inner", "CONSTANT"}


def test_what_is_ignored_does_not_count():
    lock = object()
    with pytest.raises(TypeError, match=r"the cell reads 'lock', .* leave it out with --ignore lock"):
        identify_cell("y = lock", ["y"], {"lock": lock})
    assert identify_cell("y = lock", ["y"], {"lock": lock}, ignored={"lock"}).parts == {}
