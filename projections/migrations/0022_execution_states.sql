-- Executions whose state clients have set: archived ones, and those brought back.
-- depends: 0021_descriptions

CREATE TABLE execution_states (
    stream text PRIMARY KEY,
    state integer NOT NULL,
    principal text NOT NULL,
    updated_at timestamptz NOT NULL
);
