-- The spool: what has been sealed and is not yet confirmed. user_version 3.
CREATE TABLE run (
  id        INTEGER PRIMARY KEY,   -- rises with each start of the agent
  run       TEXT NOT NULL UNIQUE,  -- 32 hex digits, never used twice
  boot      TEXT NOT NULL,         -- boot in which its batches count milliseconds
  last      INTEGER NOT NULL,      -- last seq that was sealed, 0 at first
  to_ms     INTEGER,               -- end of that batch, ms UTC; NULL while undated
  clean     INTEGER NOT NULL,      -- 1: it sealed everything and said so
  backsteps INTEGER NOT NULL       -- how often civil time had been put back until that batch
);
CREATE TABLE batch (
  run_id    INTEGER NOT NULL REFERENCES run (id),
  seq       INTEGER NOT NULL,
  base_ms   INTEGER,               -- UTC of that boot's zero; NULL until the clock can be trusted
  guess_ms  INTEGER NOT NULL,      -- what an untrusted clock said it was when the batch was sealed
  unsure_lo INTEGER,               -- bounds of base_ms where it is an estimate
  unsure_hi INTEGER,
  aside     TEXT,                  -- why it is no longer offered; NULL: it is
  body      TEXT NOT NULL,
  size      INTEGER,               -- bytes of the body; NULL in rows of version 2 and older
  crc       INTEGER                -- of all that is sent, see batch_row.py; NULL in rows of version 2 and older
);
-- A start reads this alone. It is the key as well: one tree less to write than with a primary key beside it.
CREATE UNIQUE INDEX batch_place ON batch (run_id, seq, size);
CREATE INDEX batch_undated ON batch (run_id, seq) WHERE base_ms IS NULL;
CREATE INDEX batch_aside ON batch (run_id, seq) WHERE aside IS NOT NULL;
CREATE TABLE memory (
  device    TEXT PRIMARY KEY,
  text      TEXT NOT NULL           -- what it must still know after a power cut, as of the last seal
);
CREATE TABLE salvage (
  file      TEXT NOT NULL,          -- a damaged spool beside this one whose rows are being carried over
  page      INTEGER NOT NULL        -- up to which that has been done
);
