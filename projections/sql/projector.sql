-- stored_positions --
SELECT log_partition, position FROM projector_positions WHERE name = %s

-- move --
-- All positions at once; one that has no row stands at 0. Returns how many were moved.
WITH wanted AS (
    SELECT * FROM unnest(
        %(partitions)s::integer[], %(from)s::bigint[], %(to)s::bigint[]
    ) AS w (log_partition, known, target)
), begun AS (
    INSERT INTO projector_positions AS p (name, log_partition, position)
    SELECT %(name)s, log_partition, target FROM wanted WHERE known = 0
    ON CONFLICT (name, log_partition) DO UPDATE SET position = EXCLUDED.position
    WHERE p.position = 0
    RETURNING 1
), moved AS (
    UPDATE projector_positions AS p SET position = w.target FROM wanted AS w
    WHERE p.name = %(name)s AND p.log_partition = w.log_partition
        AND p.position = w.known AND w.known > 0
    RETURNING 1
)
SELECT (SELECT count(*) FROM begun) + (SELECT count(*) FROM moved) AS moved,
    (SELECT sum(hashtextextended(stream, 0))::text FROM passed_over) AS passed_over

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
