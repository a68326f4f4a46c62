"""The version before and today's side by side: `python -m tests.endurance.versions`.

An engine of the version before is replaced process by process under load, in each order
of the roles; some processes are stopped, others killed. The first one that is replaced
is taken back in between. Clients' journals and the log are checked from outside.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from schemas.levels import EXECUTION_RULES, FORMAT_LEVEL
from tests.chaos.load import Load
from tests.chaos.run import verified
from tests.history.checker import check
from tests.history.events import all_events
from tests.history.journal import Journal
from tests.support.components.kafka import broker
from tests.support.components.minio import s3
from tests.support.components.postgres import empty_database
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    QUICK,
    RUNNER,
    Distributed,
    Outside,
    Role,
)
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.harness.version_before import VARIABLE, version_before

KINDS = (GATEWAY, PROPELLER, PROJECTOR, RUNNER)
_ROLES = (GATEWAY, PROPELLER, PROPELLER, PROJECTOR, PROJECTOR, RUNNER, RUNNER)
_OPENS_S, _REFUSES_S, _MOVES_S = 60.0, 60.0, 120.0
_ALL_KNOW_S = 2.5
"""Each process reads the open level once a second."""
_KILLED = 0.5
_SETTINGS = {
    **UNMEASURED,
    **QUICK,
    "FLIGHTLOG_PROPELLER__RUNNER_TIMEOUT_S": "5",
    "FLIGHTLOG_PROPELLER__SYSTEM_RETRIES": "100",
    "FLIGHTLOG_PROPELLER__BACKOFF_MAX_S": "1",
    "FLIGHTLOG_SNAPSHOTS__INTERVAL_S": "2",
    "FLIGHTLOG_UPGRADE__ANNOUNCE_INTERVAL_S": "1",
    "FLIGHTLOG_UPGRADE__PROCESS_TIMEOUT_S": "8",
}


@dataclass(slots=True, kw_only=True)
class Upgrade:
    """One upgrade of one engine, in one order of the roles."""

    engine: Distributed
    before: Path
    order: Sequence[str]
    seed: int
    executions: int = 0
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Seed what is drawn."""
        self._draw = random.Random(f"{self.seed}/{'/'.join(self.order)}")

    def run(self) -> None:
        """Start the version before, replace all of it under load, and check."""
        began, engine = time.monotonic(), self.engine
        engine.folder.mkdir(parents=True, exist_ok=True)
        self._say(engine.flightlog("topics", "create", packages=self.before))
        for role in engine.roles:
            role.packages = self.before
            role.start()
        for role in engine.roles:
            role.wait()
        journal = Journal(engine.folder / "journal")
        load = Load(engine, engine.folder, self.seed, 4, journal)
        load.start()
        self._until(lambda: load.ended >= 2, "the version before runs executions")
        self._say(engine.flightlog("topics", "create"))
        for kind in self.order:
            self._replace_all(engine.of(kind), is_first=kind == self.order[0])
        self._until(self._is_open, "the new level opens", _OPENS_S)
        time.sleep(_ALL_KNOW_S)
        begun = load.begun
        self._until(lambda: load.ended >= begun + 2, "executions begin by new rules")
        load.finish()
        self.executions, self.wrong = load.ended, [*self.wrong, *load.wrong]
        for role in engine.roles:
            self._check_runs(role)
        self._check(journal)
        self._check_refusal()
        self.took_s = time.monotonic() - began

    def _replace_all(self, roles: Sequence[Role], *, is_first: bool) -> None:
        for number, role in enumerate(roles):
            self._replace(role, None)
            if is_first and not number:
                self._replace(role, self.before)
                self._replace(role, None)
            time.sleep(self._draw.uniform(0.2, 1.5))

    def _replace(self, role: Role, packages: Path | None) -> None:
        self._check_runs(role)
        if self._draw.random() < _KILLED:
            role.kill()
        elif code := role.stop():
            self.wrong.append(f"Expected {role.role} to stop, but got {code}")
        role.packages = packages
        role.start()
        role.wait()

    def _check_runs(self, role: Role) -> None:
        if role.has_ended:
            self.wrong.append(f"Expected {role.role} to run on, but: {role.tail()}")

    def _is_open(self) -> bool:
        said = self.engine.flightlog("upgrade", "status", "--json")
        return bool(json.loads(said.stdout)["open_level"] == FORMAT_LEVEL)

    def _check(self, journal: Journal) -> None:
        """Check log, read models and journal, and that nothing was refused."""
        verify = self.engine.flightlog("verify", "--json")
        for done in (verify, self.engine.flightlog("replay", "--json")):
            self._say(done)
        letters = self.engine.flightlog("dead-letters", "list", "--json").stdout
        self.wrong += [f"Expected no dead letter: {x}" for x in letters.splitlines()]
        events = all_events(self.engine.env, verified(verify.stdout))
        self.wrong += check(events, journal.entries())
        rules = {
            event["data"].get("rules", 0)
            for event in events
            if event["type"].endswith(".ExecutionCreated")
        }
        if rules != {0, EXECUTION_RULES}:
            self.wrong.append(f"Expected executions by old and new rules, got {rules}")

    def _check_refusal(self) -> None:
        """Check that the version before doesn't start any more, and says why."""
        role = self.engine.role(PROPELLER, 99)
        role.packages = self.before
        role.start()
        assert role.process is not None
        try:
            code = role.process.wait(_REFUSES_S)
        except subprocess.TimeoutExpired:
            role.kill()
            code = 0
        if not code or f"level {FORMAT_LEVEL}" not in role.tail():
            self.wrong.append(f"Expected a refusal in words, but got: {role.tail()}")

    def _say(self, done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode:
            self.wrong.append(f"{done.args}: {done.stdout}{done.stderr}")

    def _until(
        self, holds: Callable[[], bool], what: str, limit_s: float = _MOVES_S
    ) -> None:
        """Wait until something holds, and note what doesn't in time."""
        until = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > until:
                self.wrong.append(f"Expected that {what}, but after {limit_s:g} s not")
                return
            time.sleep(0.2)


def upgrade(
    folder: Path,
    before: Path,
    order: Sequence[str],
    seed: int,
    roles: Sequence[str] = _ROLES,
) -> Upgrade:
    """Replace an engine of the version before in this order; return what was found."""
    with broker(folder / "kafka") as servers, s3(folder / "minio") as store:
        outside = Outside(kafka=servers, postgres=empty_database(), s3=store)
        engine = Distributed(folder / "roles", outside, roles, **_SETTINGS)
        found = Upgrade(engine=engine, before=before, order=order, seed=seed)
        try:
            found.run()
        finally:
            engine.stop()
    return found


@contextmanager
def _folder(kept: str | None) -> Iterator[Path]:
    """Yield a folder that is removed afterwards, unless one is named."""
    if kept is not None:
        Path(kept).mkdir(parents=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory(
        prefix="flightlog-versions-", ignore_cleanup_errors=True
    ) as found:
        yield Path(found)


def main() -> int:
    """Try each order, print what was found, and tell by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of what is killed")
    parser.add_argument("--orders", type=int, default=24, help="how many of the orders")
    parser.add_argument("--folder", help="keep the processes' logs in a new folder")
    options = parser.parse_args()
    is_wrong = False
    orders = list(itertools.permutations(KINDS))
    random.Random(options.seed).shuffle(orders)
    with _folder(options.folder) as folder:
        before = version_before(folder)
        if before is None:
            what = f"no history to build it from, and {VARIABLE} names no wheel"
            sys.stdout.write(f"skipped, no version before: {what}\n")
            return 0
        for number, order in enumerate(orders[: options.orders]):
            found = upgrade(folder / f"{number}", before, order, options.seed)
            done = f"{found.executions} executions in {found.took_s:.0f} s"
            sys.stdout.write(f"{' > '.join(order)}: {done}\n")
            sys.stdout.writelines(f"  WRONG {line}\n" for line in found.wrong)
            sys.stdout.flush()
            is_wrong |= bool(found.wrong)
    return 1 if is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
