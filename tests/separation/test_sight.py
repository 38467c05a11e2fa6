"""What is seen of the drawn sources: the right pictures, cropped, reproducible, in step."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avpipe import open_dataset
from avpipe.errors import UsageError
from avpipe.images import Images, encode
from avpipe.keypoints import topology
from avpipe.separation import data, footage, mixing, separate, sight
from avpipe.separation.data import AudioBank
from avpipe.separation.evaluate import evaluate
from avpipe.separation.look import Look
from avpipe.separation.mixing import Draw, Mixing
from avpipe.separation.players import watch
from avpipe.separation.sight import Scene, Sight, Source
from avpipe.separation.train import Config, train
from avpipe.types import Clip, Keypoints, Segment
from sound_dataset import RATE, pack_sound

WINDOW = 2 * RATE
PICTURES = frozenset({"frames"})


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two instruments of 8 s, dark and bright; the brightness tells the time."""
    random = np.random.default_rng(0)
    noise = random.integers(-9_000, 9_000, 8 * RATE).astype(np.int16)
    sound = {
        f"{name}-{part}": (name, part, noise)
        for name in ("flute", "tuba")
        for part in ("train", "validation")
    }
    shades = {name: 50 if name.startswith("flute") else 150 for name in sound}
    return pack_sound(tmp_path_factory.mktemp("seen"), sound, shades=shades)


@pytest.fixture(scope="module")
def bank(seen: Path) -> AudioBank:
    return data.load(open_dataset(seen), "train", (), RATE, WINDOW, ("frames",))


def drawn(bank: AudioBank, seconds: float) -> Draw:
    """The tuba's window at a time, and an empty place."""
    first = int(bank.starts[1] + seconds * RATE)
    ones = np.ones((1, 2), np.float32)
    return Draw(np.array([[first, -1]]), np.array([[1, -1]]), np.array([[1, -1]]), ones)


def test_pictures_are_those_around_the_middle_of_the_window(seen: Path, bank: AudioBank) -> None:
    look = Look(PICTURES, pictures=3, seconds_apart=0.6)
    frames = Sight.load(open_dataset(seen), bank, look).context(drawn(bank, seconds=2.0)).frames
    assert frames.shape == (1, 2, 3, 3, 224, 224)
    assert frames.dtype == torch.uint8
    # The middle is at 3 s, frame 75: picture 25; 0.6 s are five pictures.
    right = frames[0, 0, :, :, :, 200].float().mean((1, 2))
    np.testing.assert_allclose(right, [150 + 20, 150 + 25, 150 + 30], atol=2)
    assert not frames[0, 1].any()


def test_pictures_beyond_the_segment_are_its_first_and_last(seen: Path, bank: AudioBank) -> None:
    look = Look(PICTURES, pictures=3, seconds_apart=30.0)
    frames = Sight.load(open_dataset(seen), bank, look).context(drawn(bank, seconds=2.0)).frames
    right = frames[0, 0, :, :, :, 200].float().mean((1, 2))
    np.testing.assert_allclose(right, [150, 175, 150 + 66], atol=2)


def test_random_crops_depend_on_the_seed_alone(seen: Path, bank: AudioBank) -> None:
    source = Sight.load(open_dataset(seen), bank, Look(PICTURES))
    how = Mixing(fewest=1, most=2)
    some = mixing.draw(bank, how, 6, 0, 0)
    first, again, other = (source.context(some, seed).frames for seed in ((1, 2), (1, 2), (1, 3)))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_a_crop_is_a_square_of_the_picture_and_may_be_mirrored() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 150:] = 200
    right = sight.crop(pixels, (1.0, 0.5, False), 1.0)
    assert right.shape == (224, 224, 3)
    assert (right[:, :100].max(), right[:, 124:].min()) == (0, 200)
    mirrored = sight.crop(pixels, (1.0, 0.5, True), 1.0)
    np.testing.assert_array_equal(mirrored, right[:, ::-1])
    assert sight.crop(pixels, (0.0, 0.0, False), 1.1).max() == 0


def test_the_nearest_pictures_are_chosen() -> None:
    assert sight.nearest(np.array([0, 3, 6, 9]), np.array([-5.0, 4.4, 4.6, 99.0])) == [
        0,
        1,
        2,
        3,
    ]


