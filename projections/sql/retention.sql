-- unswept --
-- Deleted and not swept. Blobs of an execution stay while one that recovers it exists or
-- isn't swept, and while one that took its outputs from the catalog isn't swept. Nothing
-- is swept while an execution is passed over, unless it is known otherwise what it uses.
SELECT d.stream FROM deletions AS d
WHERE (%s OR NOT EXISTS (SELECT FROM passed_over))
    AND NOT EXISTS (SELECT FROM swept WHERE swept.stream = d.stream)
    AND NOT EXISTS (SELECT FROM executions AS e WHERE e.recovers = d.stream)
    AND NOT EXISTS (
        SELECT FROM deletions AS r WHERE r.recovers = d.stream
            AND NOT EXISTS (SELECT FROM swept WHERE swept.stream = r.stream))
    AND NOT EXISTS (
        SELECT FROM cache_uses AS u WHERE u.source_stream = d.stream
            AND u.stream <> d.stream
            AND NOT EXISTS (SELECT FROM swept WHERE swept.stream = u.stream))
ORDER BY d.deleted_at, d.stream LIMIT %s

-- mark_swept --
INSERT INTO swept (stream, swept_at) VALUES (%s, now()) ON CONFLICT DO NOTHING

-- existing --
SELECT stream FROM executions WHERE stream = ANY(%s)

-- of_same_folders --
-- Folders are named after the execution, or after project, domain and name joined.
SELECT stream FROM executions WHERE stream <> %s AND (%s AND execution_name = %s
    OR concat_ws('-', execution_project, execution_domain, execution_name) = %s)
LIMIT 1

-- ended_before --
SELECT stream FROM executions
WHERE parent_stream IS NULL
    AND ended_at < now() - make_interval(secs => %s::double precision)
ORDER BY ended_at, stream LIMIT %s

-- delete_expired_reservations --
DELETE FROM catalog_reservations WHERE expires_at < now() - interval '1 hour'
