ALTER TABLE attempts DROP COLUMN error_detail;