def test_sound_of_pixels_trains_resumes_is_evaluated_and_used(
    seen: Path, tmp_path: Path, resources: Path
) -> None:
    changes = {
        "batch": 2,
        "steps": 2,
        "validate_steps": 1,
        "validation_mixtures": 2,
        "categories": "different",
        "pictures": 1,
        "example_steps": 1000,
    }
    options = {"sound": "unet5", "pretrained": "none"}
    plan = Config(
        seen, tmp_path / "run", "sop-music", changes=changes, options=options, device="cpu"
    )
    whole = train(plan)
    short = Config(
        seen, tmp_path / "half", "sop-music", changes={**changes, "steps": 1}, options=options
    )
    train(short)
    resumed = train(Config(seen, tmp_path / "half", changes={"steps": 2}, resume=True))
    assert resumed.train_loss == whole.train_loss
    report = evaluate(["mixture", tmp_path / "run"], seen, mixtures=1)
    found = report.summaries[str(tmp_path / "run")]["all"]
    assert found["si_sdr"]["count"] + found["eps"]["count"] == 2  # it may still be all silence
    with pytest.raises(UsageError, match="needs frames of the players"):
        evaluate([tmp_path / "run"], tmp_path)
    duet = resources / "urmp_09_vn_crop.mp4"
    stems = separate(duet, tmp_path / "run", players=2, exact_sum=True)
    assert list(stems.stems) == ["player-1", "player-2"]
    np.testing.assert_allclose(sum(stems.stems.values()), stems.mixture, atol=1e-6)
    shown = Scene((Source(_grey, 100, 25.0), Source(_grey, 100, 25.0)), (0.0, 0.0))
    named = separate(duet, tmp_path / "run", ["violin", "violin"], scene=shown)
    assert list(named.stems) == ["violin-1", "violin-2"]
    with pytest.raises(UsageError, match="how many sources are there"):
        separate(duet, tmp_path / "run")
    with pytest.raises(UsageError, match="has no pictures: the players cannot be seen"):
        separate(resources / "urmp_20_tpt_11025.flac", tmp_path / "run", ["trumpet"])


def _grey(start: int, frames: int, fields: object) -> Clip:
    """A player in front of a wall, seen in every frame."""
    file = np.frombuffer(encode(Image.new("RGB", (64, 64), (90, 90, 90)), 90), np.uint8)
    offsets = np.arange(frames + 1) * len(file)
    pictures = Images(np.tile(file, frames), offsets, np.arange(frames), 64, 64)
    return Clip("", "", Segment(start, start + frames), 25.0, RATE, fields={"frames": pictures})


def test_players_are_cut_from_left_to_right(resources: Path) -> None:
    video = resources / "urmp_09_vn_crop.mp4"
    with pytest.warns(UserWarning, match="into 2 strips"), footage.opened(video, 2) as film:
        two = watch(film, Look(PICTURES))
    frames = two.context(Look(PICTURES, pictures=3, seconds_apart=0.5), 1.0, 3.0).frames
    assert frames is not None
    assert frames.shape == (1, 2, 3, 3, 224, 224)
    assert not torch.equal(frames[0, 0, 1], frames[0, 1, 1])
    assert frames[0].float().std() > 10


def test_a_dataset_without_pictures_is_one_clear_line(notes: Path) -> None:
    with pytest.raises(UsageError, match="holds no frames: build it with --fields audio,frames"):
        Look(PICTURES).check(open_dataset(notes))


def test_keypoints_begin_with_the_frame_at_which_the_clip_begins(seen: Path) -> None:
    dataset = open_dataset(seen)
    bank = data.load(dataset, "train", (), RATE, WINDOW, on_frames=True)
    some = mixing.draw(bank, Mixing(fewest=2, most=2), 8, 0, 0)
    offsets = some.first_samples - bank.starts[some.segments]
    assert not (offsets % 441).any()
    assert len(np.unique(offsets)) > 8

    layout = topology("face68")
    xy = np.tile(np.arange(200, dtype=np.float32)[:, None, None], (1, 68, 2))
    known = Keypoints(xy, np.ones((200, 68), np.float32), layout)

    def read(start: int, frames: int, fields: object) -> Clip:
        window = Segment(start, start + frames)
        found = {"face_landmarks": known[start : start + frames]}
        return Clip("", "", window, 25.0, 16_384, fields=found)

    look = Look(frozenset({"keypoints"}), "face68")
    source = Source(read, 200, 25.0)
    for frame in (0, 1, 57, 150):
        start = round(frame * 16_384 / 25) / 16_384
        shown = source.show(look, start, 65_535 / 16_384)["keypoints"]
        expected = np.minimum(np.arange(frame, frame + 100), 199)  # the last one is held
        np.testing.assert_array_equal(shown[:, 0, 0], expected)
    late = Source(read, 200, 25.0, delay_seconds=-0.4)  # the sound begins at frame 10
    assert late.show(look, 0.0, 1.0)["keypoints"][0, 0, 0] == 10
