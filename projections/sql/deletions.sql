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
DELETE FROM catalog AS c USING unnest(%s::text[]) AS s (stream)
WHERE starts_with(c.source_id, s.stream || '/')
