"""How long the largest shipped manifest takes to load, beside the bare readers of TOML and CSV.

    python benchmarks/manifest_load.py [--repeat 10]

Claim: under 0.3 s, the imports included. Writes benchmarks/results/manifest_load.json.
"""

import argparse
import statistics
import subprocess
import sys

from avpipe.manifest import names, read_definition
from machine import machine, save

_CHECKED = "import avpipe; avpipe.read_manifest(sys.argv[1])"
_BARE = """
import csv, tomllib
from pathlib import Path
path = Path(sys.argv[1])
table = path.parent / tomllib.loads(path.read_text())["recordings"]
with table.open(newline="") as file:
    rows = list(csv.DictReader(file))
"""
_TIMED = """
import sys, time
started = time.perf_counter()
{code}
print(time.perf_counter() - started, time.process_time())
"""


def measure(code: str, argument: str, repeat: int) -> dict[str, float]:
    """Medians over fresh Pythons: seconds that `code` takes, CPU seconds of the whole process."""
    command = [sys.executable, "-c", _TIMED.format(code=code), argument]
    times = []
    for _ in range(repeat + 1):  # the first one warms the file cache
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        times.append([float(word) for word in done.stdout.split()])
    wall, cpu = (statistics.median(column) for column in zip(*times[1:], strict=True))
    return {"seconds": wall, "process_cpu_seconds": cpu}


def main() -> None:
    """Measures and saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=10)
    repeat = parser.parse_args().repeat
    definitions = [read_definition(name) for name in names()]
    sizes = {d.path: d.list_file.stat().st_size for d in definitions if d.list_file is not None}
    largest = max(sizes, key=lambda path: sizes[path])
    result = {
        "manifest": largest.stem,
        "bytes": sizes[largest],
        "load": measure(_CHECKED, str(largest), repeat),
        "bare": measure(_BARE, str(largest), repeat),
        "limit_seconds": 0.3,
    }
    save("manifest_load", {"machine": machine("jsonschema"), **result})


if __name__ == "__main__":
    main()
