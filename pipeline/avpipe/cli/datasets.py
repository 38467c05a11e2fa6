"""`avpipe datasets`: what can be built by name."""

import typer

from avpipe.cli import output


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe datasets")(datasets)


def datasets(json: output.Json = False) -> int:
    """Lists the datasets that can be built by name, with sizes and licences."""
    from avpipe.manifest import names, read_manifest

    rows = []
    for name in names():
        manifest = read_manifest(name)
        rows.append(
            {
                "name": name,
                "recordings": len(manifest.recordings),
                "categories": len(manifest.categories),
                "fields": list(manifest.fields),
                "licence": manifest.licence,
                "title": manifest.title,
            }
        )
    if json:
        output.document(rows)
    else:
        columns = ["name", "recordings", "categories", "fields", "licence", "title"]
        output.table(
            "",
            columns,
            [[", ".join(v) if isinstance(v := r[c], list) else v for c in columns] for r in rows],
        )
    return 0
