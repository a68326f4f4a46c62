-- The version gate: which format levels are open, which processes run and what they
-- know, and the messages of levels that a build newer than the reader's may write.
-- depends: 0026_pre_catalog_deletions

CREATE TABLE format_levels (
    level integer PRIMARY KEY,
    opened_at timestamptz NOT NULL DEFAULT now(),
    opened_by text NOT NULL,
    version text NOT NULL
);
CREATE TABLE format_messages (
    fingerprint text PRIMARY KEY,
    name text NOT NULL,
    level integer NOT NULL
);
CREATE TABLE processes (
    id text PRIMARY KEY,
    role text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    level integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
