-- drop --
DROP SCHEMA IF EXISTS flightlog_shadow CASCADE

-- create --
CREATE SCHEMA flightlog_shadow

-- lock_positions --
-- The projector moves its position in each transaction: it waits for this one.
LOCK TABLE public.projector_positions IN EXCLUSIVE MODE

-- begin --
INSERT INTO projector_positions (name, log_partition, position) VALUES (%s, %s, %s)

-- columns --
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'
ORDER BY ordinal_position
