DROP VIEW described_workflows;

DROP VIEW described_tasks;

ALTER TABLE workflows DROP COLUMN description;

ALTER TABLE tasks DROP COLUMN description;
