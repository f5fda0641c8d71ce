"""Configuration of the plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

NAME = "sqlitedict-kv"


class Configuration(NamedTuple):
    """Settings of the plugin.

    Attributes:
        stores: the paths or addresses of the stores, by the names that their pages have.
        loopback: whether requests for another host than this machine are refused, and the pages are the home page.
    """

    stores: Mapping[str, str]
    loopback: bool

    @classmethod
    def of(cls, datasette: Any) -> Configuration:
        """Return that of a Datasette.

        Raises:
            ValueError: it is not as described.
        """
        given = datasette.plugin_config(NAME) or {}
        stores = given.get("stores", {})
        if not isinstance(stores, Mapping) or not all(
            isinstance(part, str) for pair in stores.items() for part in pair
        ):
            raise ValueError(f"'stores' of the plugin {NAME} must have paths or addresses by name, not {stores!r}")
        return cls(stores, bool(given.get("loopback", False)))
