"""Published checkpoints from files: loaded exactly, or refused in one line."""

import pickle

import pytest
import torch

from avpipe import separation
from avpipe.errors import UsageError
from avpipe.separation import checkpoints
from avpipe.separation.separators._conditioned import ConditionedUNet

WEIGHTS = {"scale": torch.linspace(0, 1, 32, dtype=torch.float64), "bias": torch.tensor([0.25])}


def refused(source, name="sop-innerprod"):
    with pytest.raises(UsageError) as caught:
        separation.load_public_checkpoint(name, source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_file_gives_the_weights_in_eval_mode(tmp_path):
    torch.save(WEIGHTS, tmp_path / "net.pth")
    net = separation.load_public_checkpoint("sop-innerprod", str(tmp_path / "net.pth"))
    assert not net.training
    assert net.scale.dtype == torch.float64
    assert torch.equal(net.scale, WEIGHTS["scale"])


def test_data_parallel_names_and_a_state_dict_entry_are_unwrapped(tmp_path):
    wrapped = {"state_dict": {f"module.{k}": v for k, v in WEIGHTS.items()}, "epoch": 3}
    torch.save(wrapped, tmp_path / "net.pth")
    net = separation.load_public_checkpoint("sop-innerprod", tmp_path / "net.pth")
    assert torch.equal(net.bias.float(), WEIGHTS["bias"])


def test_half_precision_is_loaded_as_single():
    halves = {k: v.half() for k, v in WEIGHTS.items()}
    assert separation.load_public_checkpoint("sop-innerprod", halves).scale.dtype == torch.float32


def test_an_unknown_name_lists_what_there_is():
    message = refused(WEIGHTS, "sop-unet9")
    assert "sop-unet9" in message
    assert "sop-unet7" in message


def test_missing_unexpected_and_misshapen_keys_are_named():
    wrong = {"scale": torch.zeros(31), "weight": torch.zeros(1)}
    message = refused(wrong)
    assert "missing bias" in message
    assert "unexpected weight" in message
    assert "scale [31] instead of [32]" in message


def test_a_checkpoint_of_another_network_is_refused_with_counts(tmp_path):
    message = refused(WEIGHTS, "sop-unet5")
    assert "missing bn0.weight, bn0.bias" in message
    assert "more" in message
    assert "unexpected scale, bias" in message


def test_one_decoder_missing_of_thirteen_is_named():
    net = ConditionedUNet(3, 3, (2, 3), legacy=True)
    weights = net.state_dict()
    del weights["decoder.0.1.0.weight"]
    with pytest.raises(UsageError, match=r"missing decoder\.0\.1\.0\.weight; unexpected none"):
        checkpoints.load_into(net, weights, "checkpoint")


def test_a_missing_file_is_named(tmp_path):
    assert "does not exist" in refused(tmp_path / "none.pth")


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(WEIGHTS, path)
    whole = path.read_bytes()
    damaged = [b"", b"\0", b"not a checkpoint", whole[:64], whole[: len(whole) // 2], whole[64:]]
    for content in damaged:
        path.write_bytes(content)
        assert "cannot be read" in refused(path)


def test_a_file_with_code_is_refused_and_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    for protocol in (2, 4):
        (tmp_path / "net.pth").write_bytes(pickle.dumps({"scale": Attack()}, protocol))
        assert "cannot be read" in refused(tmp_path / "net.pth")
    torch.save({"scale": Attack()}, tmp_path / "net.pth")
    assert "cannot be read" in refused(tmp_path / "net.pth")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {"scale": "text", "bias": 1.0}])
def test_a_file_that_holds_no_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "net.pth")
    refused(tmp_path / "net.pth")
