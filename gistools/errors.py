"""Errors for people: each message names the file, city, year or column, what is wrong, and the mend.

Every error of the package is a :class:`GistoolsError`. Those caused by what was given (a file, a table, an
option) are :class:`InputError`, which is also a ``ValueError``; the command line ends with exit code 2 for
them and with 1 for any other.
"""

from __future__ import annotations


class GistoolsError(Exception):
    """Any error the package raises on purpose."""


class InputError(GistoolsError, ValueError):
    """Something that was given is wrong: a file, a table, an option."""


class FileMissingError(InputError, FileNotFoundError):
    """A file that was named does not exist."""

    def __str__(self) -> str:  # FileNotFoundError would print an errno pair
        return str(self.args[0]) if self.args else ""


class CrsError(InputError):
    """A coordinate reference system is missing, wrong, or does not fit its data."""


class GridError(InputError):
    """A raster cannot be read, or two lattices cannot be brought together."""


class BoundaryError(InputError):
    """City polygons are invalid, overlap, share codes, or lie outside the grids."""


class TableError(InputError):
    """A table lacks a column, a key is not unique, or values are not what the column says."""


class PanelError(TableError):
    """A city-year panel is not what the method needs (keys, balance, missing years)."""


class WeightsError(InputError):
    """Spatial weights do not fit the cities, or are not what the method needs."""


class ConfigError(InputError):
    """A configuration file has an unknown key or a value that is not allowed."""


class OutputError(GistoolsError, OSError):
    """A result cannot be written: no right to the folder, or the disk is full."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ConvergenceError(GistoolsError, RuntimeError):
    """A numerical search did not find its answer."""
