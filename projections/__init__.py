"""The readers: projector, read models, queries, migrations."""
