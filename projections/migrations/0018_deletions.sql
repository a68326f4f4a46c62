-- Deleted executions: who recovers whom, as blobs of an original stay while they are
-- in use; and of which ones the blobs are gone.
-- depends: 0002_whole_ids

ALTER TABLE executions ADD COLUMN recovers text;
CREATE INDEX executions_recovers ON executions (recovers) WHERE recovers IS NOT NULL;

CREATE TABLE deletions (
    stream text PRIMARY KEY,
    recovers text,
    deleted_at timestamptz NOT NULL
);
CREATE INDEX deletions_recovers ON deletions (recovers) WHERE recovers IS NOT NULL;

CREATE TABLE swept (
    stream text PRIMARY KEY,
    swept_at timestamptz NOT NULL
);
