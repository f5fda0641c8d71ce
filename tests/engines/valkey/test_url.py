"""URLs of servers, without any server."""

import pytest

from sqlitedict_kv.engines.registry import is_address
from sqlitedict_kv.engines.valkey.client.url import parse_url
from sqlitedict_kv.engines.valkey.schemes import SCHEMES


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_a_known_scheme_is_an_address(scheme):
    assert is_address(f"{scheme}://x")
    assert is_address(f"{scheme.upper()}://x")


@pytest.mark.parametrize(
    "text",
    [
        "app.db",
        ":memory:",
        "",
        "redis",
        "redis:/x",
        "file://app.db",
        "http://x",
        "/tmp/redis://x",
        "valkey+unix://x",
        "C:\\a",
    ],
)
def test_everything_else_is_a_path(text):
    assert not is_address(text)


@pytest.mark.parametrize(
    ("url", "hosts", "db", "user", "password", "label"),
    [
        ("valkey://h", [("h", 6379)], 0, None, None, "valkey://h:6379"),
        ("redis://h:7/3", [("h", 7)], 3, None, None, "redis://h:7/3"),
        ("redis://h/", [("h", 6379)], 0, None, None, "redis://h:6379"),
        ("redis://h?db=4", [("h", 6379)], 4, None, None, "redis://h:6379/4"),
        ("redis://:pw@h", [("h", 6379)], 0, None, "pw", "redis://h:6379"),
        ("redis://ada:pw@h:1/2", [("h", 1)], 2, "ada", "pw", "redis://h:1/2"),
        ("redis://a%40b:p%40%2F%3A%23%25%3F@h", [("h", 6379)], 0, "a@b", "p@/:#%?", "redis://h:6379"),
        ("redis://u:p@w@h", [("h", 6379)], 0, "u", "p@w", "redis://h:6379"),
        ("redis://u:p:w@h", [("h", 6379)], 0, "u", "p:w", "redis://h:6379"),
        ("redis://h?username=u&password=p%26+w", [("h", 6379)], 0, "u", "p& w", "redis://h:6379"),
        ("redis://[::1]", [("::1", 6379)], 0, None, None, "redis://[::1]:6379"),
        ("REDIS://u:p@[fe80::1]:7/1", [("fe80::1", 7)], 1, "u", "p", "redis://[fe80::1]:7/1"),
    ],
)
def test_one_server(url, hosts, db, user, password, label):
    address = parse_url(url)

    assert address.mode == "single"
    assert list(address.hosts) == hosts
    assert (address.db, address.username, address.password) == (db, user, password)
    assert address.label == label
    assert not address.tls


def test_a_cluster():
    address = parse_url("valkeys+cluster://u:s3cret@one:7000,[::2],three:1?ssl_ca_certs=/ca.crt&ssl_check_hostname=no")

    assert address.mode == "cluster"
    assert address.tls
    assert address.hosts == (("one", 7000), ("::2", 6379), ("three", 1))
    assert address.options == {"ssl_ca_certs": "/ca.crt", "ssl_check_hostname": False}
    assert address.label == "valkeys+cluster://one:7000,[::2]:6379,three:1"


def test_sentinels():
    address = parse_url("redis+sentinel://:pw@one,two:7/main/2?sentinel_username=w&sentinel_password=p")

    assert address.mode == "sentinel"
    assert address.hosts == (("one", 26379), ("two", 7))
    assert (address.service, address.db) == ("main", 2)
    assert address.options == {"sentinel_username": "w", "sentinel_password": "p"}
    assert address.label == "redis+sentinel://one:26379,two:7/main/2"


def test_a_socket_of_the_file_system():
    address = parse_url("unix://u:pw@/run/my%20valkey.sock?db=2")

    assert (address.path, address.hosts, address.db) == ("/run/my valkey.sock", (), 2)
    assert (address.username, address.password) == ("u", "pw")
    assert address.label == "unix:///run/my valkey.sock?db=2"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://h", "scheme"),
        ("redis://", "host"),
        ("redis://:0", "host"),
        ("redis://h:0", "host"),
        ("redis://h:65536", "host"),
        ("redis://h:x", "host"),
        ("redis://h:²", "host"),
        ("redis://[::1", "host"),
        ("redis://[::1]x", "host"),
        ("redis://a,b", "cluster"),
        ("redis+cluster://a,,b", "host"),
        ("redis+cluster://a/1", "database 0"),
        ("redis+cluster://a?db=1", "database 0"),
        ("redis://h/one", "number"),
        ("redis://h/-1", "number"),
        ("redis://h?db=x", "number"),
        ("redis+sentinel://h", "service"),
        ("redis+sentinel://h/", "service"),
        ("redis+sentinel://h/main/x", "number"),
        ("redis://secret@h", "user:password"),
        ("redis://u:sec/ret@h", "%2F"),
        ("redis://u:sec?ret@h", "%3F"),
        ("redis://u:sec#ret@h", "%23"),
        ("redis://u:sec?ret@h", "%3F"),
        ("redis://h?colour=1", "colour"),
        ("redis://h?timeout=1", "timeout="),
        ("redis://h?socket_timeout=1", "timeout="),
        ("redis://h?ssl_ca_certs=x", "rediss"),
        ("redis+cluster://h?sentinel_password=x", "sentinel_password"),
        ("rediss://h?ssl_cert_reqs=maybe", "required"),
        ("rediss://h?ssl_check_hostname=maybe", "true"),
        ("redis://h?db=1&db=2", "twice"),
        ("unix://run/x.sock", "three slashes"),
        ("unix:///", "three slashes"),
    ],
)
def test_what_is_no_such_url_is_refused_without_a_word_of_its_password(url, hint):
    with pytest.raises(ValueError) as raised:
        parse_url(url)

    assert hint in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "sec" not in str(raised.value).replace("seconds", "")


def test_certificates_need_not_be_demanded_as_others_write_it():
    assert parse_url("rediss://h?ssl_cert_reqs=CERT_NONE").options == {
        "ssl_cert_reqs": "none",
        "ssl_check_hostname": False,
    }
