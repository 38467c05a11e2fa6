"""mouths: the singer's mouth, always in the same place.

As `avpipe.stages.faces`, but crops of 96x96 px from the nose to the chin: what the networks that
read the motion of the lips take (Montesinos et al., "A cappella", 2021, Section 4).
"""

from dataclasses import dataclass

from avpipe.stages import Facts, Job, Pool, faces

NEEDS = faces.NEEDS
POOL: Pool = "cpu"
VERSION = 1

tool = faces.tool


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters of `mouths`."""

    size: int = 96
    """Side of a crop, px."""
    side_cm: float = 10.0
    """What it shows of the mean face, whose closed mouth is 4.9 cm wide."""
    x_cm: float = 0.0
    """Middle of the crop in the mean face: to the right of its origin between the cheeks."""
    y_cm: float = 4.4
    """Below the origin: where the lips meet."""
    smoothing_seconds: float = 0.08
    """Standard deviation of the Gaussian that smooths the face's place over time."""
    quality: int = 95
    """Quality of the JPEG files."""

    def __post_init__(self) -> None:
        faces.check(self)


def run(job: Job) -> Facts:
    """Writes the crops; facts: their number and the share that is held."""
    return faces.make(job, "mouths")
