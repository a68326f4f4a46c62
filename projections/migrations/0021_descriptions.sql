-- What tasks and workflows say of themselves: whole descriptions, and lists of them.
-- depends: 0013_catalog

ALTER TABLE tasks ADD COLUMN description bytea NOT NULL DEFAULT '';

ALTER TABLE workflows ADD COLUMN description bytea NOT NULL DEFAULT '';

CREATE VIEW described_tasks AS SELECT * FROM tasks WHERE description <> '';

CREATE VIEW described_workflows AS SELECT * FROM workflows WHERE description <> '';
