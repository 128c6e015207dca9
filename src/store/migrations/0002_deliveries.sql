-- Webhooks that were taken, and those that a forge's log of deliveries shows and nobody took.
CREATE TABLE deliveries (
    forge TEXT NOT NULL,
    guid TEXT NOT NULL,
    hook BIGINT NOT NULL,
    event TEXT NOT NULL,
    repository_id BIGINT NOT NULL,
    came TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (forge, guid)
);

CREATE INDEX deliveries_time ON deliveries (received_at);

-- Hooks that were heard: deliveries name them, nobody configures them.
CREATE TABLE hooks (
    forge TEXT NOT NULL,
    hook BIGINT NOT NULL,
    target TEXT NOT NULL,
    place TEXT NOT NULL,
    events TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    log_read_to BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (forge, hook)
);
