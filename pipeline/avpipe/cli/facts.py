"""`avpipe status`, `errors` and `doctor`: what is there, what failed, what this machine has."""

from typing import Annotated

import typer

from avpipe.cli import output, place


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(epilog="Example: avpipe status demo")(status)
    app.command(epilog="Example: avpipe errors solos --class removed")(errors)
    app.command(epilog="Example: avpipe doctor --json")(doctor)


def status(dataset: place.Place, out: place.Out = None, json: output.Json = False) -> int:
    """Says how far a dataset is; works while a build runs."""
    from avpipe.status import read_status

    folder = place.find(dataset, out)
    found = read_status(folder)
    if json:
        output.document(found)
        return 0
    rows = [[name, count] for name, count in found["stages"].items()]
    output.table(str(folder), ["stage", "recordings"], rows)
    failures = sorted(found["failures"].items())
    if failures:
        output.text("failed: " + ", ".join(f"{n:,} {name}" for name, n in failures))
    if found["published"]:
        p = found["published"]
        output.text(
            f"published: {output.count(p['recordings'], 'recording')},"
            f" {output.count(p['segments'], 'segment')}, {output.count(p['files'], 'file')},"
            f" {p['bytes'] / 1e6:,.1f} MB"
        )
    return 0


def errors(
    dataset: place.Place,
    out: place.Out = None,
    failure: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="Only this class.")
    ] = None,
    stage: Annotated[str | None, typer.Option(metavar="STAGE", help="Only this stage.")] = None,
    recording: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Every attempt of this recording.")
    ] = None,
    json: output.Json = False,
) -> int:
    """Lists what failed, where and why; with --id every attempt of one recording."""
    from avpipe.dag import LINE
    from avpipe.errors import FailureClass, UsageError
    from avpipe.ledger import FILE, Ledger

    if failure is not None and failure not in [*FailureClass]:
        raise UsageError(f"--class {failure}: the classes are {', '.join(FailureClass)}")
    if stage is not None and stage not in LINE:
        raise UsageError(f"--stage {stage}: the stages are {', '.join(LINE)}")
    with Ledger(place.find(dataset, out) / FILE) as ledger:
        if recording is not None:
            attempts = ledger.attempts(recording)
            if not attempts:
                raise UsageError(f"--id {recording}: nothing is logged of a recording with this id")
            if json:
                output.document(attempts)
            else:
                columns = ["stage", "number", "status", "class", "seconds", "worker", "message"]
                rows = [[attempt[c] for c in columns] for attempt in attempts]
                output.table(recording, columns, rows)
            return 0
        failures = [
            f
            for f in ledger.failures()
            if failure in (None, f.failure) and stage in (None, f.stage)
        ]
    if json:
        output.document([f.as_json() for f in failures])
    elif failures:
        output.table(
            output.count(len(failures), "failure"),
            ["recording", "stage", "class", "again?", "tries", "what"],
            [
                [
                    f.recording,
                    f.stage,
                    f.failure,
                    "no" if f.permanent else "yes",
                    f.attempts,
                    f.message,
                ]
                for f in failures
            ],
        )
    else:
        output.text("no failures")
    return 0


def doctor(json: output.Json = False) -> int:
    """Checks what a build needs on this machine; exit 1 if it cannot do without what is missing."""
    from avpipe.doctor import examine

    findings = examine()
    if json:
        output.document([finding.as_json() for finding in findings])
    else:
        output.table(
            "",
            ["what", "state", "found", "remedy"],
            [[f.what, f.state, f.found, f.remedy] for f in findings],
        )
    return int(any(f.state == "missing" for f in findings))
