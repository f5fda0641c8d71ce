"""The tree of errors."""

import copy
import pickle

import pytest

from sqlitedict_kv import errors

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.KVError)]


def made(kind):
    if kind is errors.ConflictError:
        return kind("n", "k", expected=1, actual=None)
    if issubclass(kind, errors.DamagedEntryError):
        return kind("n", "k", "its checksum does not match")
    if kind is errors.LockLostError:
        return kind("n", "k")
    return kind("what happened")


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("through", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_an_error_comes_whole_out_of_a_worker_process(kind, through):
    error = made(kind)

    back = through(error)

    assert type(back) is kind
    assert str(back) == str(error)
    assert vars(back) == vars(error)
