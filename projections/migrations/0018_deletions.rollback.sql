DROP TABLE swept;
DROP TABLE deletions;
ALTER TABLE executions DROP COLUMN recovers;
