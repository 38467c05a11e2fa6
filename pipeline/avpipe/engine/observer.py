"""Who watches a build: what is told while it runs."""

from collections.abc import Mapping
from typing import Protocol

from avpipe.engine.plan import Status


class Observer(Protocol):
    """Who watches a build."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """The line starts with so many recordings per stage."""

    def finished(self, stage: str, status: Status, failure: str | None = None) -> None:
        """A recording is through a stage: run, reused, or failed with a class."""

    def message(self, text: str) -> None:
        """Something a person should know."""


class Unwatched:
    """An observer for builds that nobody watches."""

    def begin(self, totals: Mapping[str, int]) -> None:
        """Nothing."""

    def finished(self, stage: str, status: Status, failure: str | None = None) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""
