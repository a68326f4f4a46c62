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
