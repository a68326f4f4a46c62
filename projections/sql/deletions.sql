-- deletions --
INSERT INTO deletions (stream, recovers, deleted_at)
SELECT stream, recovers, %s FROM executions WHERE stream = %s
ON CONFLICT DO NOTHING

-- executions --
DELETE FROM executions WHERE stream = ANY(%s)

-- tags --
DELETE FROM execution_tags WHERE stream = ANY(%s)

-- nodes --
DELETE FROM node_executions WHERE stream = ANY(%s)

-- tasks --
DELETE FROM task_executions WHERE stream = ANY(%s)

-- signals --
DELETE FROM signals WHERE stream = ANY(%s)

-- journal --
-- The line of the deletion stays: when, and by whom.
DELETE FROM journal WHERE stream = ANY(%s) AND type <> 'ExecutionDeleted'

-- catalog --
-- What is deleted was the newest of its key, and stays that.
WITH gone AS (
    DELETE FROM catalog AS c USING unnest(%s::text[]) AS s (stream)
    WHERE starts_with(c.source_id, s.stream || '/')
    RETURNING c.project, c.domain, c.name, c.version, c.tag, c.source_id, c.created_at
)
INSERT INTO catalog_deletions AS known
    (project, domain, name, version, tag, source_id, created_at)
SELECT * FROM gone
ON CONFLICT (tag, version, name, domain, project) DO UPDATE
SET source_id = EXCLUDED.source_id, created_at = EXCLUDED.created_at
WHERE (known.created_at, known.source_id) <= (EXCLUDED.created_at, EXCLUDED.source_id)
