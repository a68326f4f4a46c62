ALTER TABLE node_executions
    DROP COLUMN reservation_status,
    DROP COLUMN catalog_source,
    DROP COLUMN catalog_key;
DROP TABLE catalog_evictions, catalog_reservations, catalog;
