-- The tables of a store. Columns that a driver writes have the names of Row (store.py).
CREATE TABLE studies (
  number INTEGER PRIMARY KEY, saved TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL, model TEXT NOT NULL,
  fingerprint TEXT NOT NULL, folder TEXT NOT NULL, origin TEXT NOT NULL, form INTEGER NOT NULL DEFAULT 0, seal TEXT
);
CREATE TABLE environments (number INTEGER PRIMARY KEY, hash TEXT UNIQUE NOT NULL, content TEXT NOT NULL);
CREATE TABLE scenarios (key TEXT PRIMARY KEY, parameters TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, scenario TEXT NOT NULL, arm TEXT NOT NULL, replicate INTEGER NOT NULL,
  seed INTEGER NOT NULL, status TEXT NOT NULL, outcomes TEXT, hash TEXT, failure TEXT, seconds REAL NOT NULL,
  attempts INTEGER NOT NULL, environment INTEGER NOT NULL REFERENCES environments (number), series TEXT, tables TEXT, seal TEXT
);
CREATE TABLE series (
  run INTEGER PRIMARY KEY REFERENCES runs (number), quantities TEXT NOT NULL, ticks TEXT NOT NULL, hash TEXT NOT NULL,
  data BLOB NOT NULL
);
CREATE VIEW outcomes AS
  SELECT runs.id AS run, runs.scenario, runs.arm, runs.replicate, value.key AS outcome, value.atom AS value
  FROM runs, json_each(runs.outcomes) AS value WHERE runs.status = 'done';

-- Since format 2.
CREATE TABLE IF NOT EXISTS tables (
  run INTEGER NOT NULL REFERENCES runs (number), name TEXT NOT NULL, hash TEXT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (run, name)
) WITHOUT ROWID;
