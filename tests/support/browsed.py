"""A store with values of many kinds, hostile ones among them, that the tests of its pages look at."""

import io

from sqlitedict_kv import Store

SCRIPT = "<script>alert(document.domain)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'
HOSTILE = {
    "script": SCRIPT,
    "nested": {SCRIPT: [f'"><img src=x onerror=alert(3)>{SCRIPT}', {"url": "javascript:alert(4)"}]},
    "svg": SVG,
    "svg in text": SVG.decode(),
    "a png that is a page": b"\x89PNG\r\n\x1a\n" + SCRIPT.encode(),
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "attribute": "' onmouseover='alert(5)' x='\" autofocus onfocus=alert(6) x=\"",
    "deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[["bottom"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
    "wide": {f"item {number}": number for number in range(5000)},
    "long": "x" * 1_000_000,
    "odd\u202etxt.exe": "a key that turns the line around",
    "controls\x00\x1b[31m\n": "a key with controls",
    "with/slashes/../../x?y=1&z=2#frag%2F+": 1,
    "ключ 鍵 🔑": {"ü": "ß"},
    SCRIPT: SCRIPT,
    'javascript:alert("key")': "javascript:alert(7)",
    " ": "white space",
}


def fill(path):
    """Make a store with some of everything, and with results of a memoized function."""
    import numpy
    import pandas
    from PIL import Image

    with Store(path) as store:
        users = store.ns("users")
        users.update({f"user-{number:04}": {"name": f"User {number}", "logins": [number, 2]} for number in range(120)})
        hostile = store.ns("hostile")
        for key, value in HOSTILE.items():
            hostile[key] = value
        values = store.ns("values")
        values["array"] = numpy.sin(numpy.linspace(0, 12, 500))
        values["grid"] = numpy.arange(10_000, dtype="float32").reshape(100, 100) % 97
        values["not finite"] = numpy.array([1.0, numpy.nan, numpy.inf, 3.0, -numpy.inf, 2.0])
        values["frame"] = pandas.DataFrame({"city": ["Bern", SCRIPT], "people": [134_591, 1]})
        image = Image.linear_gradient("L").resize((160, 100))
        written = io.BytesIO()
        image.save(written, "PNG")
        values["picture.png"] = written.getvalue()
        values["pillow"] = image.convert("RGB")
        values["huge"] = b"\0" * (20 * 2**20)
        store.ns("sessions").set("soon", {"user": 7}, ttl="2 hours")
        store.ns(f"odd/{SCRIPT}")["k"] = 1

        @store.memoize(name="app.report", version=2)
        def report(month, **options):
            return {"month": month}

        report("2026-11")
        report(SCRIPT, limit=3)
    return path
