"""One training as the Lightning trainer runs it: the step, the validation, the learning rates.

Every step is a pure function of the weights, the seed and the step's number: its mixtures are drawn
by them and so are dropout and noise. Nothing else has to be kept to resume.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from itertools import chain
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from avpipe.errors import AvpipeError
from avpipe.separation import metrics, mixing
from avpipe.separation.augment import Change
from avpipe.separation.data import AudioBank
from avpipe.separation.interface import Context, Trainable
from avpipe.separation.losses import loss
from avpipe.separation.material import Material
from avpipe.separation.mixing import Batch, Draw, Mixing
from avpipe.separation.recipe import Recipe
from avpipe.separation.schedule import Schedule
from avpipe.separation.sight import Sight
from avpipe.separation.stems import stems

VALIDATION_SEED = 2_020
"""Of the fixed validation mixtures, whatever the seed of the training."""
ACCOMPANIMENT_SEED = 1_000_003
"""Added for what accompanies, so that it is drawn by itself."""
CHECK_EVERY = 10
"""Steps between looks at whether the loss is still a number: a look waits for the device."""


SEPARATED_AT_ONCE = 2
"""Mixtures separated together in validation: the stems of all classes take much memory."""


class NotANumber(AvpipeError):
    """The loss of a step is not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss of step {step} is not a number")
        self.step = step


