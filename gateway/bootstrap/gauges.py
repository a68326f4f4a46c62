"""Figures of the working parts, for `/metrics`: name → (help, value)."""

from __future__ import annotations

from collections.abc import Mapping

from projections.projector.projector import Projector
from workers.propeller.partitions import Partitions
from workers.runner.loop import Runner

Figures = Mapping[str, tuple[str, float]]


def of_propeller(propeller: Partitions) -> Figures:
    """Return what a propeller counts."""
    return {
        "commands_handled": (
            "Commands that the propeller handled since its start.",
            propeller.handled,
        ),
        "commands_without_effect": (
            "Commands of the engine that yielded no events.",
            propeller.dropped,
        ),
        "dead_letters": (
            "Commands and dispatches put aside since the start.",
            propeller.dead_letters,
        ),
        "executions_parked": (
            "Executions that take no commands until they are resumed.",
            propeller.parked,
        ),
        "executions_live": (
            "Executions that have not ended.",
            propeller.live,
        ),
        "partitions_owned": (
            "Partitions of commands that this process serves.",
            len(propeller.served),
        ),
    }


def of_projector(projector: Projector) -> Figures:
    """Return what a projector counts."""
    return {
        "events_projected": (
            "Events that the projector applied since its start.",
            projector.applied,
        ),
    }


def of_runner(runner: Runner) -> Figures:
    """Return what a runner counts."""
    return {
        "dead_letters": (
            "Commands and dispatches put aside since the start.",
            runner.dead_letters,
        ),
    }
