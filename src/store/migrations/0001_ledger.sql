-- One text for SQLite and PostgreSQL: BIGINT for numbers, times (milliseconds) and flags, TEXT for
-- everything else; JSON is TEXT.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- A single row: who may write. `writes` is touched by every write, which serializes writers.
CREATE TABLE lease (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    holder TEXT NOT NULL,
    term BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    writes BIGINT NOT NULL
);

CREATE TABLE look (
    workspace TEXT NOT NULL,
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    PRIMARY KEY (workspace, repository, branch)
);

CREATE TABLE change_facts (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (workspace, subject)
);

CREATE TABLE mainline_facts (
    workspace TEXT NOT NULL PRIMARY KEY,
    facts TEXT NOT NULL
);

-- An attempt and its row of the outbox are one row, so that they can never differ.
CREATE TABLE attempt (
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
    queued_at BIGINT NOT NULL,
    taken_at BIGINT,
    ended_at BIGINT,
    sending_deadline BIGINT,
    not_before BIGINT,
    tries BIGINT NOT NULL,
    remote TEXT,
    link TEXT,
    note TEXT,
    -- 1: no longer wanted; 2: a person's wish.
    cancel_wanted BIGINT NOT NULL,
    cancel_why TEXT,
    members TEXT NOT NULL,
    parts TEXT NOT NULL,
    request TEXT NOT NULL,
    UNIQUE (workspace, subject, ci, fingerprint, attempt)
);

CREATE INDEX attempt_by_subject ON attempt (workspace, subject, ci, decided_at);
CREATE INDEX attempt_by_time ON attempt (decided_at);
CREATE INDEX attempt_open ON attempt (is_open, request_id);

CREATE TABLE approval (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    set_digest TEXT NOT NULL,
    members TEXT NOT NULL,
    given_by TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, subject, set_digest)
);

CREATE TABLE rebuild (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    alone BIGINT NOT NULL,
    PRIMARY KEY (workspace, subject)
);

CREATE TABLE pause (
    workspace TEXT NOT NULL PRIMARY KEY,
    paused_by TEXT NOT NULL,
    paused_at BIGINT NOT NULL
);

-- The last decision of each subject, and all that it was before.
CREATE TABLE decision (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    word TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (workspace, subject)
);

CREATE TABLE audit (
    id BIGINT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    decided_at BIGINT NOT NULL,
    word TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX audit_by_subject ON audit (workspace, subject, id);

-- Last known answers of the world. Losing them costs requests, never correctness.
CREATE TABLE remembered (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    json TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE run (
    id BIGINT NOT NULL PRIMARY KEY,
    workspace TEXT NOT NULL,
    kind TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    outcome TEXT NOT NULL,
    log TEXT,
    tail TEXT NOT NULL
);

CREATE INDEX run_by_workspace ON run (workspace, id);

CREATE TABLE workspace_state (
    workspace TEXT NOT NULL PRIMARY KEY,
    json TEXT NOT NULL,
    saved_at BIGINT NOT NULL
);
