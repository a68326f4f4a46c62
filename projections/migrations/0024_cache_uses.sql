-- Whose outputs executions took from the catalog: their blobs stay as long.
-- depends: 0023_sources

CREATE TABLE cache_uses (
    stream text NOT NULL,
    source_stream text NOT NULL,
    PRIMARY KEY (stream, source_stream)
);
CREATE INDEX cache_uses_source ON cache_uses (source_stream);
