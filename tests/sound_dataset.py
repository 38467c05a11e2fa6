"""Built datasets of given sound, one segment a recording."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from avpipe.shards import DatasetFacts, Member, pack
from avpipe.types import Recording, Segment

RATE = 11_025
Sound = Mapping[str, tuple[str, str | None, np.ndarray]]
"""Id -> category, split, (N,) int16."""


def pack_sound(out: Path, sound: Sound, sample_rate: int = RATE) -> Path:
    """A built dataset with one segment a recording."""
    members = []
    for name, (category, split, samples) in sound.items():
        artifact = out / "artifacts" / name
        artifact.mkdir(parents=True)
        frames = len(samples) * 25 // sample_rate
        whole = samples[: round(frames * sample_rate / 25)]
        soundfile.write(artifact / "audio.wav", whole, sample_rate, subtype="PCM_16")
        members.append(
            Member(
                recording=Recording(name, category, split=split),
                frames=frames,
                segments=(Segment(0, frames),),
                artifacts={"audio": artifact},
                digests={"audio": name},
            )
        )
    facts = DatasetFacts("sound", "Sound", "CC0-1.0", "", "", 25, sample_rate, ("audio",))
    pack(out, facts, members)
    return out
