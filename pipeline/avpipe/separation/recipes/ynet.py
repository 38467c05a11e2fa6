"""Y-Net (Montesinos et al. 2021) with LLCP, its baseline: the paper, and the released code."""

from dataclasses import replace
from typing import Any

from avpipe.separation.recipe import Recipe

YNET = Recipe(
    follows="Y-Net paper, sections 3 and 4: 4 s at 16,384 Hz, SGD 0.01, momentum 0.8, decay 1e-5;"
    " batch 10, sources scaled to a peak of 1 and epochs of 2,000 steps are the code's; neither"
    " states the length (100 epochs here); one voice and one accompaniment",
    separator="ynet",
    fewest=1,
    most=1,
    categories="any",
    combine="mean",
    peak=True,
    accompanied=True,
    loss="mse",
    batch=10,
    steps=200_000,
    optimiser="sgd",
    rate=0.01,
    momentum=0.8,
    weight_decay=1e-5,
    validate_steps=2_000,
    validation_mixtures=500,
    example_steps=10_000,
)


def _voice(text: str, separator: str = "ynet", blocks: int = 4, **options: Any) -> Recipe:
    given = {"blocks": blocks} if separator == "ynet" else {}
    return replace(
        YNET,
        follows=f"{YNET.follows}; {text}",
        separator=separator,
        options={**given, **options},
    )


_MOUTHS = _voice("Y-Net-m", visual="mouths", pretrained="kinetics")

RECIPES = {
    "ynet-unet-paper": _voice("its audio-only U-Net, 4 blocks", visual="none"),
    "ynet-m-paper": _MOUTHS,
    "ynet-r-paper": replace(
        _MOUTHS,
        follows=f"{YNET.follows}; Y-Net-r: two lead voices in half of the mixtures",
        most=2,
    ),
    "ynet-e-paper": _voice(
        "Y-Net-e; its numbers of a face are learnt, not FaceNet's",
        visual="faces",
        pretrained="imagenet",
    ),
    "llcp-ynet-paper": _voice(
        "LLCP as its baseline; the numbers of a face are learnt, not FaceNet's",
        "llcp",
        pretrained="imagenet",
    ),
    "ynet-m-code": _voice(
        "Y-Net-m with the 7 blocks of the released weights",
        blocks=7,
        visual="mouths",
        pretrained="kinetics",
    ),
    "ynet-g-code": _voice("Y-Net-g of the released code, 7 blocks", blocks=7, visual="keypoints"),
}
