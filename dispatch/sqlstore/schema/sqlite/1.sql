-- Times are text in UTC with six decimals, so that they sort: 2026-03-29T12:00:00.000000Z.
-- NULL is a time that never came. Digests are SHA-256 in hexadecimal digits.
-- "rest" is JSON with what of a record has no column of its own.

CREATE TABLE accounts (
  name         TEXT NOT NULL PRIMARY KEY, -- the sender's address in lower case
  lease_holder TEXT NOT NULL DEFAULT '',  -- the worker that may work on it
  lease_token  INTEGER NOT NULL DEFAULT 0,
  lease_term   INTEGER NOT NULL DEFAULT 0, -- how long it lasts from each renewal, in nanoseconds
  lease_until  TEXT,
  paused_until TEXT,
  pause_reason TEXT NOT NULL DEFAULT '',
  suspended    TEXT NOT NULL DEFAULT '',  -- if not empty, why it does not send until a person acts
  rest         TEXT,                      -- NULL: there is no record of the account
  version      INTEGER NOT NULL DEFAULT 0, -- drawn anew with each change of whatever belongs to the account
  entries      INTEGER NOT NULL DEFAULT 0, -- how many there are in audit
  tries        INTEGER NOT NULL DEFAULT 0, -- how many there are in tries
  last_try     TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
  account TEXT NOT NULL,
  name    TEXT NOT NULL,
  phase   TEXT NOT NULL, -- expanding, ready, approved, canceled
  created TEXT,
  creator TEXT NOT NULL,
  total   INTEGER NOT NULL,
  rest    TEXT NOT NULL, -- digest, approvals, counts of states, ...
  PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Sends never change. What does is in progress.
CREATE TABLE sends (
  account    TEXT NOT NULL,
  batch      TEXT NOT NULL,
  row_no     INTEGER NOT NULL, -- from 1
  recipient  TEXT NOT NULL,
  message_id TEXT NOT NULL,    -- of the first attempt, in angle brackets
  digest     TEXT,             -- of the message
  size       INTEGER NOT NULL,
  pieces     TEXT NOT NULL,    -- how the message is put together: bytes of its own, and blobs
  own        BLOB NOT NULL,    -- the bytes of its own, one piece after another
  PRIMARY KEY (account, batch, row_no)
) STRICT;

CREATE TABLE progress (
  account TEXT NOT NULL,
  batch   TEXT NOT NULL,
  row_no  INTEGER NOT NULL,
  state   TEXT NOT NULL,
  due     TEXT, -- when it may leave; NULL: it may not
  PRIMARY KEY (account, batch, row_no)
) STRICT, WITHOUT ROWID;

CREATE INDEX progress_due ON progress (account, batch, due, row_no) WHERE due IS NOT NULL;

-- Which send a receipt is about.
CREATE TABLE message_ids (
  account    TEXT NOT NULL,
  message_id TEXT NOT NULL, -- without angle brackets
  batch      TEXT NOT NULL,
  row_no     INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  PRIMARY KEY (account, message_id)
) STRICT, WITHOUT ROWID;

-- Facts are added and never change. The state of a send follows from them.
CREATE TABLE facts (
  account  TEXT NOT NULL,
  batch    TEXT NOT NULL,
  row_no   INTEGER NOT NULL,
  key      TEXT NOT NULL, -- what makes two facts one
  kind     TEXT NOT NULL, -- attempt, try, outcome, notice, claim, bounce, cancel
  happened TEXT,
  attempt  INTEGER NOT NULL,
  try_no   INTEGER NOT NULL,
  rest     TEXT NOT NULL, -- reply, notice, digest of the message it was read from, ...
  PRIMARY KEY (account, batch, row_no, key)
) STRICT;

-- When something left, for the limits of the provider: the facts of kind "try", numbered
-- by their time, so that the 5000th last is found as fast as the last.
CREATE TABLE tries (
  account  TEXT NOT NULL,
  nth      INTEGER NOT NULL, -- from 1
  happened TEXT,
  PRIMARY KEY (account, nth)
) STRICT, WITHOUT ROWID;

-- What was found in the mailbox.
CREATE TABLE mails (
  account      TEXT NOT NULL,
  folder       TEXT NOT NULL,
  uid_validity INTEGER NOT NULL,
  uid          INTEGER NOT NULL,
  found        TEXT,
  disposition  TEXT NOT NULL, -- matched, claim, orphan, ...
  raw          TEXT,          -- digest of the blob with the message as received
  size         INTEGER NOT NULL,
  category     TEXT NOT NULL,
  kind         TEXT NOT NULL,
  batch        TEXT NOT NULL, -- of the send it is about; '' and 0 if none
  row_no       INTEGER NOT NULL,
  reason       TEXT NOT NULL,
  PRIMARY KEY (account, folder, uid_validity, uid)
) STRICT;

CREATE INDEX mails_disposition ON mails (account, disposition, folder, uid_validity, uid);

-- Who did what. Each entry carries the digest of the one before.
CREATE TABLE audit (
  account  TEXT NOT NULL,
  seq      INTEGER NOT NULL, -- from 1
  happened TEXT,
  actor    TEXT NOT NULL,
  action   TEXT NOT NULL,
  batch    TEXT NOT NULL,
  row_no   INTEGER NOT NULL,
  detail   TEXT NOT NULL,
  prev     TEXT,
  hash     TEXT,
  PRIMARY KEY (account, seq)
) STRICT;

-- Large values, in chunks. A blob is there when its row in blobs is.
CREATE TABLE blobs (
  digest TEXT NOT NULL PRIMARY KEY,
  size   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_chunks (
  digest TEXT NOT NULL,
  number INTEGER NOT NULL, -- from 0; each but the last has 262144 bytes
  bytes  BLOB NOT NULL,
  PRIMARY KEY (digest, number)
) STRICT;

-- For people: how far each batch is.
CREATE VIEW batch_states AS
  SELECT account, batch, state, count(*) AS sends
  FROM progress GROUP BY account, batch, state;

-- For people: each send with its state and what was heard of it last.
CREATE VIEW send_states AS
  SELECT s.account, s.batch, s.row_no, s.recipient, p.state, p.due,
         (SELECT max(f.happened) FROM facts f
          WHERE f.account = s.account AND f.batch = s.batch AND f.row_no = s.row_no) AS last_fact,
         s.message_id, s.size
  FROM sends s JOIN progress p ON p.account = s.account AND p.batch = s.batch AND p.row_no = s.row_no;

-- For people: what happened to each send. "ORDER BY happened" gives its story.
CREATE VIEW timeline AS
  SELECT f.account, f.batch, f.row_no, s.recipient, f.happened, f.kind,
         coalesce(f.rest ->> '$.notice.kind', f.rest ->> '$.outcome', '') AS what,
         coalesce(f.rest ->> '$.notice.detail', f.rest ->> '$.reply', f.rest ->> '$.reason', '') AS detail,
         f.attempt, f.try_no, f.rest ->> '$.raw' AS raw
  FROM facts f JOIN sends s ON s.account = f.account AND s.batch = f.batch AND s.row_no = f.row_no;
