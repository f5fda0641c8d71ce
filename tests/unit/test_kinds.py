"""Each kind of value that people keep comes back as it was, everywhere; what is no value is refused.

A test is a whole section: its kinds are made by libraries that take seconds to import, which collecting must not.
"""

import pytest

from sqlitedict_kv import CodecError, Store
from tests import kinds
from tests.support.awaited import AwaitedStore
from tests.support.exact import assert_same

pytestmark = [
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),  # of np.matrix, by scipy
    pytest.mark.filterwarnings("ignore:The 'u' type code is deprecated:DeprecationWarning"),  # of array.array("u")
]
WANTED = 170


@pytest.fixture(params=[*kinds.sections()])
def samples(request):
    """The kinds of a section."""
    if library := kinds.missing(request.param):
        pytest.skip(f"{library} is not installed")
    return list(kinds.samples(request.param))


@pytest.fixture(scope="module", params=["file", "valkey"])
def places(request, tmp_path_factory):
    """Where the stores of this module are: all of it uses one place, as there are hundreds of kinds."""
    if request.param == "file":
        return str(tmp_path_factory.mktemp("kinds") / "kinds.db")
    return f"{request.getfixturevalue('shared_valkey').url}?prefix=kinds"


@pytest.fixture(scope="module")
def stores(places):
    """A store, one with memory in front of it, and one whose face is awaited; of the same file or server."""
    options = {"types": kinds.allowed()}
    opened = Store(places, **options), Store(places, lru_bytes="64 MB", **options), AwaitedStore(places, **options)
    yield opened
    for store in opened:
        store.close()
    opened[2].loop.close()


def require_each(samples, check):
    """Fail with all the samples for which *check* raises."""
    failures = []
    for sample in samples:
        try:
            check(sample)
        except Exception as error:
            failures.append(f"{sample.name}: {type(error).__name__}: {str(error)[:300]}")
    assert not failures, "\n".join(failures)


def test_a_value_comes_back_as_it_was(stores, samples):
    plain, remembering, awaited = (store.ns("values") for store in stores)

    def check(sample):
        key = f"{sample.section} {sample.name}"  # of its own: memory in front of servers may be a second old
        for users in (awaited, plain):
            users[key] = sample.make()
            assert_same(sample.make(), users[key])
        for _ in range(2):  # from the file, then from memory
            assert_same(sample.make(), remembering[key])

    require_each(samples, check)


def test_a_result_is_kept_as_it_was(stores, samples):
    def check(sample):
        calls = []

        @stores[1].memoize(name="tests.compute", unstorable="raise", ignore=("calls", "sample"))
        def compute(section, name):
            calls.append(name)
            return sample.make()

        for _ in range(2):
            assert_same(sample.make(), compute(sample.section, sample.name))
        assert len(calls) == 1

    require_each(samples, check)


@pytest.mark.parametrize("name", kinds.refused())
def test_what_is_no_value_is_refused_with_a_message_that_names_it(stores, name):
    make, named = kinds.refused()[name]
    users = stores[0].ns("refused")
    with pytest.raises(CodecError, match=named):
        users["k"] = make()
    assert "k" not in users


@pytest.mark.frameworks
def test_there_are_enough_kinds():
    sections = [section for section in kinds.SECTIONS if not kinds.missing(section)]
    assert sum(len(list(kinds.samples(section))) for section in sections) >= WANTED or len(sections) < len(
        kinds.SECTIONS
    )
