import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avpipe.errors import RecordingFailed
from avpipe.stages import Job, audio, download, stems
from avpipe.types import Recording

RESOURCES = Path(__file__).parents[1] / "resources"
TRUMPET, VIOLIN, CELLO, MIX = (
    RESOURCES / f"urmp_20_{name}_11025.flac" for name in ("tpt", "vn", "vc", "mix")
)


def piece(folder: Path, name: str, *tracks: tuple[str, Path]) -> Path:
    """A folder like URMP's; the folder that holds it."""
    place = folder / "urmp" / name
    place.mkdir(parents=True)
    shutil.copy(MIX, place / f"AuMix_{name}.flac")
    for number, (instrument, source) in enumerate(tracks, start=1):
        shutil.copy(source, place / f"AuSep_{number}_{instrument}_{name}.flac")
    return place.parent


def made(
    folder: Path, source: Path, recording: Recording, **config: object
) -> tuple[np.ndarray, dict]:
    """The stems of a recording, brought through `download`."""
    fetched, out = folder / "download", folder / "stems"
    fetched.mkdir()
    out.mkdir()
    recording = Recording(recording.id, recording.category, str(source), extra=recording.extra)
    download.run(Job(recording, download.Config(), {}, fetched))
    stems.run(Job(recording, stems.Config(**config), {"download": fetched}, out))
    return np.load(out / "stems.npy"), json.loads((out / "stems.json").read_text())


def test_players_of_one_instrument_are_one_source_and_the_sources_add_up_to_the_mixture(tmp_path):
    name = "12_Spring_vn_vn_vc"
    source = piece(tmp_path, name, ("vn", TRUMPET), ("vn", VIOLIN), ("vc", CELLO))
    found, facts = made(
        tmp_path, source, Recording(name, "trio", extra={"instruments": "vn vn vc"})
    )
    assert facts["names"] == ["vn", "vc"]
    assert found.shape == (55125, 2)
    assert found.dtype == np.float32
    trumpet, violin, cello, mix = (soundfile.read(p)[0] for p in (TRUMPET, VIOLIN, CELLO, MIX))
    np.testing.assert_allclose(found[:, 0], trumpet + violin, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], cello, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), mix, atol=2e-4)


def test_the_manifest_names_the_tracks_whatever_their_files_say(tmp_path):
    """URMP's piece 15: the third track is a trombone, its file says trumpet."""
    name = "15_Surprise_tpt_tpt_tbn"
    source = piece(tmp_path, name, ("tpt", TRUMPET), ("tpt", VIOLIN), ("tpt", CELLO))
    recording = Recording(name, "trio", extra={"instruments": "tpt tpt tbn"})
    found, facts = made(tmp_path, source, recording)
    assert facts["names"] == ["tpt", "tbn"]
    np.testing.assert_allclose(found[:, 1], soundfile.read(CELLO)[0], atol=1e-6)


def test_without_names_in_the_manifest_those_of_the_files_hold(tmp_path):
    source = piece(tmp_path, "p", ("tpt", TRUMPET), ("vn", VIOLIN))
    assert made(tmp_path, source, Recording("p", "duet"))[1]["names"] == ["tpt", "vn"]


def test_tracks_may_stay_apart(tmp_path):
    source = piece(tmp_path, "p", ("vn", TRUMPET), ("vn", VIOLIN))
    found, facts = made(tmp_path, source, Recording("p", "duet"), merge=False)
    assert facts["names"] == ["vn", "vn-2"]
    np.testing.assert_allclose(found[:, 1], soundfile.read(VIOLIN)[0], atol=1e-6)


def test_a_folder_with_a_mixture_and_a_file_a_source_is_a_piece(tmp_path):
    place = tmp_path / "songs" / "song"
    place.mkdir(parents=True)
    for name, source in (("mixture", MIX), ("vocals", VIOLIN), ("drums", CELLO)):
        shutil.copy(source, place / f"{name}.flac")
    (place / "notes.txt").write_text("nothing to hear")
    assert made(tmp_path, place.parent, Recording("song", "pop"))[1]["names"] == ["drums", "vocals"]


