-- positions --
SELECT log_partition, position, rules FROM notify_positions FOR UPDATE

-- move --
INSERT INTO notify_positions (log_partition, position, rules)
SELECT log_partition, position, %(rules)s
FROM unnest(%(partitions)s::integer[], %(to)s::bigint[]) AS w (log_partition, position)
ON CONFLICT (log_partition)
DO UPDATE SET position = EXCLUDED.position, rules = EXCLUDED.rules

-- executions --
SELECT * FROM notify_executions WHERE stream = ANY(%s)

-- late_executions --
SELECT * FROM notify_executions WHERE late_at <= %(now)s
ORDER BY late_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED

-- delete_executions --
DELETE FROM notify_executions WHERE stream = ANY(%s)

-- add_subject --
-- So that there is a row to lock.
INSERT INTO notify_subjects (rule, launch_plan, subject) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING

-- lock_subjects --
-- In one order, so that two readers never wait for each other.
SELECT s.* FROM notify_subjects AS s
JOIN unnest(%(rules)s::text[], %(launch_plans)s::text[]) AS w (rule, launch_plan)
    ON s.rule = w.rule AND s.launch_plan = w.launch_plan
ORDER BY s.rule, s.launch_plan FOR UPDATE OF s

-- claim --
-- What is due, and what somebody claimed who didn't come back; of ordered channels only
-- the first open one of a subject.
UPDATE notify_deliveries AS d SET state = 'claimed', tries = d.tries + 1,
    owner = %(owner)s, next_at = %(until)s,
    maybe_repeated = d.maybe_repeated OR d.state = 'claimed'
FROM (
    SELECT id FROM notify_deliveries AS c
    WHERE channel = %(channel)s AND state IN ('due', 'claimed') AND next_at <= %(now)s
        AND NOT (%(ordered)s AND EXISTS (
            SELECT 1 FROM notify_deliveries AS earlier
            WHERE earlier.channel = c.channel AND earlier.subject = c.subject
                AND earlier.state IN ('due', 'claimed') AND earlier.number < c.number
        ))
    ORDER BY next_at, number LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AS found
WHERE d.id = found.id RETURNING d.*

-- mark --
UPDATE notify_deliveries SET state = %(state)s, next_at = %(next_at)s,
    sent_at = %(sent_at)s, reference = %(reference)s, reason = %(reason)s,
    recipients = %(recipients)s,
    maybe_repeated = maybe_repeated OR %(maybe_sent)s
WHERE id = %(id)s AND owner = %(owner)s AND tries = %(tries)s AND state = 'claimed'

-- redrive --
-- Not an alert whose resolution has gone out: nothing would resolve it again.
UPDATE notify_deliveries AS d SET state = 'due', due_at = %(now)s, next_at = %(now)s,
    tries = 0, owner = '', reason = ''
WHERE state IN ('dead', 'expired') AND (%(id)s = '' OR id = %(id)s)
    AND channel = ANY(%(channels)s)
    AND NOT (action = 'tell' AND EXISTS (
        SELECT 1 FROM notify_deliveries AS later
        WHERE later.channel = d.channel AND later.subject = d.subject
            AND later.number > d.number AND later.action = 'resolve'
    ))
RETURNING id

-- list_deliveries --
SELECT * FROM notify_deliveries
WHERE (%(stream)s = '' OR stream = %(stream)s)
    AND (%(state)s = '' OR state = %(state)s)
ORDER BY number DESC LIMIT %(limit)s

-- live_executions --
SELECT * FROM executions
WHERE phase NOT IN ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT')
    AND stream > %(after)s ORDER BY stream LIMIT %(limit)s
