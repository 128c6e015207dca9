-- What decisions see of a request stands beside it, so that a start need not read all that CIs were asked
-- for, and the mainline's commits, which are most of a request and the same in many, stand once. Rows from
-- before have nothing here and everything in their request.
CREATE TABLE heads (
    digest TEXT NOT NULL PRIMARY KEY,
    heads TEXT NOT NULL
);

ALTER TABLE attempts ADD COLUMN heads TEXT;
ALTER TABLE attempts ADD COLUMN members TEXT;
ALTER TABLE attempts ADD COLUMN seen TEXT;
