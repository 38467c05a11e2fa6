"""Built datasets of given sound, one segment a recording."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from avpipe import images
from avpipe.shards import DatasetFacts, Member, pack
from avpipe.types import Recording, Segment

RATE = 11_025
Sound = Mapping[str, tuple[str, str | None, np.ndarray]]
"""Id -> category, split, (N,) int16."""


def pack_sound(
    out: Path, sound: Sound, sample_rate: int = RATE, shades: Mapping[str, int] | None = None
) -> Path:
    """A built dataset with one segment a recording.

    Args:
        shades: id -> grey level of its pictures, which get brighter by one each; None: no pictures.
    """
    members = []
    for name, (category, split, samples) in sound.items():
        artifact = out / "artifacts" / name
        artifact.mkdir(parents=True)
        frames = len(samples) * 25 // sample_rate
        whole = samples[: round(frames * sample_rate / 25)]
        soundfile.write(artifact / "audio.wav", whole, sample_rate, subtype="PCM_16")
        fields, media = ["audio"], {}
        if shades is not None:
            media["frames"] = asdict(_save_pictures(artifact, frames, shades[name]))
            fields.append("frames")
        members.append(
            Member(
                recording=Recording(name, category, split=split),
                frames=frames,
                segments=(Segment(0, frames),),
                artifacts={field: artifact for field in fields},
                digests={field: f"{name} {field}" for field in fields},
                media=media,
            )
        )
    every = ("audio",) if shades is None else ("audio", "frames")
    facts = DatasetFacts("sound", "Sound", "CC0-1.0", "", "", 25, sample_rate, every)
    pack(out, facts, members)
    return out


def _save_pictures(folder: Path, frames: int, shade: int, step: int = 3) -> images.Facts:
    """Every third frame, 64 x 48 pixels, the left half darker than the right."""
    pictures = []
    for number in range(-(-frames // step)):
        pixels = np.full((48, 64, 3), shade + number, np.uint8)
        pixels[:, :32] -= 40
        pictures.append(images.encode(Image.fromarray(pixels), 95))
    facts = images.Facts(True, frames, step=step, height=48, width=64)
    return images.save(folder, "frames", pictures, facts, None)
