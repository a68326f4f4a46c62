CREATE TABLE signals (
    stream text NOT NULL,
    signal_id text NOT NULL,
    node_id text NOT NULL DEFAULT '',
    type bytea NOT NULL,
    value bytea,
    principal text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (stream, signal_id)
);
