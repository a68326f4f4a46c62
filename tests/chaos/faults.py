"""Faults: what is killed, frozen, filled and misled, and how soon work goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from infra.postgres import postmaster
from schemas import topics
from tests.chaos.clock import library
from tests.chaos.setting import Setting
from tests.support.harness.distributed import PROJECTOR, PROPELLER, RUNNER, Role

PROGRESS_S = 120.0
AWAY_S = (0.3, 1.5)
FROZEN_S = 4.0
FULL_S = 2.0
HALF = 0.5
JUMPS_S = (-600.0, -60.0, -5.0, 5.0, 60.0, 600.0)
_CLOCK_READ_S = 1.2
"""A process reads its clock's file once a second."""
_LOOK_S = 0.05
_APPLIED = "SELECT coalesce(sum(position), 0) FROM projector_positions"
_ADDED_TO = (topics.COMMANDS, topics.EVENTS, topics.DISPATCHES, topics.ABORTS)


@dataclass(slots=True)
class Faults:
    """Injects one fault after the other; remembers how long it took to go on."""

    setting: Setting
    seed: int
    injected: Counter[str] = field(default_factory=Counter)
    progress_s: dict[str, list[float]] = field(default_factory=dict)
    _added: int = 0
    _joined: int = 0
    _draw: random.Random = field(default_factory=random.Random)

    def inject(self, number: int) -> str:
        """Do the fault of this number, mend it as an operator would, wait for progress.

        Seed and number alone decide which fault it is. Raises StuckError, also if
        something doesn't start again.
        """
        self._draw = random.Random(f"{self.seed}/{number}")
        faults = self._possible()
        fault = self._draw.choices(list(faults), weights=list(faults.values()))[0]
        began = time.monotonic()
        try:
            what = fault()
            self.injected[what] += 1
            waited = self._wait_for_progress(began, what, number)
        except StuckError:
            raise
        except Exception as error:
            where = f"fault {number}, {fault.__name__} (seed {self.seed})"
            message = f"Expected all to run again after {where}, but: {error!r}"
            raise StuckError(message) from error
        self.progress_s.setdefault(what, []).append(waited)
        return what

    def _possible(self) -> dict[Callable[[], str], int]:
        """Return the faults that can be done here, with how often each is drawn."""
        setting = self.setting
        found: dict[Callable[[], str], int] = {
            self.kill_role: 6, self.freeze_role: 4, self.replace_role: 3,
            self.kill_broker: 2, self.kill_controller: 1, self.kill_two_brokers: 1,
            self.freeze_broker: 1, self.kill_postgres: 2, self.kill_host: 2,
            self.join_projector: 2, self.add_partitions: 1,
        }  # fmt: skip
        if library() is not None:
            found[self.jump] = 4
        if setting.postgres_disk is not None and setting.broker_disk is not None:
            found[self.fill_disk] = 2
        return found

    def kill_role(self) -> str:
        """Kill -9 of any process, which is started again a little later."""
        victim = self._draw.choice(self.setting.engine.roles)
        victim.kill()
        self._pause()
        victim.start()
        victim.wait()
        return f"kill {victim.role}"

    def freeze_role(self) -> str:
        """Stop a process until the others have moved on, then let it wake."""
        victim = self._one_of(PROPELLER, PROJECTOR, RUNNER)
        victim.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        victim.signal(signal.SIGCONT)
        return f"freeze {victim.role}"

    def replace_role(self) -> str:
        """End a process as a supervisor does, and start it again."""
        victim = self._draw.choice(self.setting.engine.roles)
        victim.stop()
        victim.start()
        victim.wait()
        return f"replace {victim.role}"

    def kill_broker(self) -> str:
        """Kill -9 of a broker."""
        self._draw.choice(self.setting.cluster.brokers).kill()
        self._pause()
        self.setting.cluster.revive()
        return "kill broker"

    def kill_controller(self) -> str:
        """Kill -9 of the broker that leads the controllers."""
        self.setting.cluster.controller().kill()
        self._pause()
        self.setting.cluster.revive()
        return "kill controller"

    def kill_two_brokers(self) -> str:
        """Kill -9 of two brokers at once: nothing can be written until one is back."""
        for broker in self._draw.sample(self.setting.cluster.brokers, 2):
            broker.kill()
        self._pause()
        self.setting.cluster.revive()
        return "kill two brokers"

    def freeze_broker(self) -> str:
        """Stop a broker until the others have taken over."""
        victim = self._draw.choice(self.setting.cluster.brokers)
        victim.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        victim.signal(signal.SIGCONT)
        return "freeze broker"

    def kill_postgres(self) -> str:
        """Kill -9 of Postgres, or a restart of it."""
        postgres, kills = self.setting.postgres, self._draw.random() < HALF
        found = postmaster.read(self.setting.postgres_folder)
        if kills and found is not None:
            os.kill(found.pid, signal.SIGKILL)
        else:
            postgres.stop()
        self._pause()
        postgres.start()
        return f"{'kill' if kills else 'restart'} Postgres"

    def kill_host(self) -> str:
        """Kill -9 of all roles of one host and its broker."""
        host = self._draw.choice(self.setting.hosts)
        host.broker.kill()
        for role in host.roles:
            role.kill()
        self._pause()
        self.setting.revive()
        return "kill host"

    def join_projector(self) -> str:
        """Let one more projector join under load, and leave."""
        self._joined += 1
        engine = self.setting.engine
        guest = engine.role(PROJECTOR, len(engine.roles) + self._joined)
        self.setting.clock(guest)
        guest.start()
        guest.wait()
        time.sleep(self._draw.uniform(*AWAY_S))
        guest.stop()
        return "join projector"

    def add_partitions(self) -> str:
        """Let an operator add a partition to topics; it stays unused."""
        self._added += 1
        total = self.setting.engine.kafka.partitions + self._added
        asyncio.run(self._grow(total))
        return "add partitions"

    async def _grow(self, total: int) -> None:
        kafka = self.setting.engine.kafka
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            wanted = {kafka.prefix + t: NewPartitions(total) for t in _ADDED_TO}
            await admin.create_partitions(wanted)
        finally:
            await admin.close()

    def jump(self) -> str:
        """Put a process's clock forward or back for a while."""
        victim = self._one_of(PROPELLER, PROJECTOR, RUNNER)
        clock = self.setting.clock(victim)
        clock.set(self._draw.choice(JUMPS_S))
        time.sleep(_CLOCK_READ_S + self._draw.uniform(*AWAY_S))
        clock.set(0)
        return f"clock of {victim.role}"

    def fill_disk(self) -> str:
        """Fill the disk of Postgres or of a broker, and free it."""
        setting = self.setting
        of_postgres = self._draw.random() < HALF
        disk = setting.postgres_disk if of_postgres else setting.broker_disk
        assert disk is not None
        disk.fill()
        time.sleep(FULL_S)
        disk.free()
        setting.revive()
        return f"full disk of {'Postgres' if of_postgres else 'a broker'}"

    def _one_of(self, *names: str) -> Role:
        roles = self.setting.engine.roles
        return self._draw.choice([role for role in roles if role.role in names])

    def _pause(self) -> None:
        time.sleep(self._draw.uniform(*AWAY_S))

    def _wait_for_progress(self, began: float, what: str, number: int) -> float:
        """Return the seconds from a fault until the read models show progress."""
        before: int | None = None
        while time.monotonic() - began < PROGRESS_S:
            now = self._applied()
            if before is None:
                before = now
            elif now is not None and now > before:
                return time.monotonic() - began
            self.setting.revive()
            time.sleep(_LOOK_S)
        raise StuckError(
            f"Expected progress within {PROGRESS_S:.0f} s of fault {number}, {what} "
            f"(seed {self.seed}), but there is none"
        )

    def _applied(self) -> int | None:
        """Return how much the projectors have applied, None while it can't be read."""
        url = self.setting.engine.postgres()
        try:
            with psycopg.connect(url, connect_timeout=2) as conn:
                row = conn.execute(_APPLIED).fetchone()
        except psycopg.Error:
            return None
        return None if row is None else int(row[0])


class StuckError(Exception):
    """Nothing went on after a fault."""
