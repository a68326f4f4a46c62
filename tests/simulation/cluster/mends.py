"""Mends of faults that were found, and how each is taken out again.

Taking one out brings back what was wrong, by the smallest possible change. Each names
the scenario that shows it, and a seed by which it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.simulation.cluster import (
    leases,
    log_faults,
    read_models,
    taken_out_of_leases,
    taken_out_of_log,
)
from tests.simulation.cluster.leases import Found, Scenario

Patch = pytest.MonkeyPatch
Wrong = Callable[[int, Path], Found]


@dataclass(frozen=True, slots=True)
class Mend:
    """What is taken out, how, the scenario that finds it, and a seed that does."""

    what: str
    take_out: Callable[[Patch], None]
    wrong: Wrong
    seed: int


def unharmed(scenario: Scenario) -> Wrong:
    """Return a scenario after which no task was run again."""
    return partial(leases.unharmed, scenario)


MENDS = (
    Mend(
        "all positions of a batch are moved together",
        taken_out_of_log.each_position_by_itself,
        read_models.projector_joins,
        0,
    ),
    Mend(
        "an owner writes to its own partition, and readers see all that is committed",
        taken_out_of_log.answers_to_any_partition,
        log_faults.owner_frozen_inside,
        0,
    ),
    Mend(
        "a read waits for the open transaction of an older version",
        taken_out_of_log.reads_of_what_is_stable,
        log_faults.older_owner_frozen_inside,
        0,
    ),
    Mend(
        "streams stay on their partitions when others are added",
        taken_out_of_log.partitions_of_the_broker,
        log_faults.partitions_added,
        0,
    ),
    Mend(
        "nothing is deleted before every reader has passed it",
        taken_out_of_log.deleted_by_age_alone,
        log_faults.runners_away,
        0,
    ),
    Mend(
        "a reader whose messages were deleted stops",
        taken_out_of_log.deleted_without_a_word,
        log_faults.dispatches_deleted,
        0,
    ),
    Mend(
        "a parent is told that its child can't be created",
        taken_out_of_log.nobody_told,
        log_faults.no_child,
        0,
    ),
    Mend(
        "deletion follows children that were requested",
        taken_out_of_log.only_created_children,
        read_models.parent_deleted_first,
        0,
    ),
    Mend(
        "timers go by the monotonic clock",
        taken_out_of_leases.timers_by_the_time_of_day,
        log_faults.clock_set_back,
        0,
    ),
    Mend(
        "a runner that an owner never heard loses its leases by silence",
        taken_out_of_leases.unknown_runners_live,
        leases.unknown_runner,
        0,
    ),
    Mend(
        "silence is counted in ticks on the log",
        taken_out_of_leases.silence_by_the_clock,
        leases.owners_stand_still,
        0,
    ),
    Mend(
        "a runner that is heard again reports its leases",
        taken_out_of_leases.no_reports_of_leases,
        leases.losers,
        0,
    ),
    Mend(
        "an abort of a lost run leaves the others of its attempt alone",
        taken_out_of_leases.aborts_of_whole_attempts,
        leases.losers,
        0,
    ),
    Mend(
        "a dispatch after a lost runner has a time limit of its own",
        taken_out_of_leases.the_first_deadline,
        leases.time_limits,
        0,
    ),
    Mend(
        "a runner releases its partitions before others get them",
        taken_out_of_leases.nothing_released,
        unharmed(leases.runners_join),
        0,
    ),
)
