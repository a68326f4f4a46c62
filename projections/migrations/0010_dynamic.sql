-- Dynamic nodes: the workflow that a node's task made.
-- depends: 0002_whole_ids

ALTER TABLE node_executions ADD COLUMN dynamic_workflow bytea;
