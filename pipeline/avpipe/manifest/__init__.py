"""Manifests: what a dataset is (`<name>.toml`) and what is in it (the CSV beside it).

    read_manifest("solos")            a name in `manifests/`, or the path of a manifest
    check("mine.toml")                every problem of a manifest, instead of the first
    locate(manifest, recording)       where a recording's media is
    import_list("ids.txt")            a manifest made of somebody's list
    resplit(manifest, pairs, ...)     a dataset with the split that published test pairs imply
    overlap(first, second)            the videos that two datasets share

A manifest comes from a stranger: it is checked against `schemas/manifest.schema.json`, ids and
categories must be safe as names of files and HDF5 groups, and every problem is one line that says
file, row, key, value and what is allowed.
"""

from avpipe.manifest.importing import Imported, import_list
from avpipe.manifest.location import locate, video_id
from avpipe.manifest.mixtures import Mixture, Resplit, read_mixtures, resplit
from avpipe.manifest.model import Manifest, Problem
from avpipe.manifest.reading import check, names, read_definition, read_manifest
from avpipe.manifest.shared import Shared, overlap

__all__ = [
    "Imported",
    "Manifest",
    "Mixture",
    "Problem",
    "Resplit",
    "Shared",
    "check",
    "import_list",
    "locate",
    "names",
    "overlap",
    "read_definition",
    "read_manifest",
    "read_mixtures",
    "resplit",
    "video_id",
]
