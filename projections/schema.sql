-- The schema that all migrations together make, for readers. No code runs it: a test
-- holds it equal to the migrations, and writes it with UPDATE_SCHEMA=1
-- (tests/unit/projections/test_schema.py).

CREATE TABLE attributes (
    resource text NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    workflow text NOT NULL,
    launch_plan text NOT NULL,
    attributes bytea NOT NULL,
    CONSTRAINT attributes_pkey PRIMARY KEY (resource, project, domain, workflow, launch_plan)
);

CREATE TABLE cache_uses (
    stream text NOT NULL,
    source_stream text NOT NULL,
    CONSTRAINT cache_uses_pkey PRIMARY KEY (stream, source_stream)
);

CREATE INDEX cache_uses_source ON cache_uses USING btree (source_stream);

CREATE TABLE catalog (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    tag text NOT NULL,
    outputs bytea NOT NULL,
    source bytea NOT NULL,
    source_id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT catalog_pkey PRIMARY KEY (tag, version, name, domain, project)
);

CREATE INDEX catalog_name ON catalog USING btree (project, domain, name);

CREATE TABLE catalog_deletions (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    tag text NOT NULL,
    source_id text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT catalog_deletions_pkey PRIMARY KEY (tag, version, name, domain, project)
);

CREATE TABLE catalog_evictions (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    evicted_at timestamp with time zone NOT NULL,
    CONSTRAINT catalog_evictions_pkey PRIMARY KEY (project, domain, name)
);

CREATE TABLE catalog_reservations (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    tag text NOT NULL,
    owner text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT catalog_reservations_pkey PRIMARY KEY (tag, version, name, domain, project)
);

CREATE INDEX catalog_reservations_owner ON catalog_reservations USING btree (owner);

CREATE TABLE deletions (
    stream text NOT NULL,
    recovers text,
    deleted_at timestamp with time zone NOT NULL,
    CONSTRAINT deletions_pkey PRIMARY KEY (stream)
);

CREATE INDEX deletions_recovers ON deletions USING btree (recovers) WHERE (recovers IS NOT NULL);

CREATE TABLE execution_states (
    stream text NOT NULL,
    state integer NOT NULL,
    principal text NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT execution_states_pkey PRIMARY KEY (stream)
);

CREATE TABLE execution_tags (
    stream text NOT NULL,
    key text NOT NULL,
    value text DEFAULT ''::text NOT NULL,
    CONSTRAINT execution_tags_pkey PRIMARY KEY (stream, key, value)
);

CREATE INDEX execution_tags_key ON execution_tags USING btree (key, value);

CREATE TABLE executions (
    stream text NOT NULL,
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
    cluster text DEFAULT 'flightlog'::text NOT NULL,
    state integer DEFAULT 0 NOT NULL,
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
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    duration double precision GENERATED ALWAYS AS (EXTRACT(epoch FROM (ended_at - started_at))) STORED,
    launch_plan_project text DEFAULT ''::text NOT NULL,
    launch_plan_domain text DEFAULT ''::text NOT NULL,
    workflow_project text DEFAULT ''::text NOT NULL,
    workflow_domain text DEFAULT ''::text NOT NULL,
    task_project text,
    task_domain text,
    task_version text,
    parent_attempt integer,
    max_parallelism integer DEFAULT 0 NOT NULL,
    recovers text,
    source text,
    CONSTRAINT executions_pkey PRIMARY KEY (stream)
);

CREATE INDEX executions_created ON executions USING btree (execution_project, execution_domain, created_at DESC);

CREATE UNIQUE INDEX executions_name ON executions USING btree (execution_project, execution_domain, execution_name);

CREATE INDEX executions_open ON executions USING btree (stream) WHERE (phase <> ALL (ARRAY['SUCCEEDED'::text, 'FAILED'::text, 'ABORTED'::text, 'TIMED_OUT'::text]));

CREATE INDEX executions_parent ON executions USING btree (parent_stream, parent_node_id) WHERE (parent_stream IS NOT NULL);

CREATE INDEX executions_recovers ON executions USING btree (recovers) WHERE (recovers IS NOT NULL);

