"""Facts that servers report about themselves."""

from __future__ import annotations

from sqlitedict_kv.engines.valkey.client.protocol import Link


def server_of(info: bytes) -> str:
    """Return name and release of a server, of its answer to INFO."""
    facts = facts_of(info)
    if "valkey_version" in facts:
        return f"Valkey {facts['valkey_version']}"
    return f"Redis {facts.get('redis_version', '?')}"


def used_memory(info: bytes) -> int:
    """Return the bytes of memory that a server uses, of its answer to INFO."""
    return int(facts_of(info).get("used_memory", 0))


def facts_of(info: bytes) -> dict[str, str]:
    """Return the lines of an answer to INFO by their names."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, separator, value in lines if separator}


def dangers(link: Link) -> list[str]:
    """Return what may lose data although all works: sentences for people."""
    found: list[str] = []
    for policy in sorted(
        {facts_of(info).get("maxmemory_policy", "") for info in link.on_every_server((b"INFO", b"memory"))}
    ):
        if policy.startswith("allkeys-"):
            found.append(
                f"maxmemory-policy is {policy}: the server may evict the index and the clocks, so that keys are "
                f"missing in listings; take noeviction, or volatile-ttl and a ttl for what may go"
            )
        elif policy.startswith("volatile-"):
            found.append(f"maxmemory-policy is {policy}: the server may evict entries that have a ttl before it ends")
    replicas = [
        int(facts_of(info).get("connected_slaves", 0)) for info in link.on_every_server((b"INFO", b"replication"))
    ]
    if min(replicas) < link.confirm:
        found.append(
            f"a primary has {min(replicas)} replicas, and confirm={link.confirm} asks for more: writes will fail"
        )
    return found
