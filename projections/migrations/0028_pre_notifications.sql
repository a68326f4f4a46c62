-- What the notifier knows: no read models, so a replay neither fills nor empties them.
-- depends: 0027_pre_format_gate

CREATE TABLE notify_positions (
    log_partition integer PRIMARY KEY,
    position bigint NOT NULL,
    rules text NOT NULL
);
CREATE TABLE notify_executions (
    stream text PRIMARY KEY,
    log_partition integer NOT NULL,
    live bytea NOT NULL,
    late_at timestamptz
);
CREATE INDEX notify_executions_late ON notify_executions (late_at)
    WHERE late_at IS NOT NULL;
CREATE TABLE notify_subjects (
    rule text NOT NULL,
    launch_plan text NOT NULL,
    subject bytea NOT NULL,
    PRIMARY KEY (rule, launch_plan)
);
CREATE TABLE notify_deliveries (
    id text PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
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
    due_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    sent_at timestamptz,
    reference text NOT NULL,
    reason text NOT NULL,
    recipients text NOT NULL,
    maybe_repeated boolean NOT NULL
);
CREATE INDEX notify_deliveries_open ON notify_deliveries (channel, next_at)
    WHERE state IN ('due', 'claimed');
CREATE INDEX notify_deliveries_subject ON notify_deliveries (channel, subject, number)
    WHERE state IN ('due', 'claimed');
CREATE INDEX notify_deliveries_stream ON notify_deliveries (stream);
