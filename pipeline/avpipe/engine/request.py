"""What is to be built, and how: the options of a build over a manifest."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from avpipe.dag import LINE, Node, Settings, limits, line, with_grid
from avpipe.engine.plan import Planner
from avpipe.errors import UsageError
from avpipe.ledger import Ledger
from avpipe.limits import TaskLimits
from avpipe.lists import removed
from avpipe.lists.locking import Lock
from avpipe.manifest import Manifest, locate
from avpipe.manifest.model import Keep
from avpipe.store import Store
from avpipe.types import Recording

SERVED = "http://served"
"""Stands for the loopback server in what is remembered: its port changes with every build."""


RELEASED: Mapping[Keep, tuple[str, ...]] = {
    "source": (),
    "video": ("download",),
    "none": ("download", "video"),
}
"""What stays on disk after packing -> stages whose data go. Other outputs stay."""


def kept(name: str) -> Keep:
    """What `--keep` asks for.

    Raises:
        UsageError: it is nothing that can stay.
    """
    for keep in RELEASED:
        if keep == name:
            return keep
    raise UsageError(f"--keep {name}: must be one of {', '.join(RELEASED)}")


@dataclass(frozen=True)
class Request:
    """What to build, and how."""

    manifest: Manifest
    out: Path
    """Folder of the dataset."""
    settings: Settings = field(default_factory=dict)
    """stage -> parameters over the manifest's."""
    fields: tuple[str, ...] | None = None
    """Fields to make; None: the manifest's."""
    source: str | None = None
    """URL template or folder over the manifest's source."""
    ids: tuple[str, ...] | None = None
    limit: int | None = None
    until: str | None = None
    """Last stage to run; nothing is packed."""
    offline: bool = False
    retry_failed: bool = False
    compact: bool = False
    """Lay the shards out as a build from scratch does."""
    keep: Keep | None = None
    """What stays on disk after packing; None: what the manifest says."""
    lock: Lock | None = None
    """Build exactly what was available when it was made."""
    freeze: tuple[str, ...] = ()
    """Stages whose outputs are kept although they are stale; the shards say so."""

    @property
    def dataset(self) -> Manifest:
        """The manifest on the time grid that the settings ask for."""
        return with_grid(self.manifest, self.settings)

    @property
    def limits(self) -> TaskLimits:
        """What one task may take."""
        return limits(self.manifest, self.settings)[1]

    @property
    def store(self) -> Store:
        """The artifacts."""
        return Store(self.out / "work")

    def nodes(self) -> tuple[Node, ...]:
        """The line, up to `until`.

        Raises:
            UsageError: unknown fields, stages or parameters.
        """
        nodes = line(self.manifest, wanted=self.fields, settings=self.settings)
        if self.until is None:
            return nodes
        names = [node.name for node in nodes]
        if self.until not in names:
            raise UsageError(f"--until {self.until}: the line has {', '.join(names)}")
        return nodes[: names.index(self.until) + 1]

    def selected(self) -> tuple[Recording, ...]:
        """The recordings that `ids` and `limit` leave, in manifest order.

        Raises:
            UsageError: an id that the manifest does not have.
        """
        recordings = self.manifest.recordings
        if self.ids is not None:
            known = {r.id for r in recordings}
            for name in self.ids:
                if name not in known:
                    near = difflib.get_close_matches(name, known, 1)
                    hint = f": did you mean {near[0]}?" if near else ""
                    raise UsageError(f"--ids: {self.manifest.name} has no recording {name!r}{hint}")
            recordings = tuple(r for r in recordings if r.id in set(self.ids))
        return recordings[: self.limit]

    @cached_property
    def locators(self) -> Mapping[str, str]:
        """Selected recording's id -> where it is downloaded from.

        Raises:
            UsageError: there is no source, or it is not one.
        """
        return {r.id: locate(self.manifest, r, self.source, server=SERVED) for r in self.selected()}

    def restricted(self) -> "Request":
        """The request for what its lock has, without recordings that were removed on request.

        Raises:
            UsageError: a removed recording is asked for by its id.
        """
        request = self
        if request.lock is not None:
            request = replace(request, manifest=request.lock.restrict(request.manifest))
        found = removed.read(request.out)
        for name in found.ids.intersection(request.ids or ()):
            raise UsageError(f"--ids: {name} was removed from {request.out} on request")
        if not found.rows:
            return request
        download = {**request.settings.get("download", {}), "refused": found.media}
        return replace(
            request,
            manifest=found.without(request.manifest),
            settings={**request.settings, "download": download},
        )

    def served(self, server: str) -> Mapping[str, str]:
        """Where recordings are downloaded from while the loopback server runs.

        Args:
            server: its address, or `SERVED` if there is none.
        """
        if server == SERVED:
            return self.locators
        return {
            name: server + locator.removeprefix(SERVED) if locator.startswith(SERVED) else locator
            for name, locator in self.locators.items()
        }

    def planner(self, ledger: Ledger | None) -> Planner:
        """What knows the steps."""
        return Planner(
            self.manifest.name,
            self.nodes(),
            self.store,
            ledger,
            self.locators,
            retry_failed=self.retry_failed,
            freeze=self._frozen(),
        )

    def _frozen(self) -> tuple[str, ...]:
        for stage in self.freeze:
            if stage not in LINE:
                raise UsageError(f"--freeze {stage}: the stages are {', '.join(LINE)}")
        return self.freeze
