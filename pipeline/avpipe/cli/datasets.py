"""`avpipe datasets`, `overlap` and `manifest check | import | split`: what can be built."""

from pathlib import Path
from typing import Annotated, Any

import typer

from avpipe.cli import output
from avpipe.cli.options import Dataset, read_rest


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe datasets")(datasets)
    app.command(epilog="Example: avpipe overlap solos music21")(overlap)
    manifest = typer.Typer(
        help="Checks a manifest, or makes one from a list of ids.",
        epilog="Example: avpipe manifest import ids.txt --like solos",
        rich_markup_mode=None,
        no_args_is_help=False,
    )
    manifest.command(epilog="Example: avpipe manifest check mine.toml")(check)
    manifest.command("import", epilog="Example: avpipe manifest import ids.txt --like solos")(
        import_
    )
    manifest.command(epilog="Example: avpipe manifest split music --test testsep.csv --out mine")(
        split
    )
    app.add_typer(manifest, name="manifest")


def datasets(json: output.Json = False) -> int:
    """Lists the datasets that can be built by name, with sizes and licences."""
    from avpipe.manifest import names, read_definition, read_manifest

    rows: list[dict[str, Any]] = []
    for name in names():
        definition = read_definition(name)
        listed = definition.bring_list is None
        manifest = read_manifest(name) if listed else definition
        rows.append(
            {
                "name": name,
                "recordings": len(manifest.recordings) if listed else None,
                "categories": len(manifest.categories or {*manifest.labels.values()}) or None,
                "fields": list(manifest.fields),
                "licence": manifest.licence,
                "title": manifest.title,
                "bring_list": manifest.bring_list,
            }
        )
    if json:
        output.document(rows)
        return 0
    output.table(
        "",
        ["name", "recordings", "categories", "fields", "licence of the media", "what"],
        [
            [
                row["name"],
                "your list" if row["recordings"] is None else f"{row['recordings']:,}",
                row["categories"] or "-",
                ", ".join(row["fields"]),
                row["licence"],
                row["title"],
            ]
            for row in rows
        ],
    )
    return 0


def overlap(
    first: Dataset,
    second: Dataset,
    sound: Annotated[
        bool, typer.Option("--sound", help="Of built datasets, by sound: finds re-uploads too.")
    ] = False,
    json: output.Json = False,
) -> int:
    """Lists the videos that two datasets share: what trains one must not test the other.

    By id of the video, which does not find a re-upload under another id: --sound does.
    """
    if sound:
        return _same_sound(first, second, json)
    from avpipe.manifest import overlap as shared

    found = shared(read_rest(first), read_rest(second))
    if json:
        output.document(
            [
                {"video": s.video, first: [r.id for r in s.first], second: [r.id for r in s.second]}
                for s in found
            ]
        )
        return 0
    rows = [[s.video, s.first[0].category, s.second[0].category] for s in found]
    title = f"{output.count(len(found), 'video')} in both"
    output.table(title, ["video", first, second], list(rows))
    return 0


def _same_sound(first: str, second: str, json: bool) -> int:
    from dataclasses import asdict

    from avpipe.cli import place
    from avpipe.lists.sound import shared

    found = list(shared(place.find(first), place.find(second)))
    if json:
        output.document([asdict(match) for match in found])
        return 0
    rows = [[m.a, m.b, m.seconds, m.offset_seconds, m.bit_errors] for m in found]
    columns = [first, second, "seconds", "offset", "bit errors"]
    output.table(f"{output.count(len(found), 'pair')} of the same sound", columns, rows)
    return 0


def check(dataset: Dataset, json: output.Json = False) -> int:
    """Names every problem of a manifest; exit 1 if there is one."""
    from avpipe.manifest import check as problems

    found = problems(dataset)
    if json:
        output.document([str(problem) for problem in found])
    elif found:
        for problem in found:
            output.text(str(problem))
    else:
        output.text(f"{dataset}: no problem")
    return int(bool(found))


def import_(
    file: Annotated[Path, typer.Argument(metavar="LIST", help="csv, tsv, json, txt or a folder.")],
    like: Annotated[str, typer.Option(help="Dataset whose parameters it takes.")] = "solos",
    name: Annotated[
        str | None, typer.Option(help="Of the new dataset [default: the file's].")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the manifest.")] = Path(),
    category: Annotated[str, typer.Option(help="Of rows that name none.")] = "music",
    source: Annotated[str | None, typer.Option(help="youtube, a URL template or a folder.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the media.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: output.Json = False,
) -> int:
    """Makes a manifest that builds from a list of ids or URLs."""
    from avpipe.manifest import import_list

    made = import_list(
        file,
        like=like,
        name=name,
        out=out,
        category=category,
        source=source,
        licence=licence,
        overwrite=overwrite,
    )
    facts = {
        "manifest": str(made.manifest.path),
        "recordings": len(made.manifest.recordings),
        "problems": [str(problem) for problem in made.problems],
        "other_labels": made.other_labels,
    }
    if json:
        output.document(facts)
        return 0
    for problem in made.problems:
        output.text(str(problem))
    path, recordings = made.manifest.path, len(made.manifest.recordings)
    output.text(
        f"{path}: {output.count(recordings, 'recording')}; build with `avpipe build {path}`"
    )
    return 0


def split(
    dataset: Dataset,
    test: Annotated[Path, typer.Option(help="Test pairs, or a list (/cello/ID.wav,/tuba/ID.wav).")],
    validation: Annotated[Path | None, typer.Option(help="The same, of what is validated.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the manifest.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: output.Json = False,
) -> int:
    """Makes a dataset's manifest anew, with the split that published test pairs imply."""
    from collections import Counter

    from avpipe.manifest import read_manifest, resplit

    made = resplit(read_manifest(dataset), test, validation, out, overwrite=overwrite)
    parts = dict(Counter(recording.split for recording in made.manifest.recordings))
    if json:
        problems = [str(problem) for problem in made.problems]
        output.document({"manifest": str(made.manifest.path), "parts": parts, "problems": problems})
        return 0
    for problem in made.problems:
        output.text(str(problem))
    counts = ", ".join(f"{count:,} {part}" for part, count in sorted(parts.items()))
    output.text(
        f"{made.manifest.path}: {counts}; build it with `avpipe build {made.manifest.path}`"
    )
    return 0
