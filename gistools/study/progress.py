"""Progress on standard error: what is being done, how far it is, and how long it will still take."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Progress over years and their blocks.

    On a terminal one line is rewritten; elsewhere a line is written for each finished year.

    Parameters
    ----------
    years : int
        How many years there are.
    stream : text stream, optional
        Standard error by default.
    quiet : bool
        Write nothing.
    done : str
        What a finished year is.
    """

    def __init__(
        self, years: int, *, stream: TextIO | None = None, quiet: bool = False, done: str = "measured"
    ) -> None:
        self.years = years
        self.done = done
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.live = not quiet and self.stream.isatty()
        self.begun = time.monotonic()
        self.finished: set[int | str] = set()
        self.drawn = 0.0

    def __call__(self, year: int | str, done: int, of: int) -> None:
        """Report blocks done of a year (or of a file, where there are no years)."""
        if done >= of:
            self.finished.add(year)
        part = len(self.finished) + (done / of if of and year not in self.finished else 0.0)
        left = self._left(part / self.years)
        now = time.monotonic()
        if self.live and (now - self.drawn > 0.1 or done >= of):
            self.drawn = now
            self._write(f"\r\x1b[K{year}: block {done} of {of}, year {len(self.finished)} of {self.years}{left}")
        elif not self.live and done >= of:
            self._write(f"{year}: {self.done}, year {len(self.finished)} of {self.years}{left}\n")

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self._write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")

    def close(self) -> None:
        """End the line that was being rewritten."""
        if self.live:
            self._write("\r\x1b[K")

    def _left(self, share: float) -> str:
        elapsed = time.monotonic() - self.begun
        if share <= 0 or share >= 1 or elapsed < 1:
            return ""
        seconds = elapsed / share * (1 - share)
        return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"

    def _write(self, text: str) -> None:
        if not self.quiet:
            self.stream.write(text)
            self.stream.flush()