def test_stems_are_as_long_as_the_audio_of_the_mixture_at_any_rate(tmp_path):
    source = piece(tmp_path, "p", ("tpt", TRUMPET), ("vn", VIOLIN))
    found, facts = made(tmp_path, source, Recording("p", "duet"), sample_rate=16384)
    config = audio.Config(sample_rate=16384)
    out = tmp_path / "audio"
    out.mkdir()
    audio.run(Job(Recording("p", "duet"), config, {"download": tmp_path / "download"}, out))
    samples, rate = soundfile.read(out / "audio.wav")
    assert (rate, len(found), facts["frames"]) == (16384, len(samples), 125)


def test_a_missing_track_is_named(tmp_path):
    source = piece(tmp_path, "p", ("tpt", TRUMPET), ("vn", VIOLIN))
    next((source / "p").glob("AuSep_1_*")).unlink()
    with pytest.raises(RecordingFailed, match="p holds no AuSep_1_") as failure:
        made(tmp_path, source, Recording("p", "duet"))
    assert failure.value.failure == "removed"


def test_another_number_of_tracks_than_the_manifest_has_is_a_failure(tmp_path):
    source = piece(tmp_path, "p", ("tpt", TRUMPET), ("vn", VIOLIN))
    with pytest.raises(RecordingFailed, match=r"has 2 tracks .* names 3"):
        made(tmp_path, source, Recording("p", "trio", extra={"instruments": "tpt vn vc"}))


def test_a_misnamed_track_is_suggested(tmp_path):
    source = piece(tmp_path, "p", ("tpt", TRUMPET), ("vn", VIOLIN))
    wrong = next((source / "p").glob("AuSep_1_*"))
    wrong.rename(wrong.with_name("AuSep1_tpt.flac"))
    with pytest.raises(RecordingFailed, match=r"AuSep_1_.*is it AuSep1_tpt.flac\? then rename it"):
        made(tmp_path, source, Recording("p", "duet"))


def test_two_tracks_of_one_number_are_named(tmp_path):
    source = piece(tmp_path, "p", ("tpt", TRUMPET), ("vn", VIOLIN))
    shutil.copy(CELLO, source / "p" / "AuSep_2_vc_p.flac")
    with pytest.raises(RecordingFailed, match=r"two tracks 2: AuSep_2_vc_p.flac and AuSep_2_vn_p"):
        made(tmp_path, source, Recording("p", "duet"))


def test_files_that_swap_the_instruments_are_a_contradiction(tmp_path):
    source = piece(tmp_path, "p", ("vn", TRUMPET), ("tpt", VIOLIN))
    recording = Recording("p", "duet", extra={"instruments": "tpt vn"})
    with pytest.raises(RecordingFailed, match=r"tracks vn tpt, .* instruments tpt vn"):
        made(tmp_path, source, recording)


def test_a_piece_of_one_instrument_has_nothing_to_separate(tmp_path):
    source = piece(tmp_path, "p", ("vn", TRUMPET), ("vn", VIOLIN))
    with pytest.raises(
        RecordingFailed, match=r"1 sources \(vn\), stems.min_sources asks for 2"
    ) as f:
        made(tmp_path, source, Recording("p", "duet"), min_sources=2)
    assert (f.value.failure, f.value.permanent) == ("limit", True)
    (tmp_path / "again").mkdir()
    apart = made(tmp_path / "again", source, Recording("p", "duet"), min_sources=2, merge=False)
    assert apart[1]["names"] == ["vn", "vn-2"]


def test_a_folder_without_a_mixture_says_how_to_name_it(tmp_path):
    (tmp_path / "urmp" / "p").mkdir(parents=True)
    with pytest.raises(RecordingFailed, match=r"name it AuMix_\*"):
        made(tmp_path, tmp_path / "urmp", Recording("p", "duet"))


def test_a_recording_that_is_one_file_has_no_stems(tmp_path):
    with pytest.raises(RecordingFailed, match="no tracks of its players"):
        made(tmp_path, MIX, Recording("p", "duet"))
