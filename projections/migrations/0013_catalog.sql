-- Outputs kept for reuse: the catalog, folded from facts; who may make outputs alone;
-- and what nodes tell of both.
-- depends: 0002_whole_ids

CREATE TABLE catalog (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    tag text NOT NULL,
    outputs bytea NOT NULL,
    source bytea NOT NULL,
    source_id text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tag, version, name, domain, project)
);
CREATE INDEX catalog_name ON catalog (project, domain, name);

CREATE TABLE catalog_reservations (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    tag text NOT NULL,
    owner text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tag, version, name, domain, project)
);
CREATE INDEX catalog_reservations_owner ON catalog_reservations (owner);

CREATE TABLE catalog_evictions (
    project text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    evicted_at timestamptz NOT NULL,
    PRIMARY KEY (project, domain, name)
);

ALTER TABLE node_executions
    ADD COLUMN catalog_key bytea,
    ADD COLUMN catalog_source bytea,
    ADD COLUMN reservation_status text;
