DROP TABLE notify_deliveries;
DROP TABLE notify_subjects;
DROP TABLE notify_executions;
DROP TABLE notify_positions;
