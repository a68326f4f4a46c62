"""Exports of a log: complete, or refused."""

from __future__ import annotations

from pathlib import Path

import fastavro
import pytest
from msgspec.structs import replace

from infra.errors import PermanentError
from infra.eventlog import avro_file
from infra.eventlog.contract import Record
from tests.contract.records import command, event_record


def written(path: Path, count: int = 2500) -> list[Record]:
    """Write an export; return what is in it."""
    records = [
        replace(command("c1"), key=""),
        *(event_record(n + 1) for n in range(count)),
    ]
    with avro_file.open_writer(path, {"flightlog.version": "9"}) as file:
        file.write(records)
    return records


def read(path: Path) -> list[Record]:
    """Read an entire export."""
    return [record for page, _ in avro_file.read_pages(path, 1000) for record in page]


def test_an_export_comes_back_whole(tmp_path: Path) -> None:
    """Every field of every record is there again, in order."""
    path = tmp_path / "log.avro"
    records = written(path)
    assert read(path) == records
    assert [len(page) for page, _ in avro_file.read_pages(path, 1000)] == [
        1000,
        1000,
        501,
    ]
    with path.open("rb") as source:
        metadata = fastavro.reader(source).metadata
    assert metadata["flightlog.version"] == "9"
    assert not list(tmp_path.glob("*.part"))


def test_any_avro_tool_reads_it(tmp_path: Path) -> None:
    """The file says by itself what it holds."""
    path = tmp_path / "log.avro"
    written(path, 1)
    with path.open("rb") as source:
        rows = list(fastavro.reader(source))
    assert [row["id"] for row in rows] == ["c1", "execution/p/d/one/1"]


@pytest.mark.parametrize("keep", [0, 3, 200, 0.5, 0.999])
def test_a_part_of_an_export_is_refused(tmp_path: Path, keep: float) -> None:
    """Wherever it was cut, it is refused."""
    path = tmp_path / "log.avro"
    written(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(PermanentError, match=r"Expected log.avro to be"):
        read(path)


def test_a_damaged_export_is_refused(tmp_path: Path) -> None:
    """Changed bytes are found."""
    path = tmp_path / "log.avro"
    written(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(PermanentError, match="complete export"):
        read(path)


def test_other_containers_are_refused(tmp_path: Path) -> None:
    """An Avro file of something else is no export."""
    path = tmp_path / "log.avro"
    schema = {"type": "record", "name": "X", "fields": []}
    with path.open("wb") as out:
        fastavro.writer(out, fastavro.parse_schema(schema), [{}])
    with pytest.raises(PermanentError, match="an export of format 1, but it is none"):
        read(path)


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The file appears once it is complete."""
    path = tmp_path / "log.avro"

    def broken() -> None:
        with avro_file.open_writer(path, {}) as file:
            file.write([event_record(1)])
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        broken()
    assert not list(tmp_path.iterdir())
