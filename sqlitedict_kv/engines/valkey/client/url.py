"""URLs that name servers."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote

from sqlitedict_kv.engines.valkey.schemes import SCHEMES

Mode = Literal["single", "cluster", "sentinel"]
PORT = 6379
SENTINEL_PORT = 26379
HIGHEST_PORT = 65535
TRUE = ("1", "true", "yes", "t", "y")
FALSE = ("0", "false", "no", "f", "n")
PLAIN_OPTIONS = frozenset({"client_name", "db", "username", "password"})
TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
    }
)
SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})


class Address(NamedTuple):
    """What a URL says; no text of it but ``label`` is for messages, as it may hold a password."""

    mode: Mode
    tls: bool
    hosts: tuple[tuple[str, int], ...]  # empty for a socket of the file system
    path: str  # of that socket
    service: str  # what the sentinels call the primary
    db: int
    username: str | None
    password: str | None
    options: dict[str, str | bool]  # under redis-py's names
    label: str


def parse_url(text: str) -> Address:
    """Return what a URL says.

    Raises:
        ValueError: it is not such a URL, or has an unknown option.

    >>> parse_url("valkey+cluster://ada:s3cret@one:7000,[::1]").hosts
    (('one', 7000), ('::1', 6379))
    """
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in SCHEMES:
        raise ValueError(f"the scheme of a server's URL is one of {', '.join(sorted(SCHEMES))}")
    if "#" in rest:
        raise ValueError(f"{scheme}://...: write # as %23 in the URL of a server")
    rest, _, query = rest.partition("?")
    if "@" in query:
        raise ValueError(f"{scheme}://...: write ? as %3F in the password of a URL, and @ as %40 behind the ?")
    place, slash, path = rest.partition("/")
    if "@" in path:
        raise ValueError(f"{scheme}://...: write / as %2F in the password of a URL")
    userinfo, _, netloc = place.rpartition("@")
    base, _, kind = scheme.partition("+")
    mode: Mode = "cluster" if kind == "cluster" else "sentinel" if kind == "sentinel" else "single"
    tls = base in ("valkeys", "rediss")
    options = _options(query, scheme, tls=tls, mode=mode)
    username, password = _credentials(userinfo, options, scheme)
    where = unquote(slash + path) if base == "unix" else unquote(path)
    hosts, service, db = _place(scheme, mode, netloc, where)
    if "db" in options:
        db = _database(str(options.pop("db")), scheme)
    if mode == "cluster" and db:
        raise ValueError(f"{scheme}://...: a cluster has database 0 only")
    names = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
    tail = where if base == "unix" else f"/{service}" if service else ""
    label = f"{scheme}://{names}{tail}" + (f"/{db}" if db and base != "unix" else f"?db={db}" if db else "")
    socket = where if base == "unix" else ""
    return Address(mode, tls, hosts, socket, service, db, username, password, options, label)


def _place(scheme: str, mode: Mode, netloc: str, path: str) -> tuple[tuple[tuple[str, int], ...], str, int]:
    """Return hosts, service and database."""
    if scheme == "unix":
        if netloc or path.strip("/") == "":
            raise ValueError("unix://...: a socket is named by three slashes, as in unix:///run/valkey/valkey.sock")
        return (), "", 0
    port = SENTINEL_PORT if mode == "sentinel" else PORT
    hosts = tuple(_host(part.strip(), port, scheme) for part in netloc.split(","))
    if mode == "single" and len(hosts) > 1:
        raise ValueError(f"{scheme}://...: several hosts need {scheme}+cluster:// or {scheme}+sentinel://")
    if mode != "sentinel":
        return hosts, "", _database(path, scheme)
    service, _, db = path.partition("/")
    if not service:
        raise ValueError(f"{scheme}://...: behind the sentinels comes the name of the service, as in h1,h2/primary/0")
    return hosts, service, _database(db, scheme)


def _host(text: str, port: int, scheme: str) -> tuple[str, int]:
    """Return a host and its port."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        number = rest.removeprefix(":") if bracket and (not rest or rest.startswith(":")) else "?"
    else:
        host, _, number = text.partition(":")
    if not host or (number and not (number.isascii() and number.isdigit() and 0 < int(number) <= HIGHEST_PORT)):
        raise ValueError(
            f"{scheme}://...: a host is written as name, name:port or [IPv6]:port, and there is at least one"
        )
    return unquote(host), int(number) if number else port


def _database(text: str, scheme: str) -> int:
    """Return the number of a database."""
    number = text.strip("/")
    if number and not (number.isascii() and number.isdigit()):
        raise ValueError(f"{scheme}://...: a database is a number, not {number[:40]!r}")
    return int(number or 0)


def _credentials(userinfo: str, options: dict[str, str | bool], scheme: str) -> tuple[str | None, str | None]:
    """Return user and password, which are taken out of the options."""
    name, colon, secret = userinfo.partition(":")
    if userinfo and not colon:
        raise ValueError(f"{scheme}://...: before the @ comes user:password, or :password")
    username = options.pop("username", None) or unquote(name) or None
    password = options.pop("password", None) or unquote(secret) or None
    return (username and str(username)), (password and str(password))


def _options(query: str, scheme: str, *, tls: bool, mode: Mode) -> dict[str, str | bool]:
    """Return the options behind the question mark."""
    known = PLAIN_OPTIONS
    if tls:
        known |= TLS_OPTIONS
    if mode == "sentinel":
        known |= SENTINEL_OPTIONS
    options: dict[str, str | bool] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known and "@" in query:
            raise ValueError(f"{scheme}://...: write ? as %3F in the password of a URL")
        if name not in known:
            hint = "; for TLS the scheme is valkeys:// or rediss://" if name in TLS_OPTIONS else ""
            hint = "; the store's timeout= says how long a call may take" if "timeout" in name else hint
            raise ValueError(
                f"{scheme}://...: there is no option {name[:40]!r} here, only {', '.join(sorted(known))}{hint}"
            )
        if name in options:
            raise ValueError(f"{scheme}://...: the option {name} is there twice")
        options[name] = _check_parameter(name, value, scheme)
    if options.get("ssl_cert_reqs") == "none":
        options["ssl_check_hostname"] = False  # redis-py 6 demands that it is said
    return options


def _check_parameter(name: str, value: str, scheme: str) -> str | bool:
    if name == "ssl_cert_reqs":
        word = value.lower().removeprefix("cert_")
        if word not in ("none", "optional", "required"):
            raise ValueError(f"{scheme}://...: ssl_cert_reqs must be none, optional or required")
        return word
    if name == "ssl_check_hostname":
        if value.lower() not in TRUE + FALSE:
            raise ValueError(f"{scheme}://...: {name} is true or false")
        return value.lower() in TRUE
    return value
