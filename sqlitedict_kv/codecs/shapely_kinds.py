"""Geometries of shapely as coordinates, rings and parts; no parser of a geometry's bytes sees those of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from sqlitedict_kv.codecs.library_kinds import LibraryKind
from sqlitedict_kv.codecs.parts import require
from sqlitedict_kv.errors import CodecError

OF_COORDINATES = (shapely.Point, shapely.LineString, shapely.LinearRing)
OF_PARTS = (shapely.MultiPoint, shapely.MultiLineString, shapely.MultiPolygon, shapely.GeometryCollection)
DIMENSIONS = (2, 3)


def take_coordinates(value: Any) -> list[Any]:
    """Return the coordinates and the reference system of a point or a line."""
    return [_coordinates(value), shapely.get_srid(value).item()]


def _coordinates(value: Any) -> Any:
    if getattr(value, "has_m", False):
        raise CodecError("a geometry with measures (M) cannot be kept; keep its coordinates")
    return shapely.get_coordinates(value, include_z=value.has_z)


def build_coordinates(cls: Any) -> Any:
    """Return what builds a point or a line."""

    def build(parts: list[Any]) -> Any:
        coordinates, system = parts
        _require_coordinates(coordinates)
        require(cls is not shapely.Point or len(coordinates) <= 1)
        made = (
            cls(coordinates[0] if cls is shapely.Point and len(coordinates) else coordinates)
            if len(coordinates)
            else cls()
        )
        return _with_system(made, system)

    return build


def _require_coordinates(coordinates: Any) -> None:
    require(type(coordinates) is np.ndarray and coordinates.dtype == np.float64)
    require(coordinates.ndim == 2 and coordinates.shape[1] in DIMENSIONS)  # noqa: PLR2004 - points, and their numbers


def _with_system(made: Any, system: Any) -> Any:
    require(type(system) is int)
    return shapely.set_srid(made, system) if system else made


def take_polygon(value: shapely.Polygon) -> list[Any]:
    """Return the outer ring, those of the holes, and the reference system."""
    return [
        _coordinates(value.exterior),
        [_coordinates(ring) for ring in value.interiors],
        shapely.get_srid(value).item(),
    ]


def build_polygon(parts: list[Any]) -> Any:
    """Return a polygon."""
    outer, holes, system = parts
    require(type(holes) is list)
    for ring in (outer, *holes):
        _require_coordinates(ring)
    return _with_system(shapely.Polygon(outer, holes) if len(outer) else shapely.Polygon(), system)


def take_parts(value: Any) -> list[Any]:
    """Return the geometries that a collection holds, and its reference system."""
    return [list(value.geoms), shapely.get_srid(value).item()]


def build_parts(cls: Any) -> Any:
    """Return what builds a collection."""

    def build(parts: list[Any]) -> Any:
        geometries, system = parts
        require(type(geometries) is list and all(isinstance(part, shapely.Geometry) for part in geometries))
        return _with_system(cls(geometries), system)

    return build


KINDS: dict[type, LibraryKind] = {
    **{cls: LibraryKind(f"shapely.{cls.__name__}", take_coordinates, build_coordinates(cls)) for cls in OF_COORDINATES},
    **{cls: LibraryKind(f"shapely.{cls.__name__}", take_parts, build_parts(cls)) for cls in OF_PARTS},
    shapely.Polygon: LibraryKind("shapely.Polygon", take_polygon, build_polygon),
}
BY_NAME = {kind.name: kind for kind in KINDS.values()}


def kind_of(cls: type) -> LibraryKind | None:
    """Return the kind of a class of shapely."""
    return KINDS.get(cls)


def kind_named(name: str) -> LibraryKind | None:
    """Return the kind of a stored name."""
    return BY_NAME.get(name)
