"""The pages."""

import os

from django.core.cache import cache, caches
from django.http import HttpResponse, JsonResponse
from django.template import Context, engines
from django.urls import path
from django.views.decorators.cache import cache_page

FRAGMENT = "{% load cache %}{% cache 60 side %}<b>computed {{ computed }}</b>{% endcache %}"


def count(what):
    caches["kept"].add(what, 0)
    return caches["kept"].incr(what)


def visit(request):
    """Count all visits, and those of this visitor, whichever process answers."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"all": count("visits"), "yours": request.session["visits"], "process": os.getpid()})


@cache_page(60)
def report(_request):
    """Take long, once a minute."""
    return JsonResponse({"computed": count("reports"), "process": os.getpid()})


def fragment(_request):
    template = engines["django"].from_string(FRAGMENT).template
    return HttpResponse(template.render(Context({"computed": lambda: count("fragments")})))


async def visits(_request):
    return JsonResponse({"all": await caches["kept"].aget("visits", 0)})


def publish(_request):
    """Make what is cached stale, for all processes at once."""
    cache.clear()
    return HttpResponse(status=204)


urlpatterns = [
    path("", visit),
    path("report", report),
    path("fragment", fragment),
    path("visits", visits),
    path("publish", publish),
]
