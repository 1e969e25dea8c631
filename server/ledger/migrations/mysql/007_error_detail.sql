-- The stack trace or the chain of causes of a failed attempt. MySQL has no ADD COLUMN IF NOT EXISTS,
-- and a migration that was interrupted is repeated.
SET @step = IF(
    EXISTS (
        SELECT 1 FROM information_schema.columns
        WHERE table_schema = DATABASE() AND table_name = 'attempts' AND column_name = 'error_detail'
    ),
    'DO 0',
    'ALTER TABLE attempts ADD COLUMN error_detail TEXT'
);
PREPARE step FROM @step;
EXECUTE step;
DEALLOCATE PREPARE step;
