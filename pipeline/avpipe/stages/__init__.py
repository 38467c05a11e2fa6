"""The stages of the line: one file a stage, the folder is the list.

A stage is a module with

    NEEDS    names of the stages whose artifacts it reads (the line itself is `avpipe.dag`)
    POOL     who runs it: "net", "cpu" or "gpu"; one of "gpu" may have `uses_gpu(config) -> bool`
    VERSION  raised by hand whenever the same inputs and parameters would give other data
    Config   frozen dataclass: its parameters with defaults, a docstring under each
    tool     (config) -> dict: identity of the programs and models that shape the output
    run      (job) -> dict: fills `job.out`, returns facts for the provenance sidecar
    PARAMETERS  (optional) stage whose parameters it has, or some: what is said there holds here
    COLUMNS  (optional) further columns of the manifest that shape the output
    outside  (optional) (config) -> None, or a function (recording) -> dict: digests of files
             beside the artifacts that shape the output of this recording, whose `url` says where
             it comes from; None if these are out of reach, and count as they were
    admission  (optional) (config) -> None, or a function (recording, facts) that raises
             `RecordingFailed` if an output with these facts may not be used under this config

`run` reads only what `job` gives it and knows nothing of where it runs. An expected failure of the
recording is raised as `RecordingFailed`. Files named `*.sidecar.json` describe how the data came
about and are not part of the content digest; everything else in the folder is data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

from avpipe.types import Recording

Pool = Literal["net", "cpu", "gpu"]
POOLS: tuple[Pool, ...] = get_args(Pool)
Facts = dict[str, Any]
"""JSON-able facts about one run of a stage."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage is given: one recording, its parameters, its inputs and where to write."""

    recording: Recording
    config: Any
    """The stage's own `Config`."""
    inputs: Mapping[str, Path]
    """Folder of the published artifact of every stage in NEEDS."""
    out: Path
    """Empty folder on the file system of the store; what is in it afterwards is published."""
    partial: Path | None = None
    """Folder, which may have to be made, that outlasts attempts which fail but not for good."""


class Stage(Protocol):
    """What `avpipe.stages.<name>` offers."""

    NEEDS: tuple[str, ...]
    POOL: Pool
    VERSION: int
    Config: type[Any]

    @staticmethod
    def tool(config: Any) -> Facts: ...

    @staticmethod
    def run(job: Job) -> Facts: ...


def load(name: str) -> Stage:
    """The stage module `name`."""
    return cast(Stage, import_module(f"avpipe.stages.{name}"))
