"""The line: the stages and what feeds what.

    download -> video -> detect -> segment ----+
            \\-> audio -----------^             +-> pack -> shards
                          detect -> interpolate +

    video -> frames, video + detect -> faces, mouths, download -> stems, notes: of some datasets
    video -> players -> player_frames, player_detect -> player_skeletons: of ensembles

`LINE` lists the stages so that each stands after what it reads (their NEEDS); `line` resolves it
for one dataset: which stages its fields need, with which parameters, programs and models.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from avpipe import detectors, stages
from avpipe.config import configure, key_parameters
from avpipe.errors import UsageError
from avpipe.limits import MediaLimits, TaskLimits, read_limits
from avpipe.manifest import Manifest
from avpipe.manifest.location import medium_id
from avpipe.stages import Pool
from avpipe.store import canonical, sha256_text
from avpipe.types import Recording

LINE = (
    "download",
    "video",
    "audio",
    "stems",
    "notes",
    "frames",
    "detect",
    "segment",
    "interpolate",
    "faces",
    "mouths",
    "players",
    "player_frames",
    "player_detect",
    "player_skeletons",
)

FIELDS = {
    "audio": "audio",
    "stems": "stems",
    "notes": "notes",
    "frames": "frames",
    "skeleton": "interpolate",
    "face_landmarks": "interpolate",
    "faces": "faces",
    "mouths": "mouths",
    "player_frames": "player_frames",
    "player_skeletons": "player_skeletons",
}
"""Field of a dataset -> the stage whose artifact it is packed from."""

OF_FACES = {"face_landmarks", "faces", "mouths"}
"""Fields for which the detector has to look for faces."""

Settings = Mapping[str, Mapping[str, Any]]
"""stage -> parameters that override the manifest's, as `--set stage.param=value` gives them."""


@dataclass(frozen=True)
class Node:
    """One stage of one dataset's line."""

    name: str
    needs: tuple[str, ...]
    """Stages of this line whose artifacts it reads; none: a source, which is never redone."""
    pool: Pool
    config: Any
    identity: Mapping[str, Any]
    """Stage, version, parameters and tool: what a key holds beside the inputs."""
    columns: tuple[str, ...] = ()
    """Further columns of the manifest that shape its output."""
    outside: Callable[[Recording], dict[str, Any] | None] | None = None
    """Digests of what else it reads of a recording, such as imported keypoints; None: it cannot be
    looked at now."""
    admission: Callable[[Recording, Mapping[str, Any]], None] | None = None
    """Raises `RecordingFailed` for an output, by its facts, that may not be used any more."""

    def key(self, recording: Recording, dataset: str, digests: Mapping[str, str]) -> str:
        """The key of this stage's artifact for a recording: of the canonical JSON of its identity
        and inputs.

        Args:
            recording: the recording.
            dataset: name of the dataset; only a source's key holds it.
            digests: stage -> content digest of its artifact.
        """
        if self._is_plain:
            # most keys are made of digests alone: the text around them is made once
            text = self._template % tuple(digests[name] for name in sorted(self.needs))
        else:
            text = canonical({"inputs": self.inputs(recording, dataset, digests), **self.identity})
        return sha256_text(text)

    def inputs(
        self, recording: Recording, dataset: str, digests: Mapping[str, str]
    ) -> dict[str, Any]:
        """What the key holds beside the identity."""
        if not self.needs:
            return {"dataset": dataset, "id": medium_id(recording)}
        given = {name: digests[name] for name in self.needs}
        if self._is_given:
            given["start_seconds"] = repr(recording.start_seconds)
            given["stop_seconds"] = repr(recording.stop_seconds)
        given |= {name: recording.extra.get(name, "") for name in self.columns}
        return ((self.outside(recording) if self.outside else None) or {}) | given

    @cached_property
    def _is_given(self) -> bool:
        return getattr(self.config, "source", None) == "given"

    @cached_property
    def _is_plain(self) -> bool:
        return bool(self.needs) and not (self._is_given or self.columns or self.outside)

    @cached_property
    def _template(self) -> str:
        inputs = dict.fromkeys(self.needs, "\0")
        text = canonical({"inputs": inputs, **self.identity})
        return text.replace("%", "%%").replace("\\u0000", "%s")


def line(
    manifest: Manifest,
    *,
    wanted: Sequence[str] | None = None,
    settings: Settings | None = None,
) -> tuple[Node, ...]:
    """The stages that a dataset needs, each after what it reads.

    Args:
        manifest: the dataset.
        wanted: fields to make; None: the manifest's.
        settings: parameters that override the manifest's.

    Raises:
        UsageError: an unknown field, stage or parameter, or a detector that does not give what is
            wanted.
    """
    settings = settings or {}
    tables = [name for name in LINE if not hasattr(stages.load(name), "PARAMETERS")]
    for table in settings:
        if table not in (*tables, "limits"):
            raise UsageError(
                f"unknown stage {table!r} in --set; there are {', '.join(tables)}, and limits"
            )
    manifest = with_grid(manifest, settings)
    wanted = tuple(wanted or manifest.fields)
    for name in wanted:
        if name not in FIELDS:
            raise UsageError(f"unknown field {name!r}; there are {', '.join(FIELDS)}")
    faces = not OF_FACES.isdisjoint(wanted)
    media, _ = limits(manifest, settings)
    configs = {name: _config(name, manifest, settings, media, faces) for name in LINE}
    needed = {FIELDS[name] for name in wanted} | {"segment"}
    for name in reversed(LINE):
        if name in needed:
            needed.update(_needs(name, configs[name]))
    _check_detector(configs, needed, wanted)
    return tuple(_node(name, configs[name], needed) for name in LINE if name in needed)


