DROP TABLE catalog_deletions;
