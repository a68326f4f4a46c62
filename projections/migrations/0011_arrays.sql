-- Arrays: the nodes of their elements, hidden from lists, and the size of an array.
-- depends: 0002_whole_ids

ALTER TABLE node_executions ADD COLUMN element integer NOT NULL DEFAULT -1;
ALTER TABLE task_executions ADD COLUMN array_size integer NOT NULL DEFAULT -1;
