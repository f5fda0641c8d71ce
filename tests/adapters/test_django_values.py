"""Values of Django and of Django REST framework: nested, by the names of classes in the settings, and cached views."""

# ruff: noqa: E402 - Django is configured before its parts are imported

from http.cookies import CookieError

import pytest

pytest.importorskip("django")
pytest.importorskip("rest_framework")

import django
from django.conf import settings

if not settings.configured:
    settings.configure(SECRET_KEY="secret of the tests", USE_TZ=True, ALLOWED_HOSTS=["testserver"])
    django.setup()

from django.core.cache import InvalidCacheBackendError
from django.db import models
from django.http import HttpResponse
from django.test import override_settings
from django.utils.decorators import method_decorator
from django.utils.functional import lazystr
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import cache_page

with override_settings(REST_FRAMEWORK={"UNAUTHENTICATED_USER": None}):
    from rest_framework import serializers
    from rest_framework.renderers import JSONRenderer
    from rest_framework.response import Response
    from rest_framework.test import APIRequestFactory
    from rest_framework.utils.serializer_helpers import ReturnDict, ReturnList
    from rest_framework.views import APIView

from sqlitedict_kv import CodecError
from sqlitedict_kv.adapters.django import SQLiteCache
from sqlitedict_kv.adapters.support import close_shared_stores
from sqlitedict_kv.codecs import library_kinds

NESTED = {"bare": lambda value: value, "nested": lambda value: {"a": [(value, {"b": value})]}}


def first_in(found):
    """Return what was nested, or the value itself."""
    return found["a"][0][0] if isinstance(found, dict) and "a" in found else found


class Article:
    class Status(models.TextChoices):
        DRAFT = "d", "Draft"
        PUBLISHED = "p", "Published"

    class Stars(models.IntegerChoices):
        ONE = 1
        TWO = 2


class ArticleSerializer(serializers.Serializer):
    title = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    price = serializers.DecimalField(max_digits=6, decimal_places=2, coerce_to_string=False)


ARTICLE = {"title": "é", "tags": ["a", "b"], "price": "1.10"}


def serialized(*, many=False):
    serializer = ArticleSerializer(data=[ARTICLE, ARTICLE] if many else ARTICLE, many=many)
    serializer.is_valid(raise_exception=True)
    return serializer.data


@pytest.fixture(autouse=True)
def closed_stores():
    yield
    close_shared_stores()


@pytest.fixture
def make_cache(path):
    def make(**options):
        return SQLiteCache(str(path), {"OPTIONS": options})

    return make


def rendered(data, **options):
    response = Response(data, **options)
    response.accepted_renderer = JSONRenderer()
    response.accepted_media_type = "application/json"
    response.renderer_context = {}
    return response.render()


# -- of Django


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
def test_a_safe_string_comes_back_as_one_from_anywhere(make_cache, make_store, nest):
    value = nest(mark_safe("<b>é</b>"))
    make_cache().set("k", value)
    users = make_store().ns("users")
    users["k"] = value
    for found in (make_cache().get("k"), users["k"]):
        assert found == value
        inner = found["a"][0] if isinstance(found, dict) else (found, {"b": found})
        assert type(inner[0]) is type(inner[1]["b"]) is SafeString


def test_a_safe_string_is_a_key_of_a_dict(make_cache):
    make_cache().set("k", {mark_safe("x"): 1})
    (key,) = make_cache().get("k")
    assert (type(key), key) == (SafeString, "x")


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("lazy", [gettext_lazy("Draft"), lazystr("Draft")], ids=["gettext_lazy", "lazystr"])
def test_a_lazy_text_is_refused_with_the_way_out(make_cache, nest, lazy):
    with pytest.raises(CodecError, match=r"lazy text .*keep str\(\.\.\.\) of it"):
        make_cache().set("k", nest(lazy))
    assert "k" not in make_cache()


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("member", [Article.Status.PUBLISHED, Article.Stars.TWO], ids=["text", "integer"])
def test_choices_are_kept_by_classes_or_by_their_dotted_names(make_cache, nest, member):
    with pytest.raises(CodecError, match=r"types=\[(Status|Stars)\]"):
        make_cache().set("k", nest(member))
    classes = [Article.Status, Article.Stars]
    for types in (classes, [f"{__name__}.{cls.__qualname__}" for cls in classes]):
        cache = make_cache(types=types)
        cache.set("k", nest(member))
        found = cache.get("k")
        assert first_in(found) is member
        close_shared_stores()


