DROP TABLE audit;
DROP TABLE key_changes;
DROP TABLE api_keys;
