"""What a training does when the validation loss stops falling: one more source, a lower learning
rate, or the end.

A pure state machine over (step, validation loss), kept in the checkpoint, so that a resumed
training goes on exactly as it would have.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Event = Literal["more sources", "lower rate", "stop"]


@dataclass(frozen=True)
class Rules:
    """Patience of a training, in optimiser steps."""

    first_sources: int
    """Sources in a mixture at the start; equal to `last_sources`: no curriculum."""
    last_sources: int
    curriculum_steps: int
    """One more source after so many steps without improvement."""
    drop_steps: int
    """Learning rate times `drop_factor` after so many steps without improvement, once the
    curriculum is at its end; 0: never."""
    drop_factor: float
    milestones: tuple[int, ...]
    """Steps at which the learning rate is multiplied by `milestone_factor`."""
    milestone_factor: float
    warmup_steps: int
    """Steps in which the learning rate rises linearly to its full value."""
    anneal_steps: int
    """The learning rate falls as a half cosine and is 0 at this step; 0: never."""
    stop_steps: int
    """End after so many steps without improvement at the last number of sources; 0: never."""
    minimum_change: float
    """Less is no improvement."""


@dataclass
class State:
    """Where a training stands."""

    sources: int
    """In a mixture now."""
    best: float | None = None
    """Lowest validation loss with this number of sources."""
    best_step: int = 0
    """When it was reached, or when this number of sources began."""
    patient_since: int = 0
    """Step from which patience with the learning rate is counted."""
    factor: float = 1.0
    """Product of all drops for lack of improvement."""


class Schedule:
    """The rules and where the training stands."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.state = State(rules.first_sources)

    def rate(self, step: int) -> float:
        """Factor on every learning rate at a step."""
        passed = sum(step >= milestone for milestone in self.rules.milestones)
        factor = self.state.factor * self.rules.milestone_factor**passed
        if step < self.rules.warmup_steps:
            factor *= (step + 1) / self.rules.warmup_steps
        if self.rules.anneal_steps:
            done = min(1.0, step / self.rules.anneal_steps)
            factor *= (1 + math.cos(math.pi * done)) / 2
        return float(factor)

    def update(self, step: int, loss: float) -> tuple[bool, Event | None]:
        """Takes a validation loss.

        Returns:
            Whether it is the best so far with this number of sources, and what follows.
        """
        state, rules = self.state, self.rules
        improved = state.best is None or loss < state.best - rules.minimum_change
        if improved:
            state.best, state.best_step, state.patient_since = loss, step, step
            return True, None
        if state.sources < rules.last_sources:
            if step - state.best_step >= rules.curriculum_steps:
                self.state = State(state.sources + 1, None, step, step, state.factor)
                return False, "more sources"
            return False, None
        if rules.stop_steps and step - state.best_step >= rules.stop_steps:
            return False, "stop"
        if rules.drop_steps and step - state.patient_since >= rules.drop_steps:
            state.factor *= rules.drop_factor
            state.patient_since = step
            return False, "lower rate"
        return False, None

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self.state)

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """What `state_dict` gave."""
        self.state = State(**values)
