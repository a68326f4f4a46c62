"""Faults: what is killed, frozen and restarted, and how soon work goes on after it."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from infra.postgres.embedded_server import PostgresServer
from tests.support.components.kafka import Kafka
from tests.support.harness.distributed import Distributed

PROGRESS_S = 60.0
AWAY_S = (0.5, 2.0)
FROZEN_S = 4.0
_LOOK_S = 0.05
_COUNT = "SELECT count(*) FROM journal"


@dataclass(slots=True)
class Faults:
    """Injects one fault after the other; remembers how long it took to go on."""

    engine: Distributed
    kafka: Kafka
    postgres: PostgresServer
    draw: random.Random
    injected: Counter[str] = field(default_factory=Counter)
    progress_s: dict[str, list[float]] = field(default_factory=dict)

    def inject(self) -> str:
        """Do one fault, mend it as a supervisor would, and wait for progress."""
        faults: list[Callable[[], str]] = [
            self.kill, self.kill, self.freeze, self.replace,
            self.kill_broker, self.kill_postgres,
        ]  # fmt: skip
        began = time.monotonic()
        what = self.draw.choice(faults)()
        self.injected[what] += 1
        waited = self._wait_for_progress(began)
        self.progress_s.setdefault(what, []).append(waited)
        return what

    def kill(self) -> str:
        """Kill -9 of any process, which is started again a little later."""
        victim = self.draw.choice(self.engine.roles)
        victim.kill()
        time.sleep(self.draw.uniform(*AWAY_S))
        victim.start()
        victim.wait()
        return f"kill {victim.role}"

    def freeze(self) -> str:
        """Stop a process until the others have moved on, then let it wake."""
        victim = self.draw.choice(self.engine.roles)
        victim.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        victim.signal(signal.SIGCONT)
        time.sleep(0.5)
        victim.revive()
        return f"freeze {victim.role}"

    def replace(self) -> str:
        """End a process as a supervisor does, and start it again."""
        victim = self.draw.choice(self.engine.roles)
        victim.stop()
        victim.start()
        victim.wait()
        return f"replace {victim.role}"

    def kill_broker(self) -> str:
        """Kill -9 of Kafka itself."""
        self.kafka.kill()
        time.sleep(self.draw.uniform(*AWAY_S))
        self.kafka.start()
        return "kill broker"

    def kill_postgres(self) -> str:
        """End Postgres at once, with all its sessions."""
        self.postgres.stop()
        time.sleep(self.draw.uniform(*AWAY_S))
        self.postgres.start()
        return "restart Postgres"

    def _wait_for_progress(self, began: float) -> float:
        """Return the seconds from a fault until the read models show progress."""
        before = self._shown()
        while time.monotonic() - began < PROGRESS_S:
            if self._shown() > before:
                break
            time.sleep(_LOOK_S)
        for role in self.engine.roles:
            role.revive()
        return time.monotonic() - began

    def _shown(self) -> int:
        try:
            with psycopg.connect(self.engine.postgres(), connect_timeout=2) as conn:
                row = conn.execute(_COUNT).fetchone()
        except psycopg.OperationalError:
            return 0
        return int(row[0]) if row else 0
