-- depends: 0023_sources

DROP TABLE cache_uses;
