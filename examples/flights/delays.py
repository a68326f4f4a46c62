"""Flight delays: the report that an airline's desk reads each morning.

A chain, a fan-out over airports by a sub-workflow, a branch, and a launch plan;
`flightlog demo` runs it. By hand: pyflyte run --remote delays.py delay_report
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from flytekit import LaunchPlan, conditional, current_context, task, workflow
from flytekit.types.file import FlyteFile

AIRPORTS = ["FRA", "LHR", "ZRH"]
MONDAY = datetime(2026, 1, 5, tzinfo=timezone.utc)


@dataclass
class Delays:
    """How late the flights of one airport left."""

    airport: str
    flights: int
    mean_minutes: float
    latest_flight: str


class Morning(NamedTuple):
    """What the desk gets."""

    ranking: dict[str, float]
    verdict: str
    page: FlyteFile


@task
def load_flights(day: datetime, airports: list[str], per_airport: int) -> pd.DataFrame:
    """Make up a day's departures; the same day always gives the same flights."""
    chance = random.Random(day.toordinal())
    rows = [
        {
            "flight": f"FL{chance.randint(100, 999)}",
            "airport": airport,
            "minutes_late": round(chance.expovariate(1 / 15), 1),
        }
        for airport in airports
        for _ in range(per_airport)
    ]
    print(f"{len(rows)} departures on {day:%A, %d %B %Y}")
    return pd.DataFrame(rows)


@task
def departures(flights: pd.DataFrame, airport: str) -> pd.DataFrame:
    """Keep the departures of one airport."""
    return flights[flights["airport"] == airport]


@task
def summarise(flights: pd.DataFrame, airport: str) -> Delays:
    """Sum one airport's departures up."""
    latest = flights.loc[flights["minutes_late"].idxmax()]
    return Delays(
        airport=airport,
        flights=len(flights),
        mean_minutes=round(float(flights["minutes_late"].mean()), 1),
        latest_flight=str(latest["flight"]),
    )


@workflow
def airport_delays(flights: pd.DataFrame, airport: str) -> Delays:
    """Split off one airport, and sum it up."""
    return summarise(
        flights=departures(flights=flights, airport=airport), airport=airport
    )


@task
def rank(delays: list[Delays]) -> dict[str, float]:
    """Order the airports, the latest first."""
    ordered = sorted(delays, key=lambda d: -d.mean_minutes)
    return {d.airport: d.mean_minutes for d in ordered}


@task
def worst(ranking: dict[str, float]) -> float:
    """Return the worst airport's mean delay in minutes."""
    return max(ranking.values())


@task
def call_reserves(minutes: float) -> str:
    """Ask for help."""
    return f"reserves called: {minutes:g} minutes late on average at the worst airport"


@task
def all_calm(minutes: float) -> str:
    """Say that there is nothing to do."""
    return f"all calm: never more than {minutes:g} minutes late on average"


@task
def write_report(day: datetime, delays: list[Delays], verdict: str) -> FlyteFile:
    """Write the page for the desk."""
    lines = [f"Delays on {day:%Y-%m-%d}", "", verdict, ""]
    for d in delays:
        late = f"{d.mean_minutes:5.1f} min, latest {d.latest_flight}"
        lines.append(f"{d.airport}  {d.flights:3d} flights  {late}")
    page = Path(current_context().working_directory) / "report.txt"
    page.write_text("\n".join(lines) + "\n")
    print(page.read_text())
    return FlyteFile(str(page))


@workflow
def delay_report(
    day: datetime = MONDAY,
    airports: list[str] = AIRPORTS,
    per_airport: int = 40,
    limit_minutes: float = 15.0,
) -> Morning:
    """Report on one day: ranking, verdict, and the page for the desk."""
    flights = load_flights(day=day, airports=airports, per_airport=per_airport)
    delays = [airport_delays(flights=flights, airport=code) for code in AIRPORTS]
    ranking = rank(delays=delays)
    minutes = worst(ranking=ranking)
    verdict = (
        conditional("are_we_late")
        .if_(minutes > limit_minutes)
        .then(call_reserves(minutes=minutes))
        .else_()
        .then(all_calm(minutes=minutes))
    )
    page = write_report(day=day, delays=delays, verdict=verdict)
    return Morning(ranking=ranking, verdict=verdict, page=page)


morning_report = LaunchPlan.get_or_create(
    delay_report,
    name="flights.morning_report",
    default_inputs={"per_airport": 60},
    fixed_inputs={"limit_minutes": 12.0},
)
