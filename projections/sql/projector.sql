-- stored_positions --
SELECT log_partition, position FROM projector_positions WHERE name = %s

-- begin --
-- A partition that has no row stands at 0.
INSERT INTO projector_positions (name, log_partition, position)
SELECT %s, log_partition, 0 FROM unnest(%s::integer[]) AS log_partition
ON CONFLICT DO NOTHING

-- move --
-- All positions at once; returns a row for each that was moved.
UPDATE projector_positions AS p SET position = w.target
FROM unnest(
    %(partitions)s::integer[], %(from)s::bigint[], %(to)s::bigint[]
) AS w (log_partition, known, target)
WHERE p.name = %(name)s AND p.log_partition = w.log_partition AND p.position = w.known
RETURNING (SELECT sum(hashtextextended(stream, 0))::text FROM passed_over) AS digest

-- move_to --
INSERT INTO projector_positions (name, log_partition, position) VALUES (%s, %s, %s)
ON CONFLICT (name, log_partition) DO UPDATE SET position = EXCLUDED.position

-- passed_over --
-- The streams, and a number that other streams don't have.
SELECT sum(hashtextextended(stream, 0))::text AS digest,
    COALESCE(array_agg(stream), '{}') AS streams
FROM passed_over

-- pass_over --
INSERT INTO passed_over (stream, sequence, error) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING

-- commit_without_waiting --
-- A crash of the server may take the last commits, and their positions with them: those
-- events are applied again.
SET LOCAL synchronous_commit TO off

-- lock_positions --
-- The projector moves its positions in each transaction: it waits for this one.
LOCK TABLE projector_positions IN EXCLUSIVE MODE

-- delete_positions --
DELETE FROM projector_positions WHERE name = %s

-- trim_outcomes --
DELETE FROM outcomes WHERE recorded_at < now() - make_interval(secs => %s)
