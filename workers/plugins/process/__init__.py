"""The process plugin: tasks as processes forked from warm ones."""
