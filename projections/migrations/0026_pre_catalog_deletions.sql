-- The newest outputs of a key, where the execution that made them is deleted: older ones
-- that are applied later, as they may be in a replay, don't take their place.
-- depends: 0025_pre_passed_over

CREATE TABLE catalog_deletions (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    tag text NOT NULL,
    source_id text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tag, version, name, domain, project)
);
