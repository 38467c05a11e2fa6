"""Options that several commands have: what is to be built, and by whom.

A command takes a dataclass of options as its first parameter, and `spelled_out` shows typer a
signature with its fields in that place: so each option is named once, with its type and its help.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from avpipe.cli import output

if TYPE_CHECKING:
    from avpipe.build import Request
    from avpipe.manifest import Manifest

Dataset = Annotated[
    str, typer.Argument(metavar="DATASET", help="A name (avpipe datasets) or a manifest's path.")
]


@dataclass(frozen=True)
class BuildOptions:
    """What is to be built, and who does the work: for `build` and `plan`."""

    dataset: Dataset
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the dataset [default: data/<dataset>].")
    ] = None
    workers: Annotated[
        int,
        typer.Option(min=0, show_default=False, help="CPU workers [default: 0, one per core]."),
    ] = 0
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|ADDRESS", help="Worker profile, or tcp://... of a Dask scheduler."
        ),
    ] = None
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keypoint detector, over the manifest's.")
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|TEMPLATE", help="Mirror: a folder, or a URL with {id} and {category}."
        ),
    ] = None
    ids: Annotated[str | None, typer.Option(metavar="ID,ID", help="Run only these recordings.")] = (
        None
    )
    limit: Annotated[int | None, typer.Option(min=1, help="Run only the first N recordings.")] = (
        None
    )
    fields: Annotated[str | None, typer.Option(metavar="A,B", help="Make only these fields.")] = (
        None
    )
    until: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Last stage to run; no shards.")
    ] = None
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing over a network.")] = (
        False
    )
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="STAGE.PARAM=VALUE", help="A parameter, over the manifest's."
        ),
    ] = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also try again what failed permanently.")
    ] = False
    freeze: Annotated[
        str | None,
        typer.Option(metavar="STAGE,STAGE", help="Keep what these stages made, stale or not."),
    ] = None
    skip_bad_rows: Annotated[
        bool,
        typer.Option("--skip-bad-rows", help="Leave out wrong rows of the list and name them."),
    ] = False
    lock: Annotated[
        Path | None,
        typer.Option("--lock", metavar="FILE", help="Exactly what was there when it was made."),
    ] = None
    require_licence: Annotated[
        str | None,
        typer.Option(
            "--require-licence",
            metavar="PATTERN",
            help='Fetch nothing of another licence: "CC*".',
        ),
    ] = None

    def request(self) -> "Request":
        """What is asked for.

        Raises:
            UsageError: the manifest, the lock or a setting cannot be read.
        """
        from avpipe.errors import UsageError
        from avpipe.lists import locking

        request = make_request(self.dataset, self.out, skip_bad_rows=self.skip_bad_rows)
        settings = parse_settings(self.setting or [])
        if self.detector is not None:
            settings.setdefault("detect", {})["detector"] = self.detector
        if self.require_licence is not None:
            if not self.require_licence.strip():
                raise UsageError("--require-licence is empty: leave it out to allow any licence")
            settings.setdefault("download", {})["require_licence"] = self.require_licence
        return replace(
            request,
            settings=settings,
            fields=_names("--fields", self.fields),
            source=self.source,
            ids=_names("--ids", self.ids),
            limit=self.limit,
            until=self.until,
            offline=self.offline,
            retry_failed=self.retry_failed,
            lock=None if self.lock is None else locking.read(self.lock),
            freeze=_names("--freeze", self.freeze) or (),
        )


def spelled_out(command: Callable[..., int]) -> Callable[..., int]:
    """The command with the fields of its first parameter, a dataclass, as its own parameters."""
    (first, *others) = inspect.signature(command).parameters.values()
    hints = get_type_hints(command, include_extras=True)
    options = hints.pop(first.name)
    of_options = get_type_hints(options, include_extras=True)

    def parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:
        given = inspect.Parameter.empty if default is MISSING else default
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=given, annotation=annotation
        )

    @wraps(command)
    def call(**values: Any) -> int:
        own = {field.name: values.pop(field.name) for field in fields(options)}
        return command(options(**own), **values)

    parameters = [parameter(f.name, f.default, of_options[f.name]) for f in fields(options)]
    parameters += [parameter(p.name, p.default, hints[p.name]) for p in others]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call


def make_request(dataset: str, out: Path | None, *, skip_bad_rows: bool = False) -> "Request":
    """What a build without options is asked for."""
    from avpipe.build import Request
    from avpipe.manifest import read_manifest

    manifest = read_rest(dataset) if skip_bad_rows else read_manifest(dataset)
    return Request(manifest, (out or Path("data") / manifest.name).absolute())


def read_rest(dataset: str) -> "Manifest":
    """The manifest of a dataset that may have been built without its wrong rows, which are named on
    stderr and left out."""
    from avpipe.manifest import read_manifest

    manifest = read_manifest(dataset, skip_bad_rows=True)
    for problem in manifest.skipped:
        output.error(str(problem))
    return manifest


def _names(option: str, text: str | None) -> tuple[str, ...] | None:
    from avpipe.errors import UsageError

    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{option} {text!r} names nothing: leave it out for everything")
    return names


def parse_settings(
    texts: list[str], form: str = "stage.param=value, as in segment.max_gap=6"
) -> dict[str, dict[str, Any]]:
    """`stage.param=value` texts; the value is TOML, or plain text where it is not.

    Args:
        texts: what was given.
        form: how it must be written, for the error.

    Raises:
        UsageError: a text of another form.
    """
    import tomllib

    from avpipe.errors import UsageError

    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        stage, dot, parameter = name.strip().partition(".")
        if not (equals and dot and parameter):
            raise UsageError(f"--set {text}: must be {form}")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value.strip()
        table = settings.setdefault(stage, {})
        for key in parameter.split(".")[:-1]:
            table = table.setdefault(key, {})
        table[parameter.split(".")[-1]] = parsed
    return settings
