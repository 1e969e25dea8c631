-- The stack trace or the chain of causes of a failed attempt.
ALTER TABLE attempts ADD COLUMN error_detail TEXT;
