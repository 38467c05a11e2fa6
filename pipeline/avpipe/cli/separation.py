"""`avpipe train`, `evaluate` and `separate`: from shards to separators and their scores."""

from pathlib import Path
from typing import Annotated, Any

import typer

from avpipe.cli import output

Wiener = Annotated[
    bool, typer.Option("--wiener", help="Share the mixture out by a Wiener filter over the stems.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(
        epilog="Example: avpipe train mhunet --recipe solos-paper --data data/solos --out runs/one"
    )(train)
    app.command(
        epilog="Example: avpipe evaluate runs/mhunet oracle mixture --data data/solos --out scores"
    )(evaluate)
    app.command(
        epilog="Example: avpipe separate duet.mp4 --run runs/mhunet --instruments violin,cello"
        " --out stems"
    )(separate)


def train(
    separator: Annotated[
        str | None, typer.Argument(metavar="SEPARATOR", help="Instead of the recipe's.")
    ] = None,
    data: Annotated[Path, typer.Option(help="A built dataset.")] = Path(),
    recipe: Annotated[str, typer.Option(help="A published training, or short.")] = "short",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("run"),
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="recipe.NAME or separator.NAME."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Run to start from.")] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="Weights of networks that see, as separator.pretrained.")
    ] = None,
    accompaniment: Annotated[
        Path | None, typer.Option(help="A built dataset of what accompanies voices.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything drawn.")] = 0,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs that share every batch.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network with torch.compile.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Budget; the run ends resumable when it is spent.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    recipes: Annotated[bool, typer.Option("--recipes", help="List the recipes and end.")] = False,
    json: output.Json = False,
) -> int:
    """Trains a separator on a dataset's shards; stop it at any time and go on with --resume."""
    from dataclasses import asdict

    from avpipe.cli.options import parse_settings
    from avpipe.config import configure
    from avpipe.errors import UsageError
    from avpipe.separation.recipes import RECIPES
    from avpipe.separation.train import Config, first_process
    from avpipe.separation.train import train as run

    if recipes:
        rows: list[list[Any]] = [[n, r.separator, r.follows] for n, r in RECIPES.items()]
        if json:
            output.document(
                [dict(zip(("name", "separator", "follows"), r, strict=True)) for r in rows]
            )
        else:
            output.table("", ["recipe", "separator", "follows"], rows)
        return 0
    form = "recipe.NAME=VALUE or separator.NAME=VALUE, as in recipe.batch=8"
    settings = parse_settings(setting or [], form)
    for table in settings:
        if table not in ("recipe", "separator"):
            raise UsageError(f"--set {table}: must be {form}")
    options = settings.get("separator", {})
    if pretrained is not None:
        options = {**options, "pretrained": pretrained}
    values = {
        "data": data,
        "out": out,
        "recipe": recipe,
        "separator": separator,
        "changes": settings.get("recipe", {}),
        "options": options,
        "accompaniment": accompaniment,
        "weights": weights,
        "seed": seed,
        "device": device,
        "devices": devices,
        "precision": precision,
        "compile": compile,
        "seconds": None if minutes is None else minutes * 60,
        "resume": resume,
    }
    result = run(configure(Config, values, "avpipe train"))
    if not first_process():
        return 0
    if json:
        output.document(asdict(result))
    else:
        output.text(
            f"{result.run}: {result.steps:,} steps ({result.stopped}), training loss"
            f" {result.train_loss:.4g}, validation loss {result.validation_loss:.4g}, SI-SDR"
            f" {result.validation_si_sdr:.2f} dB, {result.samples_per_second:.1f} samples/s"
        )
    return 0


def evaluate(
    systems: Annotated[
        list[str], typer.Argument(metavar="SYSTEM", help="Runs, and the bounds oracle, mixture.")
    ],
    data: Annotated[
        Path, typer.Option(help="A dataset (one with stems: its own mixtures), or URMP's folder.")
    ] = Path(),
    out: Annotated[Path | None, typer.Option(help="Folder for tables, scores and plots.")] = None,
    mixtures: Annotated[int, typer.Option(min=1, help="Mixtures drawn from a dataset.")] = 100,
    categories: Annotated[
        str | None,
        typer.Option(help="Of the two sources of a mixture: different [default], any or same."),
    ] = None,
    mixture_list: Annotated[
        Path | None, typer.Option("--list", help="mixtures.csv of an evaluation, or test pairs.")
    ] = None,
    segment_samples: Annotated[
        int | None, typer.Option(min=1, help="Cut ensembles into segments of so many samples.")
    ] = None,
    accompaniment: Annotated[
        Path | None, typer.Option(help="A built dataset, one clip of it in every mixture.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the mixtures.")] = 0,
    wiener: Wiener = False,
    device: Device = "auto",
    json: output.Json = False,
) -> int:
    """Scores separators on one test set, beside the published rows and the bounds.

    The first system is the one that the others are compared with, pair by pair.
    """
    from avpipe.separation.device import pick
    from avpipe.separation.evaluate import evaluate as run

    report = run(
        systems,
        data,
        out=out,
        mixing=_mixing(categories, mixture_list),
        mixtures=mixtures,
        mixture_list=mixture_list,
        segment_samples=segment_samples,
        accompaniment=accompaniment,
        seed=seed,
        wiener=wiener,
        device=pick(device),
    )
    if json:
        output.document(report.facts())
    else:
        output.text(report.table)
    return 0


def separate(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="Sound or video.")],
    run: Annotated[Path, typer.Option(help="Folder of a training.")],
    out: Annotated[Path, typer.Option(help="Folder for the stems.")] = Path("stems"),
    instruments: Annotated[
        str | None, typer.Option(metavar="A,B", help="Which are played [default: all it knows].")
    ] = None,
    exact_sum: Annotated[
        bool, typer.Option("--exact-sum", help="Make the stems add up to the mixture.")
    ] = False,
    wiener: Wiener = False,
    players: Annotated[
        int | None, typer.Option(help="In the picture, left to right, for separators that see.")
    ] = None,
    videos: Annotated[
        str | None, typer.Option(help="A video of every player too: crop, or dim the others.")
    ] = None,
    device: Device = "auto",
    json: output.Json = False,
) -> int:
    """Takes a recording apart: a wav per instrument, as long as the recording, and a picture."""
    from avpipe import separation
    from avpipe.separation.device import pick

    names = None if instruments is None else [n.strip() for n in instruments.split(",")]
    found = separation.separate(
        recording,
        run,
        names,
        out=out,
        exact_sum=exact_sum,
        wiener=wiener,
        players=players,
        videos=_style(videos),
        device=pick(device),
    )
    if json:
        output.document(
            {"sample_rate": found.sample_rate, "stems": list(found.stems), "files": found.files}
        )
    else:
        for file in found.files:
            output.text(str(file))
    return 0


def _mixing(categories: Any, mixture_list: Path | None) -> Any:
    """Duets of such categories; None: as `evaluate` has it."""
    from avpipe.errors import UsageError
    from avpipe.separation.mixing import Mixing

    if categories is None:
        return None
    if categories not in ("different", "any", "same"):
        raise UsageError(f"--categories {categories}: must be different, any or same")
    if mixture_list is not None:
        raise UsageError("--list says what is mixed: leave --categories out")
    return Mixing(categories=categories, combine="sum")


def _style(name: str | None) -> Any:
    from avpipe.errors import UsageError

    if name not in (None, "crop", "dim"):
        raise UsageError(f"--videos {name}: must be crop or dim")
    return name
