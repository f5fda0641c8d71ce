"""What the scripts do is the same on every server, however it is configured."""

import os
import shutil
import subprocess

import pytest

from sqlitedict_kv import Store
from tests.conftest import redis_binary, valkey_binary


@pytest.fixture
def locale(tmp_path, monkeypatch):
    """Let servers that the test starts order texts as people do: of two different ones none may be the greater."""
    localedef = shutil.which("localedef")
    place = tmp_path / "locales"
    place.mkdir()
    made = localedef and subprocess.run(
        [localedef, "-i", "en_US", "-f", "UTF-8", str(place / "en_US.UTF-8")], capture_output=True, check=False
    )
    if not made or not (place / "en_US.UTF-8").exists():
        pytest.skip("no locale can be made here")
    monkeypatch.setenv("LOCPATH", str(place))
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    return os.fspath(place)


@pytest.mark.parametrize("binary", [valkey_binary, redis_binary])
def test_no_write_is_lost_on_a_server_with_a_locale(start_server, locale, binary):
    server = start_server(binary=binary())
    assert server.plain.eval("return 'B' < 'a'", 0) is None, f"the server does not use {locale}"
    with Store(server.url) as store:
        users = store.ns("users")
        for number in range(600):
            users["k"] = number
            assert users["k"] == number
            if number % 7 == 0:
                users["other"] = number
                assert users.incr("sum") == number // 7 + 1
