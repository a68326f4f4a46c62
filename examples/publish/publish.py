"""Publishes CreateExecution on Kafka and follows the execution's events.

Needs nothing of Flightlog but its Avro schemas (`schemas/avro`): a Kafka client and an
Avro library. `publish.mjs` does the same in Node.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import secrets
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = Path(__file__).parents[2] / "schemas" / "avro"
MARKER = b"\xc3\x01"  # Avro single-object encoding: marker, fingerprint, record
ENDINGS = ("Succeeded", "Failed", "Aborted", "TimedOut")


def load_schemas(folder: Path) -> dict[bytes, Any]:
    """Return every schema by the fingerprint that bytes of it begin with."""
    found = {}
    for path in folder.glob("*.avsc"):
        schema = json.loads(path.read_text())
        digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
        found[bytes.fromhex(digest)] = parse_schema(schema)
    return found


def encode(schemas: dict[bytes, Any], name: str, record: dict[str, Any]) -> bytes:
    """Return a message's bytes; fields that are left out take their defaults."""
    digest, schema = next(
        (digest, schema) for digest, schema in schemas.items() if schema["name"] == name
    )
    out = io.BytesIO()
    schemaless_writer(out, schema, record)
    return MARKER + digest + out.getvalue()


def decode(schemas: dict[bytes, Any], body: bytes) -> tuple[str, dict[str, Any]]:
    """Return a message's full name and fields."""
    schema = schemas[body[2:10]]
    fields: Any = schemaless_reader(io.BytesIO(body[10:]), schema, None)
    return schema["name"], fields


async def run(asked: argparse.Namespace) -> int:
    """Publish the command, then print events until the execution has ended."""
    schemas = load_schemas(asked.schemas)
    project, domain, plan, version = asked.launch_plan.split("/")
    name = asked.name or f"published-{secrets.token_hex(4)}"
    stream = f"execution/{project}/{domain}/{name}"
    command_id = f"publish.py/{secrets.token_hex(16)}"
    command = {
        "project": project,
        "domain": domain,
        "name": name,
        "launch_plan": {
            "kind": "LAUNCH_PLAN",
            "project": project,
            "domain": domain,
            "name": plan,
            "version": version,
        },
        "spec": b"",  # more settings: a serialized flyteidl.admin.ExecutionSpec
        "inputs_json": asked.inputs,
    }
    events = AIOKafkaConsumer(
        f"{asked.prefix}flightlog.events",
        bootstrap_servers=asked.servers,
        isolation_level="read_committed",  # a transaction may still be undone
        auto_offset_reset="latest",
    )
    async with events, AIOKafkaProducer(bootstrap_servers=asked.servers) as producer:
        await events.seek_to_end()  # so that no event is missed
        await producer.send_and_wait(
            f"{asked.prefix}flightlog.commands",
            key=stream.encode(),  # the stream is the key: it gives the partition
            value=encode(schemas, "flightlog.v1.CreateExecution", command),
            headers=[
                ("ce_specversion", b"1.0"),
                ("ce_id", command_id.encode()),
                ("ce_type", b"flightlog.v1.CreateExecution"),
                ("ce_source", b"/examples/publish"),
                ("ce_subject", stream.encode()),
                ("ce_flightlogreply", b"true"),  # refusals are told, too
            ],
        )
        return await follow(events, schemas, stream, command_id)


async def follow(
    events: AIOKafkaConsumer, schemas: dict[bytes, Any], stream: str, command_id: str
) -> int:
    """Print the stream's events; return 0 once it has succeeded, 1 otherwise."""
    async for record in events:
        if record.key.decode() != stream:
            continue
        name, fields = decode(schemas, record.value)
        if name.endswith(".CommandRejected") and fields["command_id"] == command_id:
            sys.stderr.write(f"{fields['reason']}: {fields['detail']}\n")
            return 1
        headers = dict(record.headers)
        sequence = headers.get("ce_flightlogsequence", b"").decode()
        kind = name.rpartition(".")[2]
        sys.stdout.write(f"{sequence:>4} {kind} {fields.get('node_id', '')}\n")
        sys.stdout.flush()
        if kind.startswith("Execution") and kind.endswith(ENDINGS):
            return 0 if kind == "ExecutionSucceeded" else 1
    return 1


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("launch_plan", help="project/domain/name/version")
    parser.add_argument("inputs", help="inputs by name, as a JSON object")
    parser.add_argument("--servers", default="localhost:9092")
    parser.add_argument("--prefix", default="", help="before the topics' names")
    parser.add_argument("--name", default="", help="the execution's; drawn if left out")
    parser.add_argument("--schemas", type=Path, default=SCHEMAS)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
