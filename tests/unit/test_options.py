"""The options of a store are stated once, and every class that takes them shows and checks the same ones."""

import inspect
import pydoc

import pytest

from sqlitedict_kv import AsyncStore, Store, StoreOptions
from sqlitedict_kv.options import DEFAULTS

KINDS = pytest.mark.parametrize("kind", [Store, AsyncStore])


def test_each_option_has_a_default_and_a_description():
    assert list(StoreOptions.__annotations__) == list(DEFAULTS)
    described = inspect.getdoc(StoreOptions)
    assert [name for name in DEFAULTS if f"\n    {name}: " not in described] == []


@KINDS
def test_the_signature_shows_each_option_with_its_default(kind):
    path, *options = inspect.signature(kind).parameters.values()
    assert (path.name, path.default) == ("path", ":memory:")
    assert {option.name: option.default for option in options} == DEFAULTS
    assert all(option.kind is option.KEYWORD_ONLY for option in options)


@KINDS
def test_help_describes_each_option(kind):
    text = pydoc.plain(pydoc.render_doc(kind.__init__))
    assert [name for name in DEFAULTS if f" {name}: " not in text] == []


@KINDS
def test_an_unknown_option_is_refused_and_the_nearest_is_named(kind):
    expected = (
        rf"^{kind.__name__}\.__init__\(\) got an unexpected keyword argument 'lru_byte'\. Did you mean 'lru_bytes'\?$"
    )
    with pytest.raises(TypeError, match=expected):
        kind(lru_byte=1)
    with pytest.raises(TypeError, match="got an unexpected keyword argument 'x'$"):
        kind(x=1)


@KINDS
def test_options_are_given_by_name_only(kind):
    with pytest.raises(TypeError, match="positional"):
        kind(":memory:", True)
