-- What should be said on forges, and what is.

-- One row for each workspace, commit and context. Written is what the forge took last; a row is due
-- while that, or its absence, differs from what is wanted.
CREATE TABLE statuses (
    workspace TEXT NOT NULL,
    repository TEXT NOT NULL,
    head TEXT NOT NULL,
    context TEXT NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    target TEXT,
    wanted_at BIGINT NOT NULL,
    written TEXT,
    is_due BIGINT NOT NULL,
    PRIMARY KEY (workspace, repository, head, context)
);

CREATE INDEX statuses_due ON statuses (is_due, wanted_at);

-- What a workspace remarks on a change; no row where it is nothing.
CREATE TABLE remarks (
    workspace TEXT NOT NULL,
    change_name TEXT NOT NULL,
    remarks TEXT NOT NULL,
    PRIMARY KEY (workspace, change_name)
);

CREATE INDEX remarks_change ON remarks (change_name);

-- The comment on a change. Both numbers count how often its remarks moved: as they are, and as written.
CREATE TABLE comments (
    change_name TEXT NOT NULL PRIMARY KEY,
    wanted BIGINT NOT NULL,
    wanted_at BIGINT NOT NULL,
    written BIGINT NOT NULL,
    comment_id TEXT,
    digest TEXT
);

-- Where a forge refused to be written to.
CREATE TABLE stops (
    place TEXT NOT NULL PRIMARY KEY,
    why TEXT NOT NULL,
    since BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
