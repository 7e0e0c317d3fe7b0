"""Sources that count what is read through them: a file is written from every cell once, so nothing is read twice."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gistools.grid import Block, Grid, GridSource, Window


class CountedSource(ABC):
    """A source whose blocks are counted on their way."""

    def __init__(self, source: GridSource) -> None:
        self.source = source

    @property
    def grid(self) -> Grid:
        """The lattice of the source."""
        return self.source.grid

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source.name

    def read(self, window: Window) -> Block:
        """Read the cells of a window, and count them."""
        block = self.source.read(window)
        self.count(block)
        return block

    @abstractmethod
    def count(self, block: Block) -> None:
        """Add up what a block holds."""
