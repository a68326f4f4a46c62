-- Executions know what they came from: the parent's execution, or the one that they
-- relaunch or recover.
-- depends: 0022_execution_states

ALTER TABLE executions ADD COLUMN source text;

UPDATE executions
SET source = split_part(COALESCE(parent_stream, recovers), '/', 4)
WHERE COALESCE(parent_stream, recovers) IS NOT NULL;
