"""avpipe: audio-visual music datasets, and the separators trained on them."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from avpipe.dataset import Dataset, open_dataset
    from avpipe.manifest import Manifest, read_manifest

__all__ = ["Dataset", "Manifest", "__version__", "open_dataset", "read_manifest"]

_HOME = {
    "Dataset": "avpipe.dataset",
    "Manifest": "avpipe.manifest",
    "open_dataset": "avpipe.dataset",
    "read_manifest": "avpipe.manifest",
}


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used: `import avpipe` alone costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'avpipe' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
