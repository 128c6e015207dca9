-- What a forge calls the check run that a status was written as; nothing where it was written as a status.
ALTER TABLE statuses ADD COLUMN check_run TEXT;
