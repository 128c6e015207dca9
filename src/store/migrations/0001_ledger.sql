-- Portable between SQLite and PostgreSQL: no BOOLEAN, no JSON type, times as milliseconds in BIGINT.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Exactly one row: who leads, in which term.
CREATE TABLE lease (
    id BIGINT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    term BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE looks (
    workspace TEXT NOT NULL,
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    PRIMARY KEY (workspace, repository, branch)
);

CREATE TABLE change_facts (
    workspace TEXT NOT NULL,
    change_name TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (workspace, change_name)
);

CREATE TABLE mainline_facts (
    workspace TEXT NOT NULL PRIMARY KEY,
    facts TEXT NOT NULL
);

-- Attempts and outbox in one: a row is in the outbox while its stage is open.
CREATE TABLE attempts (
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
    request TEXT NOT NULL,
    parts TEXT NOT NULL,
    UNIQUE (workspace, subject, ci, fingerprint, attempt)
);

CREATE INDEX attempts_open ON attempts (is_open, decided_at);
CREATE INDEX attempts_subject ON attempts (workspace, subject, decided_at);
CREATE INDEX attempts_time ON attempts (decided_at);

CREATE TABLE approvals (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    approval TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, subject)
);

CREATE TABLE rebuilds (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    rebuild TEXT NOT NULL,
    PRIMARY KEY (workspace, subject)
);

CREATE TABLE pauses (
    workspace TEXT NOT NULL PRIMARY KEY,
    paused_by TEXT NOT NULL
);

-- The last decision on each subject, and all that were different from the one before.
CREATE TABLE decisions (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    word TEXT NOT NULL,
    reason TEXT NOT NULL,
    decided_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, subject)
);

CREATE TABLE audit (
    workspace TEXT NOT NULL,
    subject TEXT NOT NULL,
    decided_at BIGINT NOT NULL,
    word TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX audit_subject ON audit (workspace, subject, decided_at);

-- Last known answers of the world: a cache; losing it costs requests.
CREATE TABLE remembered (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    read_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE workspaces (
    workspace TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL
);
