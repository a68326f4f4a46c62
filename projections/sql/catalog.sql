-- find --
SELECT outputs, source FROM catalog AS c
WHERE project = %s AND domain = %s AND name = %s AND version = %s AND tag = %s
    AND (%s::double precision = 0
        OR created_at > now() - make_interval(secs => %s::double precision))
    AND NOT EXISTS (
        SELECT FROM catalog_evictions AS e
        WHERE (e.project, e.domain, e.name) = (c.project, c.domain, c.name)
            AND e.evicted_at >= c.created_at)

-- count --
SELECT count(*) AS rows FROM catalog AS c
WHERE project = %s AND domain = %s AND name = %s
    AND NOT EXISTS (
        SELECT FROM catalog_evictions AS e
        WHERE (e.project, e.domain, e.name) = (c.project, c.domain, c.name)
            AND e.evicted_at >= c.created_at)

-- reserve --
-- Succeeds where it is free, expired, or the owner's already; else there is no row.
INSERT INTO catalog_reservations AS r
    (project, domain, name, version, tag, owner, expires_at)
VALUES (%s, %s, %s, %s, %s, %s,
    now() + make_interval(secs => %s::double precision))
ON CONFLICT (tag, version, name, domain, project) DO UPDATE
SET owner = EXCLUDED.owner, expires_at = EXCLUDED.expires_at
WHERE r.owner = EXCLUDED.owner OR r.expires_at <= now()
RETURNING owner

-- extend --
UPDATE catalog_reservations
SET expires_at = now() + make_interval(secs => %s::double precision)
WHERE owner = ANY(%s)

-- release --
DELETE FROM catalog_reservations
WHERE project = %s AND domain = %s AND name = %s AND version = %s AND tag = %s
    AND owner = %s

-- release_all --
DELETE FROM catalog_reservations WHERE owner = ANY(%s)

-- drop_superseded --
-- Outputs that are older than deleted ones of their key: in another order of the
-- partitions they wouldn't be there.
DELETE FROM catalog AS c USING catalog_deletions AS d
WHERE (d.tag, d.version, d.name, d.domain, d.project)
        = (c.tag, c.version, c.name, c.domain, c.project)
    AND c.tag = ANY(%s)
    AND (c.created_at, c.source_id) <= (d.created_at, d.source_id)

-- drop_superseded_deletions --
DELETE FROM catalog_deletions AS d USING catalog AS c
WHERE (d.tag, d.version, d.name, d.domain, d.project)
        = (c.tag, c.version, c.name, c.domain, c.project)
    AND d.tag = ANY(%s)
