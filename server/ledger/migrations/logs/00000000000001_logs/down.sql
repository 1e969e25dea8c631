DROP TABLE log_sizes;
DROP TABLE logs;
