DROP INDEX launch_plans_created, workflows_created, tasks_created;

ALTER TABLE launch_plans
    DROP COLUMN launch_condition_type,
    DROP COLUMN workflow_domain,
    DROP COLUMN workflow_project;

ALTER TABLE journal
    DROP COLUMN summary;

ALTER TABLE task_executions
    DROP COLUMN reasons,
    DROP COLUMN incarnation,
    DROP COLUMN runner,
    DROP COLUMN domain,
    DROP COLUMN project;

ALTER TABLE node_executions
    DROP COLUMN is_array,
    DROP COLUMN is_dynamic,
    DROP COLUMN is_parent,
    DROP COLUMN attempt,
    DROP COLUMN scope,
    ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY;

DROP INDEX executions_parent;
ALTER TABLE executions
    DROP COLUMN max_parallelism,
    DROP COLUMN parent_attempt,
    DROP COLUMN task_version,
    DROP COLUMN task_domain,
    DROP COLUMN task_project,
    DROP COLUMN workflow_domain,
    DROP COLUMN workflow_project,
    DROP COLUMN launch_plan_domain,
    DROP COLUMN launch_plan_project;
