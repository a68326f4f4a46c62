CREATE TABLE executions (
    stream text PRIMARY KEY,
    execution_project text NOT NULL,
    execution_domain text NOT NULL,
    execution_name text NOT NULL,
    phase text NOT NULL,
    launch_plan bytea NOT NULL,
    launch_plan_name text NOT NULL,
    launch_plan_version text NOT NULL,
    workflow bytea NOT NULL,
    workflow_name text NOT NULL,
    workflow_version text NOT NULL,
    task bytea,
    task_name text,
    launch_entity text NOT NULL,
    mode integer NOT NULL,
    "user" text NOT NULL,
    cluster text NOT NULL DEFAULT 'flightlog',
    state integer NOT NULL DEFAULT 0,
    spec bytea NOT NULL,
    definition bytea NOT NULL,
    inputs bytea NOT NULL,
    user_inputs bytea NOT NULL,
    outputs bytea,
    error bytea,
    error_kind text,
    error_code text,
    abort_cause text,
    abort_principal text,
    parent_stream text,
    parent_node_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    duration double precision GENERATED ALWAYS AS
        (EXTRACT(EPOCH FROM (ended_at - started_at))) STORED
);
CREATE UNIQUE INDEX executions_name ON executions
    (execution_project, execution_domain, execution_name);
CREATE INDEX executions_created ON executions
    (execution_project, execution_domain, created_at DESC);
CREATE INDEX executions_open ON executions (stream)
    WHERE phase NOT IN ('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT');

CREATE TABLE execution_tags (
    stream text NOT NULL,
    key text NOT NULL,
    value text NOT NULL DEFAULT '',
    PRIMARY KEY (stream, key, value)
);
CREATE INDEX execution_tags_key ON execution_tags (key, value);

CREATE TABLE node_executions (
    stream text NOT NULL,
    node_id text NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    phase text NOT NULL,
    spec_node_id text NOT NULL,
    kind text NOT NULL,
    node_name text NOT NULL,
    parent_id text NOT NULL,
    retry_group text NOT NULL,
    target bytea,
    input_path text NOT NULL DEFAULT '',
    inputs bytea,
    outputs bytea,
    deck_uri text NOT NULL DEFAULT '',
    error bytea,
    error_kind text,
    error_code text,
    child text NOT NULL DEFAULT '',
    chosen text NOT NULL DEFAULT '',
    cache_status text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    duration double precision GENERATED ALWAYS AS
        (EXTRACT(EPOCH FROM (ended_at - started_at))) STORED,
    PRIMARY KEY (stream, node_id)
);
CREATE INDEX node_executions_order ON node_executions (stream, parent_id, number);

CREATE TABLE task_executions (
    stream text NOT NULL,
    node_id text NOT NULL,
    retry_attempt integer NOT NULL,
    phase text NOT NULL,
    phase_version integer NOT NULL DEFAULT 0,
    task bytea NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    task_type text NOT NULL,
    generated_name text NOT NULL,
    interruptible boolean NOT NULL,
    outputs bytea,
    deck_uri text NOT NULL DEFAULT '',
    logs bytea,
    error bytea,
    error_kind text,
    error_code text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    duration double precision GENERATED ALWAYS AS
        (EXTRACT(EPOCH FROM (ended_at - started_at))) STORED,
    PRIMARY KEY (stream, node_id, retry_attempt)
);

CREATE TABLE journal (
    stream text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    occurred_at timestamptz NOT NULL,
    subject text NOT NULL,
    PRIMARY KEY (stream, sequence)
);

CREATE TABLE outcomes (
    command_id text PRIMARY KEY,
    kind text NOT NULL,
    event_id text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outcomes_recorded ON outcomes (recorded_at);

CREATE TABLE projector_positions (
    name text NOT NULL,
    log_partition integer NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (name, log_partition)
);

CREATE TABLE projects (
    identifier text PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    state integer NOT NULL,
    project bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE tasks (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    type text NOT NULL,
    short_description text NOT NULL,
    digest text NOT NULL,
    closure bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);

CREATE TABLE workflows (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    short_description text NOT NULL,
    digest text NOT NULL,
    interface bytea NOT NULL,
    closure bytea NOT NULL,
    node_count integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);

CREATE TABLE launch_plans (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    workflow_name text NOT NULL,
    workflow_version text NOT NULL,
    state integer NOT NULL DEFAULT 0,
    schedule_type text NOT NULL,
    digest text NOT NULL,
    spec bytea NOT NULL,
    closure bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (project, domain, name, version)
);
CREATE UNIQUE INDEX launch_plans_active ON launch_plans (project, domain, name)
    WHERE state = 1;

CREATE TABLE named_entities (
    resource_type text NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    state integer NOT NULL,
    PRIMARY KEY (resource_type, project, domain, name)
);

CREATE TABLE attributes (
    resource text NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    workflow text NOT NULL,
    launch_plan text NOT NULL,
    attributes bytea NOT NULL,
    PRIMARY KEY (resource, project, domain, workflow, launch_plan)
);
