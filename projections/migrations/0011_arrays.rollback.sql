ALTER TABLE node_executions DROP COLUMN element;
ALTER TABLE task_executions DROP COLUMN array_size;