def with_grid(manifest: Manifest, settings: Settings) -> Manifest:
    """The manifest with the `fps` and `sample_rate` that the settings of any stage give: they are
    one for the whole dataset.

    Raises:
        UsageError: two stages are given different ones.
    """
    for name in ("fps", "sample_rate"):
        given = {table[name] for table in settings.values() if name in table}
        if len(given) > 1:
            raise UsageError(f"{name} is one for all stages, not {sorted(given)}")
        if given:
            manifest = replace(manifest, **{name: given.pop()})
    return manifest


def limits(manifest: Manifest, settings: Settings) -> tuple[MediaLimits, TaskLimits]:
    """The limits of the manifest, with what the settings say of `limits` over them."""
    table = {**manifest.table("limits"), **settings.get("limits", {})}
    return read_limits(table, f"{manifest.name} [limits]")


def upstream(stage: str) -> set[str]:
    """The stage and everything that feeds it."""
    return {stage}.union(*(upstream(name) for name in stages.load(stage).NEEDS))


def _needs(name: str, config: Any) -> tuple[str, ...]:
    """What a stage reads; segments that are not searched for need no keypoints."""
    needs = stages.load(name).NEEDS
    searched = name != "segment" or config.source == "hands"
    return needs if searched else tuple(n for n in needs if n != "detect")


def _config(
    name: str, manifest: Manifest, settings: Settings, media: MediaLimits, faces: bool
) -> Any:
    stage = stages.load(name)
    config, table = stage.Config, getattr(stage, "PARAMETERS", name)
    of_dataset = {
        "fps": manifest.fps,
        "sample_rate": manifest.sample_rate,
        "allow_missing": name in manifest.allow_missing,
        "limits": media,
        "licence": manifest.licence,
        "require_licence": manifest.require_licence,
    }
    known = {f.name for f in fields(config)}
    values: dict[str, Any] = {key: value for key, value in of_dataset.items() if key in known}
    of_table = {**manifest.table(table), **settings.get(table, {})}
    if table != name:  # what it does not know of them is the other stage's
        of_table = {key: value for key, value in of_table.items() if key in known}
    values |= of_table
    if name == "detect" and faces:
        detector = values.get("detector", config.detector)
        values["options"] = _with_faces(detector) | values.get("options", {})
    return configure(config, values, f"{manifest.name} [{table}]")


def _with_faces(detector: str) -> dict[str, Any]:
    """The option that makes a detector look for faces; none if it always does."""
    options = {f.name for f in fields(detectors.module(detector).Config)}
    return {"faces": True} if "faces" in options else {}


def _check_detector(
    configs: Mapping[str, Any], needed: Collection[str], wanted: Sequence[str]
) -> None:
    """Refuses a detector without the keypoints that are asked for, before anything runs."""
    users = {
        "skeleton": {"skeleton", "player_skeletons"} & {*wanted},
        "face_landmarks": OF_FACES & {*wanted},
    }
    if "segment" in needed and configs["segment"].source == "hands":
        users["skeleton"].add("segment.source = 'hands'")
    name = configs["detect"].detector
    if "player_detect" in needed and hasattr(detectors.module(name), "load"):
        raise UsageError(f"{name} imports one skeleton: player_skeletons needs a detector")
    gives = getattr(detectors.module(name), "FIELDS", tuple(users))
    for field in users:
        if users[field] and field not in gives:
            raise UsageError(
                f"detector {name} gives {', '.join(gives)} and no {field},"
                f" which {', '.join(sorted(users[field]))} needs: use another detector"
            )


def _node(name: str, config: Any, needed: set[str]) -> Node:
    stage = stages.load(name)
    needs = tuple(n for n in _needs(name, config) if n in needed)
    identity: dict[str, Any] = {"stage": name}
    if needs:
        identity |= {
            "version": stage.VERSION,
            "parameters": key_parameters(config),
            "tool": stage.tool(config),
        }
    uses_gpu = getattr(stage, "uses_gpu", None)
    pool: Pool = "cpu" if uses_gpu is not None and not uses_gpu(config) else stage.POOL
    outside = getattr(stage, "outside", None)
    admission = getattr(stage, "admission", None)
    return Node(
        name,
        needs,
        pool,
        config,
        identity,
        tuple(getattr(stage, "COLUMNS", ())),
        None if outside is None else outside(config),
        None if admission is None else admission(config),
    )
