-- What a CI was asked for stands apart from how that stands: a start reads all attempts and no request, which are
-- most of what is stored. The table is made anew, so that its rows stand close together.
CREATE TABLE apart (
    request_id TEXT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    ci TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    stage TEXT NOT NULL,
    is_open BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    ended_at BIGINT,
    not_before BIGINT,
    sending_deadline BIGINT,
    taken_at BIGINT,
    cancel_wanted BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    remote TEXT,
    link TEXT,
    note TEXT,
    heads TEXT,
    members TEXT,
    seen TEXT,
    parts TEXT NOT NULL,
    UNIQUE (workspace, subject, ci, fingerprint, attempt)
);

INSERT INTO apart
    SELECT request_id, workspace, subject, ci, fingerprint, attempt, stage, is_open, priority, decided_at, ended_at,
        not_before, sending_deadline, taken_at, cancel_wanted, tries, remote, link, note, heads, members, seen, parts
    FROM attempts;

CREATE TABLE requests (
    request_id TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL
);

INSERT INTO requests SELECT request_id, request FROM attempts;

DROP TABLE attempts;
ALTER TABLE apart RENAME TO attempts;

CREATE INDEX attempts_open ON attempts (is_open, decided_at);
CREATE INDEX attempts_subject ON attempts (workspace, subject, decided_at);
CREATE INDEX attempts_time ON attempts (decided_at);
CREATE INDEX attempts_heads ON attempts (heads);

-- What is old is found by its time.
CREATE INDEX audit_time ON audit (decided_at);
