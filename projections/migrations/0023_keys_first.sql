-- Where two indexes cost the same, as they do while a table is small, Postgres takes the
-- younger one, and keeps to it in prepared statements however the table grows: rows were
-- found by a part of their key and a filter over all that share it. Keys come first.
-- depends: 0022_execution_states

ALTER TABLE node_executions DROP CONSTRAINT node_executions_pkey,
    ADD PRIMARY KEY (stream, node_id);

ALTER TABLE execution_tags DROP CONSTRAINT execution_tags_pkey,
    ADD PRIMARY KEY (stream, key, value);

ALTER TABLE catalog DROP CONSTRAINT catalog_pkey,
    ADD PRIMARY KEY (tag, version, name, domain, project);

ALTER TABLE tasks DROP CONSTRAINT tasks_pkey,
    ADD PRIMARY KEY (project, domain, name, version);

ALTER TABLE workflows DROP CONSTRAINT workflows_pkey,
    ADD PRIMARY KEY (project, domain, name, version);

ALTER TABLE launch_plans DROP CONSTRAINT launch_plans_pkey,
    ADD PRIMARY KEY (project, domain, name, version);
