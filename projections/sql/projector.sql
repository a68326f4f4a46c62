-- stored_positions --
SELECT log_partition, position FROM projector_positions WHERE name = %s

-- move --
INSERT INTO projector_positions AS p (name, log_partition, position)
VALUES (%(name)s, %(partition)s, %(to)s)
ON CONFLICT (name, log_partition) DO UPDATE SET position = %(to)s
WHERE p.position = %(from)s

-- commit_without_waiting --
-- A crash of the server may take the last commits, and their positions with them: those
-- events are applied again.
SET LOCAL synchronous_commit TO off

-- delete_positions --
DELETE FROM projector_positions WHERE name = %s

-- trim_outcomes --
DELETE FROM outcomes WHERE recorded_at < now() - make_interval(secs => %s)
