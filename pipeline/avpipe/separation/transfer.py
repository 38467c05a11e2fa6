"""From the host's memory to a device, without waiting for what is at work there."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on a device.

    A copy to CUDA starts from pinned memory: from any other the host waits until all that it has
    begun there is done. A copy to the host is there when this returns.
    """
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