CREATE TABLE format_levels (
    level integer NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    opened_by text NOT NULL,
    version text NOT NULL,
    CONSTRAINT format_levels_pkey PRIMARY KEY (level)
);

CREATE TABLE format_messages (
    fingerprint text NOT NULL,
    name text NOT NULL,
    level integer NOT NULL,
    CONSTRAINT format_messages_pkey PRIMARY KEY (fingerprint)
);

CREATE TABLE journal (
    stream text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    subject text NOT NULL,
    summary text DEFAULT ''::text NOT NULL,
    CONSTRAINT journal_pkey PRIMARY KEY (stream, sequence)
);

CREATE TABLE launch_plans (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    workflow_name text NOT NULL,
    workflow_version text NOT NULL,
    state integer DEFAULT 0 NOT NULL,
    schedule_type text NOT NULL,
    digest text NOT NULL,
    spec bytea NOT NULL,
    closure bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    workflow_project text DEFAULT ''::text NOT NULL,
    workflow_domain text DEFAULT ''::text NOT NULL,
    launch_condition_type text,
    CONSTRAINT launch_plans_pkey PRIMARY KEY (project, domain, name, version)
);

CREATE UNIQUE INDEX launch_plans_active ON launch_plans USING btree (project, domain, name) WHERE (state = 1);

CREATE INDEX launch_plans_created ON launch_plans USING btree (project, domain, created_at DESC);

CREATE TABLE named_entities (
    resource_type text NOT NULL,
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    state integer NOT NULL,
    CONSTRAINT named_entities_pkey PRIMARY KEY (resource_type, project, domain, name)
);

CREATE TABLE node_executions (
    stream text NOT NULL,
    node_id text NOT NULL,
    number bigint NOT NULL,
    phase text NOT NULL,
    spec_node_id text NOT NULL,
    kind text NOT NULL,
    node_name text NOT NULL,
    parent_id text NOT NULL,
    retry_group text NOT NULL,
    target bytea,
    input_path text DEFAULT ''::text NOT NULL,
    inputs bytea,
    outputs bytea,
    deck_uri text DEFAULT ''::text NOT NULL,
    error bytea,
    error_kind text,
    error_code text,
    child text DEFAULT ''::text NOT NULL,
    chosen text DEFAULT ''::text NOT NULL,
    cache_status text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    duration double precision GENERATED ALWAYS AS (EXTRACT(epoch FROM (ended_at - started_at))) STORED,
    scope text DEFAULT ''::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    is_parent boolean DEFAULT false NOT NULL,
    is_dynamic boolean DEFAULT false NOT NULL,
    is_array boolean DEFAULT false NOT NULL,
    dynamic_workflow bytea,
    element integer DEFAULT '-1'::integer NOT NULL,
    catalog_key bytea,
    catalog_source bytea,
    reservation_status text,
    CONSTRAINT node_executions_pkey PRIMARY KEY (stream, node_id)
);

CREATE INDEX node_executions_order ON node_executions USING btree (stream, parent_id, number);

CREATE TABLE notify_deliveries (
    id text NOT NULL,
    number bigint NOT NULL,
    channel text NOT NULL,
    rule text NOT NULL,
    stream text NOT NULL,
    event_id text NOT NULL,
    subject text NOT NULL,
    action text NOT NULL,
    notice bytea NOT NULL,
    state text NOT NULL,
    tries bigint NOT NULL,
    owner text NOT NULL,
    due_at timestamp with time zone NOT NULL,
    next_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    reference text NOT NULL,
    reason text NOT NULL,
    recipients text NOT NULL,
    maybe_repeated boolean NOT NULL,
    CONSTRAINT notify_deliveries_pkey PRIMARY KEY (id)
);

CREATE INDEX notify_deliveries_open ON notify_deliveries USING btree (channel, next_at) WHERE (state = ANY (ARRAY['due'::text, 'claimed'::text]));

CREATE INDEX notify_deliveries_stream ON notify_deliveries USING btree (stream);

CREATE INDEX notify_deliveries_subject ON notify_deliveries USING btree (channel, subject, number) WHERE (state = ANY (ARRAY['due'::text, 'claimed'::text]));

