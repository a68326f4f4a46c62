-- Whole ids for filters that look into other tables, and what clients are told of nodes
-- and attempts. A node's number is the sequence of the fact that made it visible, so
-- that a rebuild gives the same rows.
-- depends: 0001_views

ALTER TABLE executions
    ADD COLUMN launch_plan_project text NOT NULL DEFAULT '',
    ADD COLUMN launch_plan_domain text NOT NULL DEFAULT '',
    ADD COLUMN workflow_project text NOT NULL DEFAULT '',
    ADD COLUMN workflow_domain text NOT NULL DEFAULT '',
    ADD COLUMN task_project text,
    ADD COLUMN task_domain text,
    ADD COLUMN task_version text,
    ADD COLUMN parent_attempt integer,
    ADD COLUMN max_parallelism integer NOT NULL DEFAULT 0;
CREATE INDEX executions_parent ON executions (parent_stream, parent_node_id)
    WHERE parent_stream IS NOT NULL;

ALTER TABLE node_executions
    ALTER COLUMN number DROP IDENTITY,
    ADD COLUMN scope text NOT NULL DEFAULT '',
    ADD COLUMN attempt integer NOT NULL DEFAULT 0,
    ADD COLUMN is_parent boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN is_dynamic boolean NOT NULL DEFAULT FALSE,
    ADD COLUMN is_array boolean NOT NULL DEFAULT FALSE;

ALTER TABLE task_executions
    ADD COLUMN project text NOT NULL DEFAULT '',
    ADD COLUMN domain text NOT NULL DEFAULT '',
    ADD COLUMN runner text NOT NULL DEFAULT '',
    ADD COLUMN incarnation text NOT NULL DEFAULT '',
    ADD COLUMN reasons text NOT NULL DEFAULT '';

ALTER TABLE journal
    ADD COLUMN summary text NOT NULL DEFAULT '';

ALTER TABLE launch_plans
    ADD COLUMN workflow_project text NOT NULL DEFAULT '',
    ADD COLUMN workflow_domain text NOT NULL DEFAULT '',
    ADD COLUMN launch_condition_type text;

CREATE INDEX tasks_created ON tasks (project, domain, created_at DESC);
CREATE INDEX workflows_created ON workflows (project, domain, created_at DESC);
CREATE INDEX launch_plans_created ON launch_plans (project, domain, created_at DESC);
