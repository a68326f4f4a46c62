"""The version gate: who opens it, who is refused, who holds it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.errors import PermanentError
from infra.newer_messages import NewerMessage
from infra.postgres.format_gate import FormatGate
from infra.postgres.pool import Pool, open_pool
from infra.setting_sections.processes import UpgradeSettings
from projections.migrate import migrate
from schemas.levels import FORMAT_LEVEL
from schemas.wire import registry
from tests.support.components.postgres import empty_database

pytestmark = pytest.mark.integration

SETTINGS = UpgradeSettings(announce_interval_s=0.02)
OLDER = (
    "INSERT INTO processes (id, role, host, pid, version, level, seen_at) "
    "VALUES ('old', 'runner', 'h', 7, '0.0.9', %s, now() - make_interval(secs => %s))"
)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """A migrated database without anything in it."""
    url = empty_database()
    await asyncio.to_thread(migrate, url)
    found = await open_pool(url, size=3)
    yield found
    await found.close()


def gate(pool: Pool, settings: UpgradeSettings = SETTINGS) -> FormatGate:
    """Return the gate as a propeller sees it."""
    return FormatGate(pool, settings, "propeller", "0.1.0")


async def is_fresh() -> bool:
    """The log has no event."""
    return True


async def execute(pool: Pool, statement: str, *values: object) -> None:
    """Run a statement."""
    async with pool.connection() as conn:
        await conn.execute(statement, values)  # type: ignore[call-overload]


async def test_an_installation_with_data_stays_closed_until_it_is_opened(
    pool: Pool,
) -> None:
    """Older processes may run that don't announce themselves: the operator decides."""
    one, other = gate(pool), gate(pool)
    async with one.entered(), other.entered():
        assert one.level == 0
        assert await other.open("operator") == []
        while one.level < FORMAT_LEVEL:
            await asyncio.sleep(0.01)


async def test_a_fresh_installation_opens_the_newest_level(pool: Pool) -> None:
    """There is nothing that an older process could have to read."""
    async with gate(pool).entered(is_fresh):
        assert await gate(pool).read() == FORMAT_LEVEL


async def test_a_registry_with_events_is_no_fresh_installation(pool: Pool) -> None:
    """What was registered was so by another version, perhaps an older one."""
    await execute(pool, "CREATE TABLE flightlog_registry (x int)")
    await execute(pool, "INSERT INTO flightlog_registry VALUES (1)")
    found = gate(pool)
    async with found.entered(is_fresh):
        assert found.level == 0


async def test_an_older_process_holds_the_level_back_while_it_runs(pool: Pool) -> None:
    """It is named; once it is silent for too long it doesn't count."""
    await execute(pool, OLDER, FORMAT_LEVEL - 1, 0)
    found = gate(pool)
    (older,) = await found.open("operator")
    assert older.text() == "runner 0.0.9 (pid 7 on h)"
    assert await found.read() == 0

    await execute(pool, "DELETE FROM processes")
    await execute(pool, OLDER, FORMAT_LEVEL - 1, 3600)
    assert await found.open("operator") == []
    assert await found.read() == FORMAT_LEVEL


async def test_a_version_that_does_not_know_an_open_level_is_refused(
    pool: Pool,
) -> None:
    """The sentence names both versions; nothing is announced."""
    await execute(
        pool,
        "INSERT INTO format_levels (level, opened_by, version) VALUES (%s, 'x', '9.9')",
        FORMAT_LEVEL + 1,
    )
    found = gate(pool)
    with pytest.raises(PermanentError, match=r"flightlog 9\.9 or newer.*is .*0\.1\.0"):
        async with found.entered():
            pass
    assert await found.running() == []


@pytest.mark.parametrize(("first", "opens"), [(0, False), (1, True)])
async def test_the_last_older_process_that_leaves_opens_a_later_level(
    pool: Pool, first: int, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not so the first level: processes before levels don't announce themselves."""
    monkeypatch.setattr("infra.postgres.format_gate.FORMAT_LEVEL", 2)
    await execute(
        pool,
        "INSERT INTO format_levels (level, opened_by, version) VALUES (%s, 'x', 'y')",
        first,
    )
    await execute(pool, OLDER, 1, 0)
    found = gate(pool)
    async with found.entered():
        assert found.level == first
        await execute(pool, "DELETE FROM processes WHERE id = 'old'")
        seen = "SELECT count(*) AS n FROM processes WHERE seen_at > started_at"
        async with pool.connection() as conn, asyncio.timeout(10):
            while True:
                row = await (await conn.execute(seen)).fetchone()
                if row is not None and row["n"] and (found.level == 2 or not opens):
                    break
                await asyncio.sleep(0.01)
        assert (found.level == 2) == opens


async def test_a_process_is_listed_while_it_runs(pool: Pool) -> None:
    """It announces itself with what it is, and removes itself."""
    found = gate(pool)
    async with found.entered():
        (process,) = await found.running()
        assert (process.role, process.version) == ("propeller", "0.1.0")
        assert process.level == FORMAT_LEVEL
    assert await found.running() == []


async def test_messages_of_newer_versions_are_listed_with_who_reads_them(
    pool: Pool,
) -> None:
    """Only a running process of the same role that knows the level can take over."""
    found = gate(pool)
    level = FORMAT_LEVEL + 1
    newer = NewerMessage("flightlog.v9.NodeQueued", level)
    add = "INSERT INTO format_messages (fingerprint, name, level) VALUES (%s, %s, %s)"
    await execute(pool, add, "aa", newer.name, newer.level)

    assert await found.find("aa") == newer
    assert await found.find("bb") is None
    async with found.entered():
        assert not await found.has_reader(newer)
        await execute(pool, OLDER, level, 0)  # a runner
        assert not await found.has_reader(newer)
        await execute(pool, "UPDATE processes SET role = 'propeller' WHERE id = 'old'")
        assert await found.has_reader(newer)
        await execute(pool, "UPDATE processes SET seen_at = '-infinity'")
        assert not await found.has_reader(newer)


async def test_a_version_lists_its_messages_before_anything_writes_them(
    pool: Pool,
) -> None:
    """Whatever level is open: what reads them next may not know them."""
    async with gate(pool).entered(), pool.connection() as conn:
        rows = await (await conn.execute("SELECT * FROM format_messages")).fetchall()

    assert {(row["name"], row["level"]) for row in rows} == {
        (entry.name, entry.level) for entry in registry.ENGINE.entries if entry.level
    }
