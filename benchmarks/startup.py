"""How long `avpipe --help` takes, beside a Python that does nothing.

    python benchmarks/startup.py [--repeat 10]

Claim: at most 0.5 s. Writes benchmarks/results/startup.json with the machine named.
"""

import argparse
import statistics
import subprocess
import sys
import time

from machine import machine, save


def median_seconds(arguments: list[str], repeat: int) -> float:
    """Median wall-clock time of a command."""
    times = []
    for _ in range(repeat + 1):  # the first one warms the file cache
        started = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Measures and saves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=10)
    repeat = parser.parse_args().repeat
    bare = median_seconds([sys.executable, "-c", "pass"], repeat)
    helped = median_seconds([sys.executable, "-m", "avpipe", "--help"], repeat)
    result = {"bare_seconds": bare, "help_seconds": helped, "limit_seconds": 0.5}
    save("startup", {"machine": machine(), **result})


if __name__ == "__main__":
    main()