class Training(lightning.LightningModule):
    """A separator with what it learns from."""

    def __init__(
        self,
        separator: Trainable,
        recipe: Recipe,
        train: Material,
        validation: Material,
        seed: int,
    ) -> None:
        super().__init__()
        self.separator, self.recipe, self.seed = separator, recipe, seed
        self.average = deepcopy(separator).requires_grad_(False) if recipe.average else None
        """The separator with averaged weights, which is validated and used."""
        self.train_material, self.validation_material = train, validation
        self._decoding: tuple[Draw, list[Any]] | None = None
        self.schedule = Schedule(recipe.rules)
        self.validated: dict[str, float] = {}
        """Results of the last validation."""
        self._recent, self._summed = torch.zeros(()), 0
        """Sum of the losses since the last validation, and of how many steps. Summed in place: a
        small block kept from every step would fragment the memory between the large ones."""
        self._validation: list[tuple[Tensor, Any]] = []
        self.first_bad: Tensor | None = None

    def make_batch(self, step: int, validation: bool = False) -> Batch:
        """The mixtures of a step on this process' device: its share of those that one process
        would train on, or all of a validation."""
        how = self.recipe.mixing(self.schedule.state.sources)
        bank, sight, other = self.validation_material if validation else self.train_material
        seed = VALIDATION_SEED if validation else self.seed
        share = slice(None) if validation else self._share
        drawn = self._draw(bank, how, seed, step, share)
        besides = None
        if other is not None:
            apart, one = seed + ACCOMPANIMENT_SEED, self.recipe.accompanying
            besides = (other, self._draw(other, one, apart, step, share))
        change = None if validation else self._change(step)
        made = mixing.batch(bank, drawn, how, self.device, besides, change)
        if sight is None:
            return made
        if validation:
            seen = sight.context(drawn)
        else:
            seen = self._seen_in_training(sight, drawn, step)
            self._look_ahead(sight, self._draw(bank, how, seed, step + 1, share), step + 1)
        return made._replace(context=made.context.merged(seen.to(self.device)))

    def _change(self, step: int) -> Change | None:
        """What becomes of the clips of a step."""
        how, front_end = self.recipe.augmentation, self.separator.front_end
        if how is None:
            return None
        numbers = range(self._share.start, self._share.stop)
        randoms = [np.random.default_rng((self.seed, step, number, 3)) for number in numbers]
        return Change(how, front_end.samples, front_end.sample_rate, randoms)

    def _seen_in_training(self, sight: Sight, drawn: Draw, step: int) -> Context:
        ahead = self._decoding
        if ahead is None or not np.array_equal(ahead[0].first_samples, drawn.first_samples):
            ahead = self._look_ahead(sight, drawn, step)
        return sight.finish(ahead[1], drawn)

    def _look_ahead(self, sight: Sight, drawn: Draw, step: int) -> tuple[Draw, list[Any]]:
        """Threads read and decode what is seen in a step while the network is at the one before."""
        jobs = sight.start(drawn, (self.seed, step, 2), self._share.start)
        self._decoding = (drawn, jobs)
        return self._decoding

    def _draw(self, bank: AudioBank, how: Mixing, seed: int, step: int, share: slice) -> Draw:
        whole = mixing.draw(bank, how, self.recipe.batch, seed, step)
        return whole.part(share.start, share.stop)

    @property
    def _share(self) -> slice:
        """Mixtures of a step that are this process'."""
        count = self.recipe.batch // self.trainer.world_size
        return slice(self.global_rank * count, (self.global_rank + 1) * count)

    def train_dataloader(self) -> Iterable[int]:
        """An epoch is what lies between two validations; the batches are made in the step."""
        return range(self.recipe.validate_steps)

    def val_dataloader(self) -> Iterable[int]:
        """Numbers of the fixed validation batches."""
        return range(-(-self.recipe.validation_mixtures // self.recipe.batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One group a part that learns."""
        recipe, groups = self.recipe, []
        for part, parameters in self.separator.parts().items():
            rate = recipe.rates.get(part, recipe.rate)
            trained = [p for p in parameters if p.requires_grad]
            if rate and trained:
                groups.append({"params": trained, "lr": rate, "name": part, "full_rate": rate})
        if recipe.optimiser == "sgd":
            return torch.optim.SGD(
                groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay
            )
        return torch.optim.Adam(groups, weight_decay=recipe.weight_decay)

    def training_step(self, *_: object) -> Tensor:
        """The loss of the mixtures of this step."""
        step = self.global_step
        self._set_rates(step)
        torch.manual_seed(self._noise_seed(step))
        value = self._loss(self.make_batch(step), self.separator)
        self._recent = self._recent.to(value.device).add_(value.detach())
        self._summed += 1
        self._watch(value, step)
        return value

    @property
    def result(self) -> Trainable:
        """The separator as it is validated and used."""
        return self.separator if self.average is None else self.average

    @torch.no_grad()
    def on_train_batch_end(self, *_: object) -> None:
        """Moves the average, which forgets faster at the beginning."""
        if self.average is None:
            return
        kept = min(self.recipe.average, self.global_step / (self.global_step + 10))
        for old, new in zip(_tensors(self.average), _tensors(self.separator), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - kept)
            else:
                old.copy_(new)

    def validation_step(self, number: int, *_: object) -> None:
        """Loss and SI-SDR of one batch of fixed mixtures."""
        batch = self.make_batch(number, validation=True)
        value = self._loss(batch, self.result)
        ratios = []
        for start in range(0, len(batch.mixture), SEPARATED_AT_ONCE):
            part = slice(start, start + SEPARATED_AT_ONCE)
            known = batch.context.part(part)
            with torch.autocast(self.device.type, enabled=False):
                found = stems(self.result, batch.mixture[part], batch.sources[part], known)
            sounding = found.present & found.references.any(-1)
            ratios.append(metrics.si_sdr(found.references[sounding], found.estimates[sounding]))
        self._validation.append((value.detach(), np.concatenate(ratios)))

    def on_validation_epoch_end(self) -> None:
        """Means over what was validated, and over the training steps since the last time."""
        losses, ratios = zip(*self._validation, strict=True)
        self.validated = {
            "validation_loss": float(torch.stack(losses).mean()),
            "validation_si_sdr": float(np.concatenate(ratios).mean()),
        }
        if self._summed:
            own = self._recent / self._summed
            self.validated["train_loss"] = float(self.trainer.strategy.reduce(own))
        self._validation, self._summed = [], 0
        self._recent.zero_()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the schedule."""
        checkpoint["schedule"] = self.schedule.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the schedule."""
        self.schedule.load_state_dict(checkpoint["schedule"])

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Bounds the gradient if the recipe says so."""
        if self.recipe.clip_gradient:
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.recipe.clip_gradient)

    def _loss(self, batch: Batch, separator: Trainable) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            example = separator.example(batch.mixture, batch.sources, batch.context)
        logits = separator(example.mixture, batch.context)
        with torch.autocast(self.device.type, enabled=False):
            return loss(separator, logits.float(), example, batch.context, self.recipe.loss)

    def _set_rates(self, step: int) -> None:
        factor = self.schedule.rate(step)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["full_rate"] * factor

    def _noise_seed(self, step: int) -> int:
        return int(np.random.default_rng((self.seed, step, self.global_rank, 1)).integers(2**31))

    def _watch(self, value: Tensor, step: int) -> None:
        """Remembers the first step without a finite loss on the device, and looks now and then."""
        now = torch.where(torch.isfinite(value.detach()), -1, step)
        earlier = self.first_bad
        self.first_bad = now if earlier is None else torch.where(earlier >= 0, earlier, now)
        look = self.device.type == "cpu" or step % CHECK_EVERY == 0
        if look and (bad := int(self.first_bad)) >= 0:
            raise NotANumber(bad)


def _tensors(module: torch.nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())
