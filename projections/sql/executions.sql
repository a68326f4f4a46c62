-- get_execution --
SELECT * FROM executions WHERE stream = %s

-- find_executions --
SELECT stream FROM executions WHERE execution_name = %s
ORDER BY created_at DESC, stream LIMIT %s

-- open_and_tagged --
SELECT executions.stream FROM execution_tags
JOIN executions ON executions.stream = execution_tags.stream
WHERE execution_tags.key = %s AND execution_tags.value = %s
    AND executions.execution_project = %s AND executions.execution_domain = %s
    AND executions.phase NOT IN ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT')
ORDER BY executions.created_at, executions.stream

-- ended --
SELECT s.stream, j.sequence AS last_sequence, j.type = 'ExecutionDeleted' AS is_deleted,
    e.phase, e.parent_stream, e.parent_node_id
FROM unnest(%s::text[]) AS s (stream)
CROSS JOIN LATERAL (
    SELECT sequence, type FROM journal WHERE journal.stream = s.stream
    ORDER BY sequence DESC LIMIT 1) AS j
LEFT JOIN executions AS e ON e.stream = s.stream
WHERE e.phase IN ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT')
    OR j.type = 'ExecutionDeleted'

-- stream_extent --
-- The journal of a stream that is passed over isn't complete.
SELECT (extract(epoch FROM first.occurred_at) * 1000000)::bigint AS began_us,
    CASE WHEN e.ended_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM passed_over AS p WHERE p.stream = e.stream) THEN
        (SELECT max(sequence) FROM journal WHERE journal.stream = e.stream)
    END AS last_sequence
FROM executions AS e
JOIN journal AS first ON first.stream = e.stream AND first.sequence = 1
WHERE e.stream = %s

-- execution_counts --
SELECT phase, count(*) AS rows FROM executions GROUP BY phase

-- count_active --
-- Ended ones are excluded twice: the index is on those that have not ended.
SELECT count(*) AS rows FROM executions
WHERE launch_plan_project = %s AND launch_plan_domain = %s AND launch_plan_name = %s
    AND phase IN ('QUEUED', 'RUNNING')
    AND phase NOT IN ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT')

-- get_node --
SELECT * FROM node_executions WHERE stream = %s AND node_id = %s

-- all_nodes --
SELECT * FROM node_executions WHERE stream = %s AND element < 0 ORDER BY number LIMIT %s

-- phase_counts --
SELECT phase, count(*) AS rows FROM node_executions WHERE stream = %s AND element < 0
GROUP BY phase

-- all_attempts --
SELECT * FROM task_executions WHERE stream = %s ORDER BY node_id, retry_attempt LIMIT %s

-- get_task_execution --
SELECT * FROM task_executions
WHERE stream = %s AND node_id = %s AND retry_attempt = %s

-- get_signal --
SELECT * FROM signals WHERE stream = %s AND signal_id = %s

-- journal --
SELECT * FROM journal WHERE stream = %s AND sequence > %s ORDER BY sequence LIMIT %s

-- outcomes --
SELECT command_id, kind, event_id, reason, detail FROM outcomes
WHERE command_id = ANY(%s)

-- elements --
SELECT n.node_id, n.element, n.phase, n.child, n.cache_status, t.phase AS task_phase,
    t.retry_attempt, t.generated_name, t.logs
FROM node_executions n
LEFT JOIN LATERAL (
    SELECT * FROM task_executions
    WHERE stream = n.stream AND node_id = n.node_id
    ORDER BY retry_attempt DESC LIMIT 1
) t ON TRUE
WHERE n.stream = %s AND n.parent_id = %s AND n.element >= 0
ORDER BY n.element
