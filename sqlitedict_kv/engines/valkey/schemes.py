"""Schemes of the addresses of servers."""

TCP = ("valkey", "valkeys", "redis", "rediss")  # those with an s at the end use TLS
SCHEMES = (*TCP, "unix", *(f"{name}+{kind}" for kind in ("cluster", "sentinel") for name in TCP))
