-- Streams with an event that the read models can't hold: what follows isn't applied until
-- an operator redrives them, or replays all.
-- depends: 0024_cache_uses

CREATE TABLE passed_over (
    stream text PRIMARY KEY,
    sequence bigint NOT NULL,
    error text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
