-- Both files have all tables. readings.db (ingest writes it) fills series, reading, receipt, and entries that are
-- events; rollups.db (rollups write it) fills entries that are figures, and cursor.

CREATE TABLE series (
    id          INTEGER PRIMARY KEY,
    measurement TEXT NOT NULL,
    gateway     TEXT NOT NULL,
    device      TEXT NOT NULL,
    field       TEXT NOT NULL,
    UNIQUE (measurement, gateway, device, field)
);

-- The quality of a reading that is not good is a series of its own, q_<field>.
CREATE TABLE reading (
    series INTEGER NOT NULL REFERENCES series (id),
    t      INTEGER NOT NULL, -- ms UTC
    value  REAL    NOT NULL,
    PRIMARY KEY (series, t)
) WITHOUT ROWID;

CREATE TABLE receipt (
    at_us    INTEGER NOT NULL, -- microseconds UTC
    gateway  TEXT    NOT NULL,
    worker   TEXT    NOT NULL,
    run      TEXT    NOT NULL,
    seq      INTEGER NOT NULL,
    from_ms  INTEGER NOT NULL,
    to_ms    INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    bad      INTEGER NOT NULL,
    counts   TEXT    NOT NULL, -- JSON
    PRIMARY KEY (at_us, gateway, worker)
) WITHOUT ROWID;
CREATE INDEX receipt_end ON receipt (gateway, to_ms, at_us);

-- A row with text or with tags of its own: its tags once, its fields as one JSON object per time.
CREATE TABLE entry_series (
    id          INTEGER PRIMARY KEY,
    measurement TEXT NOT NULL,
    tags        TEXT NOT NULL, -- JSON object, keys sorted
    UNIQUE (measurement, tags)
);
CREATE TABLE entry (
    series INTEGER NOT NULL REFERENCES entry_series (id),
    t      INTEGER NOT NULL, -- ms UTC
    fields TEXT    NOT NULL, -- JSON object
    PRIMARY KEY (series, t)
) WITHOUT ROWID;

CREATE TABLE cursor (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
