-- The read models. Times are microseconds since 1970, UTC; ids and phases are text as
-- clients write them; protobuf messages are kept as their bytes.

CREATE TABLE flightlog.projector_offsets (
    projector text NOT NULL,
    partition integer NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (projector, partition)
);

CREATE TABLE flightlog.executions (
    execution_project text NOT NULL,
    execution_domain text NOT NULL,
    execution_name text NOT NULL,
    phase text NOT NULL,
    phase_rank smallint NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    state_changed_at_us bigint,
    state_changed_by text NOT NULL DEFAULT '',
    mode smallint NOT NULL,
    "user" text NOT NULL,
    cluster text NOT NULL DEFAULT '',
    launch_entity text NOT NULL,
    launch_plan_project text NOT NULL,
    launch_plan_domain text NOT NULL,
    launch_plan_name text NOT NULL,
    launch_plan_version text NOT NULL,
    workflow_project text NOT NULL,
    workflow_domain text NOT NULL,
    workflow_name text NOT NULL,
    workflow_version text NOT NULL,
    task_project text,
    task_domain text,
    task_name text,
    task_version text,
    spec bytea NOT NULL,
    definition_uri text NOT NULL,
    definition_digest text NOT NULL,
    definition_size bigint NOT NULL,
    inputs bytea,
    inputs_uri text NOT NULL,
    inputs_size bigint NOT NULL,
    user_inputs bytea,
    user_inputs_uri text NOT NULL,
    user_inputs_size bigint NOT NULL,
    outputs bytea,
    outputs_uri text,
    outputs_size bigint,
    error_code text,
    error_message text,
    error_kind text,
    error_uri text,
    error_occurred_at_us bigint,
    error_worker text,
    abort_cause text NOT NULL DEFAULT '',
    abort_principal text NOT NULL DEFAULT '',
    max_parallelism integer NOT NULL,
    parent_project text,
    parent_domain text,
    parent_name text,
    parent_node_id text,
    parent_attempt integer,
    root text NOT NULL,
    created_by text NOT NULL,
    created_at_us bigint NOT NULL,
    started_at_us bigint,
    updated_at_us bigint NOT NULL,
    ended_at_us bigint,
    duration_us bigint GENERATED ALWAYS AS (ended_at_us - started_at_us) STORED,
    PRIMARY KEY (execution_project, execution_domain, execution_name)
) WITH (fillfactor = 70);

CREATE INDEX executions_by_creation
    ON flightlog.executions (execution_project, execution_domain, created_at_us DESC);
CREATE INDEX executions_by_parent
    ON flightlog.executions (parent_project, parent_domain, parent_name)
    WHERE parent_name IS NOT NULL;

CREATE TABLE flightlog.execution_tags (
    execution_project text NOT NULL,
    execution_domain text NOT NULL,
    execution_name text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (execution_project, execution_domain, execution_name, key, value)
);

CREATE INDEX execution_tags_by_key ON flightlog.execution_tags (key, value);

CREATE TABLE flightlog.node_executions (
    execution_project text NOT NULL,
    execution_domain text NOT NULL,
    execution_name text NOT NULL,
    node_id text NOT NULL,
    phase text NOT NULL,
    phase_rank smallint NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    spec_node_id text NOT NULL,
    parent_id text,
    retry_group text NOT NULL,
    scope text NOT NULL,
    is_parent boolean NOT NULL,
    is_dynamic boolean NOT NULL DEFAULT FALSE,
    is_array boolean NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    target_kind text,
    target_project text,
    target_domain text,
    target_name text,
    target_version text,
    input_path text NOT NULL DEFAULT '',
    inputs bytea,
    inputs_uri text,
    inputs_size bigint,
    outputs bytea,
    outputs_uri text,
    outputs_size bigint,
    deck_uri text NOT NULL DEFAULT '',
    error_code text,
    error_message text,
    error_kind text,
    error_uri text,
    error_occurred_at_us bigint,
    error_worker text,
    chosen text NOT NULL DEFAULT '',
    child_project text,
    child_domain text,
    child_name text,
    cache_status text,
    created_at_us bigint NOT NULL,
    started_at_us bigint,
    updated_at_us bigint NOT NULL,
    ended_at_us bigint,
    duration_us bigint GENERATED ALWAYS AS (ended_at_us - started_at_us) STORED,
    PRIMARY KEY (execution_project, execution_domain, execution_name, node_id)
) WITH (fillfactor = 70);

CREATE TABLE flightlog.task_executions (
    execution_project text NOT NULL,
    execution_domain text NOT NULL,
    execution_name text NOT NULL,
    node_id text NOT NULL,
    retry_attempt integer NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    phase text NOT NULL,
    phase_rank smallint NOT NULL,
    phase_version integer NOT NULL DEFAULT 0,
    task_type text NOT NULL,
    generated_name text NOT NULL,
    interruptible boolean NOT NULL,
    dispatch_no integer NOT NULL DEFAULT 0,
    runner text NOT NULL DEFAULT '',
    incarnation text NOT NULL DEFAULT '',
    logs jsonb NOT NULL DEFAULT '[]',
    reasons jsonb NOT NULL DEFAULT '[]',
    outputs bytea,
    outputs_uri text,
    outputs_size bigint,
    deck_uri text NOT NULL DEFAULT '',
    error_code text,
    error_message text,
    error_kind text,
    error_uri text,
    error_occurred_at_us bigint,
    error_worker text,
    created_at_us bigint NOT NULL,
    started_at_us bigint,
    updated_at_us bigint NOT NULL,
    ended_at_us bigint,
    duration_us bigint GENERATED ALWAYS AS (ended_at_us - started_at_us) STORED,
    PRIMARY KEY (
        execution_project, execution_domain, execution_name, node_id, retry_attempt
    )
) WITH (fillfactor = 70);

CREATE TABLE flightlog.journal (
    stream text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    occurred_at_us bigint NOT NULL,
    node_id text NOT NULL,
    summary text NOT NULL,
    actor text NOT NULL,
    causation text NOT NULL,
    PRIMARY KEY (stream, sequence)
);

CREATE TABLE flightlog.outcomes (
    command_id text PRIMARY KEY,
    kind text NOT NULL,
    stream text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    recorded_at_us bigint NOT NULL
);

CREATE INDEX outcomes_by_age ON flightlog.outcomes (recorded_at_us);
