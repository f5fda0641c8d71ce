"""The pages of the site that test_django.py asks."""

from collections import Counter

from django.core.cache import cache
from django.http import HttpResponse
from django.template import Context, engines
from django.urls import path
from django.views.decorators.cache import cache_page

computed = Counter()


@cache_page(60)
def page(_request):
    computed["page"] += 1
    return HttpResponse(f"page {computed['page']}")


def fragment(_request):
    def expensive():
        computed["fragment"] += 1
        return f"fragment {computed['fragment']}"

    template = "{% load cache %}{% cache 60 side %}<b>{{ expensive }}</b>{% endcache %}"
    return HttpResponse(engines["django"].from_string(template).template.render(Context({"expensive": expensive})))


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


async def acount(_request):
    return HttpResponse(str(await cache.aincr("acount")))


urlpatterns = [path("page", page), path("fragment", fragment), path("visits", visits), path("acount", acount)]