CREATE TABLE notify_executions (
    stream text NOT NULL,
    log_partition integer NOT NULL,
    live bytea NOT NULL,
    late_at timestamp with time zone,
    CONSTRAINT notify_executions_pkey PRIMARY KEY (stream)
);

CREATE INDEX notify_executions_late ON notify_executions USING btree (late_at) WHERE (late_at IS NOT NULL);

CREATE TABLE notify_positions (
    log_partition integer NOT NULL,
    position bigint NOT NULL,
    rules text NOT NULL,
    CONSTRAINT notify_positions_pkey PRIMARY KEY (log_partition)
);

CREATE TABLE notify_subjects (
    rule text NOT NULL,
    launch_plan text NOT NULL,
    subject bytea NOT NULL,
    CONSTRAINT notify_subjects_pkey PRIMARY KEY (rule, launch_plan)
);

CREATE TABLE outcomes (
    command_id text NOT NULL,
    kind text NOT NULL,
    event_id text DEFAULT ''::text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    recorded_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT outcomes_pkey PRIMARY KEY (command_id)
);

CREATE INDEX outcomes_recorded ON outcomes USING btree (recorded_at);

CREATE TABLE passed_over (
    stream text NOT NULL,
    sequence bigint NOT NULL,
    error text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT passed_over_pkey PRIMARY KEY (stream)
);

CREATE TABLE processes (
    id text NOT NULL,
    role text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    level integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT processes_pkey PRIMARY KEY (id)
);

CREATE TABLE projector_positions (
    name text NOT NULL,
    log_partition integer NOT NULL,
    position bigint NOT NULL,
    CONSTRAINT projector_positions_pkey PRIMARY KEY (name, log_partition)
);

CREATE TABLE projects (
    identifier text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    state integer NOT NULL,
    project bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (identifier)
);

CREATE TABLE signals (
    stream text NOT NULL,
    signal_id text NOT NULL,
    node_id text DEFAULT ''::text NOT NULL,
    type bytea NOT NULL,
    value bytea,
    principal text DEFAULT ''::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT signals_pkey PRIMARY KEY (stream, signal_id)
);

CREATE TABLE swept (
    stream text NOT NULL,
    swept_at timestamp with time zone NOT NULL,
    CONSTRAINT swept_pkey PRIMARY KEY (stream)
);

CREATE TABLE task_executions (
    stream text NOT NULL,
    node_id text NOT NULL,
    retry_attempt integer NOT NULL,
    phase text NOT NULL,
    phase_version integer DEFAULT 0 NOT NULL,
    task bytea NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    task_type text NOT NULL,
    generated_name text NOT NULL,
    interruptible boolean NOT NULL,
    outputs bytea,
    deck_uri text DEFAULT ''::text NOT NULL,
    logs bytea,
    error bytea,
    error_kind text,
    error_code text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    duration double precision GENERATED ALWAYS AS (EXTRACT(epoch FROM (ended_at - started_at))) STORED,
    project text DEFAULT ''::text NOT NULL,
    domain text DEFAULT ''::text NOT NULL,
    runner text DEFAULT ''::text NOT NULL,
    incarnation text DEFAULT ''::text NOT NULL,
    reasons text DEFAULT ''::text NOT NULL,
    array_size integer DEFAULT '-1'::integer NOT NULL,
    CONSTRAINT task_executions_pkey PRIMARY KEY (stream, node_id, retry_attempt)
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
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    description bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT tasks_pkey PRIMARY KEY (project, domain, name, version)
);

CREATE INDEX tasks_created ON tasks USING btree (project, domain, created_at DESC);

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
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    description bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT workflows_pkey PRIMARY KEY (project, domain, name, version)
);

CREATE INDEX workflows_created ON workflows USING btree (project, domain, created_at DESC);

CREATE VIEW described_tasks AS
 SELECT project,
    domain,
    name,
    version,
    type,
    short_description,
    digest,
    closure,
    created_at,
    updated_at,
    description
   FROM tasks
  WHERE description <> '\x'::bytea;

CREATE VIEW described_workflows AS
 SELECT project,
    domain,
    name,
    version,
    short_description,
    digest,
    interface,
    closure,
    node_count,
    created_at,
    updated_at,
    description
   FROM workflows
  WHERE description <> '\x'::bytea;
