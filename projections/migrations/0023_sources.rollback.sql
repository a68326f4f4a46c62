ALTER TABLE executions DROP COLUMN source;
