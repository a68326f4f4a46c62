"""Renamed settings: an old name is refused with the new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.setting_names import variable

RENAMED: Mapping[str, str] = {
    "inline_limit_bytes": "inline_bytes_max",
    "log.recent_max": "log.recent_records_max",
    "log.poll_s": "log.poll_interval_s",
    "log.lock_s": "log.lock_timeout_s",
    "log.keep_commands": "log.retained_messages",
    "log.trim_s": "log.trim_interval_s",
    "kafka.servers": "kafka.bootstrap_servers",
    "kafka.instance": "kafka.group_instance_id",
    "kafka.replication": "kafka.replication_factor",
    "kafka.session_s": "kafka.session_timeout_s",
    "kafka.heartbeat_s": "kafka.heartbeat_interval_s",
    "kafka.transaction_s": "kafka.transaction_timeout_s",
    "kafka.request_s": "kafka.request_timeout_s",
    "kafka.hand_over_s": "kafka.revoke_timeout_s",
    "propeller.array_elements": "propeller.array_concurrency",
    "propeller.silence_s": "propeller.runner_timeout_s",
    "propeller.closed_max": "propeller.closed_streams_max",
    "snapshots.every_s": "snapshots.interval_s",
    "snapshots.nodes_max": "snapshots.chunk_nodes_max",
    "snapshots.last_s": "snapshots.shutdown_timeout_s",
    "process.path": "process.python_path",
    "process.template_start_s": "process.template_start_timeout_s",
    "runner.heartbeat_s": "runner.heartbeat_interval_s",
    "runner.waiting_max": "runner.in_flight_max",
    "runner.drain_s": "runner.drain_timeout_s",
    "gateway.url": "gateway.public_url",
    "gateway.endpoint": "gateway.task_endpoint",
    "gateway.outcome_s": "gateway.command_timeout_s",
    "gateway.signed_url_s": "gateway.signed_url_ttl_s",
    "gateway.drain_s": "gateway.drain_timeout_s",
    "cache.reservation_s": "cache.reservation_ttl_s",
    "cache.poll_s": "cache.poll_interval_s",
    "cache.behind_s": "cache.lag_timeout_s",
    "retention.executions_s": "retention.execution_ttl_s",
    "retention.leftovers_s": "retention.orphan_ttl_s",
    "retention.round_s": "retention.interval_s",
    "retention.round_max": "retention.batch_max",
}
"""Old name → new name, as in the file; the changelog has the same table."""


def renamed(
    given: Mapping[str, object], environment: Mapping[str, str], prefix: str
) -> Iterator[str]:
    """Yield what to change, for each old name in the file or the environment."""
    for old, new in RENAMED.items():
        section, dot, name = old.partition(".")
        part = given.get(section) if dot else given
        if variable(old, prefix) in environment:
            yield f"{variable(old, prefix)} is {variable(new, prefix)} now"
        elif isinstance(part, Mapping) and (name or section) in part:
            yield f"'{old}' is '{new}' now"
