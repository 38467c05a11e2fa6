"""HDF5 shards: what a build publishes and a training reads.

`pack` turns the artifacts of recordings (`Member`) into `shards/<field>-00000.h5`, `index.parquet`
and, last, `MANIFEST.json`; `verify` proves that they are whole; `avpipe.dataset` reads them. The
layout of a file is data: `schemas/shard.toml`. Equal inputs give equal bytes.
"""

from avpipe.shards.assignment import assign
from avpipe.shards.members import DatasetFacts, Member
from avpipe.shards.pack import PackResult, pack
from avpipe.shards.verify import Verification, repair, verify
from avpipe.shards.write import ShardJob, shard_key, write_shard

__all__ = [
    "DatasetFacts",
    "Member",
    "PackResult",
    "ShardJob",
    "Verification",
    "assign",
    "pack",
    "repair",
    "shard_key",
    "verify",
    "write_shard",
]
