-- The registry's read models; written in the transaction of its own events.
-- depends: 0001.create-read-models

CREATE TABLE flightlog.projects (
    identifier text PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    state smallint NOT NULL,
    project bytea NOT NULL,
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL
);

CREATE TABLE flightlog.tasks (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    type text NOT NULL,
    short_description text NOT NULL,
    closure bytea NOT NULL,
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);

CREATE INDEX tasks_by_creation ON flightlog.tasks (project, domain, created_at_us DESC);

CREATE TABLE flightlog.workflows (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    short_description text NOT NULL,
    interface bytea NOT NULL,
    closure_uri text NOT NULL,
    closure_digest text NOT NULL,
    closure_size bigint NOT NULL,
    node_count integer NOT NULL,
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);

CREATE INDEX workflows_by_creation
    ON flightlog.workflows (project, domain, created_at_us DESC);

CREATE TABLE flightlog.launch_plans (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    workflow_project text NOT NULL,
    workflow_domain text NOT NULL,
    workflow_name text NOT NULL,
    workflow_version text NOT NULL,
    spec bytea NOT NULL,
    closure bytea NOT NULL,
    schedule_type text NOT NULL,
    launch_condition_type text,
    state smallint NOT NULL DEFAULT 0,
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);

CREATE INDEX launch_plans_by_creation
    ON flightlog.launch_plans (project, domain, created_at_us DESC);
CREATE UNIQUE INDEX launch_plans_active
    ON flightlog.launch_plans (project, domain, name) WHERE state = 1;

CREATE TABLE flightlog.named_entities (
    resource_type smallint NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    state smallint NOT NULL DEFAULT 0,
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (resource_type, project, domain, name)
);

CREATE TABLE flightlog.matchable_attributes (
    resource text NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    workflow text NOT NULL,
    launch_plan text NOT NULL,
    priority integer NOT NULL,
    attributes bytea NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (resource, project, domain, workflow, launch_plan)
);
