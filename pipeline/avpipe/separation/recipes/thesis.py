"""The conditioned U-Nets of the thesis (Slizovskaia 2020): Table A.1 and Table 5.5."""

from dataclasses import replace
from typing import Any

from avpipe.separation.losses import Loss
from avpipe.separation.recipe import Recipe

THESIS = Recipe(
    follows="thesis, section 5.3.4",
    separator="mhunet",
    options={"conditioning": "film-bottleneck", "frequency": "linear", "mask": "binary"},
    fewest=2,
    most=7,
    combine="sum",
    clip="waveform",
    loss="bce",
    batch=16,
    steps=500_000,
    rate=1e-5,
    curriculum=True,
    curriculum_steps=10_000,
    drop_steps=25_000,
    validate_steps=500,
)


def _experiment(
    number: int, text: str, separator: str, loss: Loss = "bce", **options: Any
) -> Recipe:
    """A row of Table A.1."""
    more = "" if not text else f"; {text}"
    return replace(
        THESIS,
        follows=f"{THESIS.follows}, experiment {number} of Table A.1{more}",
        separator=separator,
        options={**THESIS.options, **options},
        loss=loss,
    )


_BIAS = "its column bias is read as weight of the positive class, 5 as in the code"

_TABLE: dict[int, Recipe] = {
    1: _experiment(1, "", "unet", conditioning="none", frequency="log"),
    2: _experiment(2, "", "unet", conditioning="none"),
    3: _experiment(3, "", "mhunet"),
    4: _experiment(4, "the best published row", "mhunet", "smooth-l1", mask="ratio"),
    5: _experiment(5, _BIAS, "mhunet", positive_weight=5.0),
    6: _experiment(
        6,
        f"it does not state the noise: 0.1 of the input's range; {_BIAS}",
        "mhunet",
        noise=0.1,
        positive_weight=5.0,
    ),
    7: _experiment(7, "logarithmic values", "mhunet", values="log"),
    8: replace(
        _experiment(
            8,
            f"neither curriculum nor conditioning; {_BIAS}",
            "mhunet",
            conditioning="none",
            positive_weight=5.0,
        ),
        curriculum=False,
        curriculum_steps=0,
    ),
    9: _experiment(9, "", "unet"),
    10: _experiment(10, "", "unet", conditioning="film-encoder"),
    11: _experiment(11, "", "unet", conditioning="film-final"),
    12: _experiment(12, "", "unet", conditioning="label-multiply"),
    13: _experiment(13, "", "unet", conditioning="film-encoder", frequency="log"),
    14: _experiment(14, "", "unet", conditioning="film-bottleneck", frequency="log"),
    15: _experiment(15, "", "unet", conditioning="film-final", frequency="log"),
    16: _experiment(16, "", "unet", conditioning="label-multiply", frequency="log"),
}


def _seen(text: str, **options: Any) -> Recipe:
    """A row of Table 5.5: experiment 14 with pictures for labels."""
    base = _TABLE[14]
    return replace(
        base,
        follows=f"{THESIS.follows}, Table 5.5: {text}; its context vectors stand side by side, here"
        " the largest of all sources counts, as in the code",
        options={**base.options, "context": "visual", "pretrained": "imagenet", **options},
        pictures_from="start",
    )


def _moved(frames: int) -> Recipe:
    """A row of Table 5.5 with an LSTM over so many frames of 6 s; the code bounds its gradient."""
    base = _seen(f"FiLM-bottleneck, {frames} frames", context="motion")
    return replace(base, pictures=frames, picture_seconds=6 / frames, clip_gradient=0.5)


RECIPES = {
    **{f"thesis-exp-{number}": recipe for number, recipe in _TABLE.items()},
    "thesis-visual-film-encoder": _seen("FiLM-encoder, 1 frame", conditioning="film-encoder"),
    "thesis-visual-film-bottleneck": _seen("FiLM-bottleneck, 1 frame"),
    "thesis-visual-film-bottleneck-ft": _seen("FiLM-bottleneck-ft, 1 frame", fine_tune=True),
    "thesis-visual-film-final": _seen("FiLM-final, 1 frame", conditioning="film-final"),
    "thesis-motion-15": _moved(15),
    "thesis-motion-50": _moved(50),
}