@pytest.mark.parametrize("name", ["no_such_module.Status", f"{__name__}.Nobody", "not a name"])
def test_a_dotted_name_that_names_nothing_is_refused_at_once(make_cache, name):
    with pytest.raises(InvalidCacheBackendError, match=name):
        make_cache(types=[name])


# -- of Django REST framework


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("many", [False, True], ids=["dict", "list"])
def test_the_data_of_a_serializer_come_back_as_plain_data(make_cache, nest, many):
    data = serialized(many=many)
    assert type(data) is (ReturnList if many else ReturnDict)
    make_cache().set("k", nest(data))
    found = make_cache().get("k")
    assert found == nest(data)
    plain = first_in(found)
    assert type(plain) is (list if many else dict)
    assert type((plain[0] if many else plain)["price"]) is type(data[0]["price"] if many else data["price"])


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
def test_a_rendered_response_comes_back_as_one_that_answers_the_same(make_cache, nest):
    response = rendered(serialized(), status=201, headers={"X-Own": "1"})
    response.set_cookie("seen", "a b", max_age=60, httponly=True)
    response._csp = {"img-src": ("self",)}
    make_cache().set("k", nest(response))
    found = first_in(make_cache().get("k"))
    assert type(found) is HttpResponse
    assert (found.status_code, found.reason_phrase, found.charset) == (201, "Created", response.charset)
    assert (found.content, dict(found.headers)) == (response.content, dict(response.headers))
    assert found.cookies.output() == response.cookies.output()
    assert found._csp == {"img-src": ("self",)}
    assert not hasattr(found, "data")


def test_a_response_without_content_has_no_content_type(make_cache):
    make_cache().set("k", rendered(None, status=204))
    found = make_cache().get("k")
    assert (found.status_code, found.content, dict(found.headers)) == (204, b"", {})


def test_a_response_that_is_not_rendered_is_refused(make_cache):
    with pytest.raises(CodecError, match="not rendered.*render()"):
        make_cache().set("k", Response({"a": 1}))
    response = rendered({"a": 1})
    response._log = (row for row in "ab")
    with pytest.raises(CodecError, match="generator"):
        make_cache().set("k", response)


def test_a_response_whose_method_was_replaced_is_refused(make_cache):
    response = rendered({"a": 1})
    response.flush = None
    with pytest.raises(CodecError, match="whose flush was replaced"):
        make_cache().set("k", response)


@pytest.mark.parametrize("decorated", ["dispatch", "get"])
def test_a_cached_view_answers_the_second_request_from_the_cache(path, decorated):
    asked = []

    @method_decorator(cache_page(60), name=decorated)
    class View(APIView):
        authentication_classes = permission_classes = throttle_classes = ()
        renderer_classes = (JSONRenderer,)

        def get(self, request):
            asked.append(request)
            return Response(serialized(), headers={"X-Own": "1"})

    with override_settings(
        CACHES={"default": {"BACKEND": "sqlitedict_kv.adapters.django.SQLiteCache", "LOCATION": path}},
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    ):
        first = View.as_view()(APIRequestFactory().get("/articles")).render()
        second = View.as_view()(APIRequestFactory().get("/articles"))
    assert len(asked) == 1
    assert second.content == first.content
    assert (second.status_code, second["X-Own"], second["Content-Type"]) == (200, "1", "application/json")


# -- from a file that anybody may have written


GOOD = [200, "OK", "utf-8", b"x", {"A": "1"}, [["k", "v", "v", {"path": "/"}]], {"_csp": 1}]
BAD = {
    "a content that is no bytes": (3, ["x"]),
    "a status that is no number": (0, "200"),
    "a status that there is not": (0, 7),
    "a header of two lines": (4, {"A": "1\r\nSet-Cookie: x"}),
    "a cookie of an illegal name": (5, [["k;", "v", "v", {}]]),
    "an attribute that a response has": (6, {"close": 1}),
    "an attribute that is no text": (6, {1: 1}),
}


def test_the_parts_of_a_response_make_one():
    assert library_kinds.kind_named("django.HttpResponse").build(list(GOOD)).content == b"x"


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_parts_that_no_response_has_are_refused(bad):
    place, part = bad
    parts = [*GOOD[:place], part, *GOOD[place + 1 :]]
    with pytest.raises((TypeError, ValueError, CookieError)):
        library_kinds.kind_named("django.HttpResponse").build(parts)


@pytest.mark.parametrize("parts", [[], [b"x"], ["a", "b"], [mark_safe("a")]])
def test_parts_that_no_safe_string_has_are_refused(parts):
    with pytest.raises((TypeError, ValueError)):
        library_kinds.kind_named("django.SafeString").build(parts)
