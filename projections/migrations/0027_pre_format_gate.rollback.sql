DROP TABLE format_messages;
DROP TABLE format_levels;
DROP TABLE processes;
