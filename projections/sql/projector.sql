-- stored_positions --
SELECT log_partition, position FROM projector_positions WHERE name = %s

-- move --
INSERT INTO projector_positions AS p (name, log_partition, position)
VALUES (%(name)s, %(partition)s, %(to)s)
ON CONFLICT (name, log_partition) DO UPDATE SET position = %(to)s
WHERE p.position = %(from)s

-- hurry --
-- The position falls back with what a crash of the server takes: it is applied again.
SET LOCAL synchronous_commit TO off

-- empty --
TRUNCATE executions, execution_tags, node_executions, task_executions, journal,
    catalog, cache_uses, signals, deletions

-- forget --
DELETE FROM projector_positions WHERE name = %s

-- trim_outcomes --
DELETE FROM outcomes WHERE recorded_at < now() - make_interval(secs => %s)
