"""Cursors name the last key of a page and are refused where they do not belong."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sqlitedict_kv.operations.pagination import cursor_after, key_of

KEYS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(key=KEYS, reverse=st.booleans())
@example(key="", reverse=False)
@example(key="\0", reverse=True)
@example(key="r", reverse=False)
@example(key="\U0010ffff" * 256, reverse=False)
def test_a_cursor_gives_its_key_back(key, reverse):
    cursor = cursor_after(key, reverse=reverse)
    assert key_of(cursor, "", reverse=reverse) == key
    assert key_of(cursor, key[:3], reverse=reverse) == key
    with pytest.raises(ValueError, match="cursor"):
        key_of(cursor, "", reverse=not reverse)
    with pytest.raises(ValueError, match="cursor"):
        key_of(cursor, key + "x", reverse=reverse)


def test_no_cursor_is_the_beginning():
    assert key_of(None, "prefix", reverse=False) is None


@given(text=st.text(max_size=40))
@example(text="Zg=")
@example(text="Zg==Zg==")
@example(text=" ZmE=")
@example(text="ZmF=")
@example(text="ZmE=\n")
def test_text_that_is_no_cursor_is_refused_or_means_one_key_alone(text):
    try:
        key = key_of(text, "", reverse=False)
    except ValueError as error:
        assert "cursor" in str(error)
    else:
        assert cursor_after(key, reverse=False) == text


@pytest.mark.parametrize("cursor", [5, b"ZmE=", ["ZmE="], True, 1.5])
def test_what_is_no_text_is_a_type_error(cursor):
    with pytest.raises(TypeError, match="cursor"):
        key_of(cursor, "", reverse=False)
