ALTER TABLE node_executions DROP COLUMN dynamic_workflow;
