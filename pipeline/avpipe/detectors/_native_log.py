"""Keeps the start-up chatter of native libraries out of the terminal.

TensorFlow Lite and absl write to file descriptor 2 whatever the log level, before and beside any
Python logger; pointing the descriptor elsewhere for the length of a call is the only switch.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_log_held() -> Iterator[None]:
    """Holds back what is written to file descriptor 2; if the block raises, it is shown.

    Affects the process for as long as the block runs: keep blocks short, and away from threads
    that have something to say.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
