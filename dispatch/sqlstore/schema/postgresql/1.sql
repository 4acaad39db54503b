-- NULL is a time that never came. Digests are SHA-256 in hexadecimal digits.
-- "rest" is JSON with what of a record has no column of its own.
--
-- All keys begin with the account, but for blobs, so that these tables can be
-- partitioned by it. Text is ordered by its bytes.

CREATE TABLE accounts (
  name         text COLLATE "C" NOT NULL PRIMARY KEY, -- the sender's address in lower case
  lease_holder text NOT NULL DEFAULT '',              -- the worker that may work on it
  lease_token  bigint NOT NULL DEFAULT 0,
  lease_term   bigint NOT NULL DEFAULT 0,             -- how long it lasts from each renewal, in nanoseconds
  lease_until  timestamptz,
  paused_until timestamptz,
  pause_reason text NOT NULL DEFAULT '',
  suspended    text NOT NULL DEFAULT '',              -- if not empty, why it does not send until a person acts
  rest         json,                                  -- NULL: there is no record of the account
  version      bigint NOT NULL DEFAULT 0,             -- drawn anew with each change of whatever belongs to the account
  entries      bigint NOT NULL DEFAULT 0,             -- how many there are in audit
  tries        bigint NOT NULL DEFAULT 0,             -- how many there are in tries
  last_try     timestamptz
);

CREATE TABLE batches (
  account text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  phase   text NOT NULL,             -- expanding, ready, approved, canceled
  created timestamptz,
  creator text NOT NULL,
  total   bigint NOT NULL,
  rest    json NOT NULL,             -- digest, approvals, counts of states, ...
  PRIMARY KEY (account, name)
);

-- Sends never change. What does is in progress.
CREATE TABLE sends (
  account    text COLLATE "C" NOT NULL,
  batch      text COLLATE "C" NOT NULL,
  row_no     bigint NOT NULL,           -- from 1
  recipient  text NOT NULL,
  message_id text NOT NULL,             -- of the first attempt, in angle brackets
  digest     text,                      -- of the message
  size       bigint NOT NULL,
  pieces     json NOT NULL,             -- how the message is put together: bytes of its own, and blobs
  own        bytea NOT NULL,            -- the bytes of its own, one piece after another
  PRIMARY KEY (account, batch, row_no)
);

CREATE TABLE progress (
  account text COLLATE "C" NOT NULL,
  batch   text COLLATE "C" NOT NULL,
  row_no  bigint NOT NULL,
  state   text NOT NULL,
  due     timestamptz,               -- when it may leave; NULL: it may not
  PRIMARY KEY (account, batch, row_no)
);

CREATE INDEX progress_due ON progress (account, batch, due, row_no) WHERE due IS NOT NULL;

-- Which send a receipt is about.
CREATE TABLE message_ids (
  account    text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL, -- without angle brackets
  batch      text NOT NULL,
  row_no     bigint NOT NULL,
  attempt    bigint NOT NULL,
  PRIMARY KEY (account, message_id)
);

-- Facts are added and never change. The state of a send follows from them.
CREATE TABLE facts (
  account  text COLLATE "C" NOT NULL,
  batch    text COLLATE "C" NOT NULL,
  row_no   bigint NOT NULL,
  key      text COLLATE "C" NOT NULL, -- what makes two facts one
  kind     text NOT NULL,             -- attempt, try, outcome, notice, claim, bounce, cancel
  happened timestamptz,
  attempt  bigint NOT NULL,
  try_no   bigint NOT NULL,
  rest     json NOT NULL,             -- reply, notice, digest of the message it was read from, ...
  PRIMARY KEY (account, batch, row_no, key)
);

-- When something left, for the limits of the provider: the facts of kind "try", numbered
-- by their time, so that the 5000th last is found as fast as the last.
CREATE TABLE tries (
  account  text COLLATE "C" NOT NULL,
  nth      bigint NOT NULL,           -- from 1
  happened timestamptz,
  PRIMARY KEY (account, nth)
);

-- What was found in the mailbox.
CREATE TABLE mails (
  account      text COLLATE "C" NOT NULL,
  folder       text COLLATE "C" NOT NULL,
  uid_validity bigint NOT NULL,
  uid          bigint NOT NULL,
  found        timestamptz,
  disposition  text COLLATE "C" NOT NULL, -- matched, claim, orphan, ...
  raw          text,                      -- digest of the blob with the message as received
  size         bigint NOT NULL,
  category     text NOT NULL,
  kind         text NOT NULL,
  batch        text NOT NULL,             -- of the send it is about; '' and 0 if none
  row_no       bigint NOT NULL,
  reason       text NOT NULL,
  PRIMARY KEY (account, folder, uid_validity, uid)
);

CREATE INDEX mails_disposition ON mails (account, disposition, folder, uid_validity, uid);

-- Who did what. Each entry carries the digest of the one before.
CREATE TABLE audit (
  account  text COLLATE "C" NOT NULL,
  seq      bigint NOT NULL,           -- from 1
  happened timestamptz,
  actor    text NOT NULL,
  action   text NOT NULL,
  batch    text NOT NULL,
  row_no   bigint NOT NULL,
  detail   text NOT NULL,
  prev     text,
  hash     text,
  PRIMARY KEY (account, seq)
);

-- Large values, in chunks. A blob is there when its row in blobs is.
CREATE TABLE blobs (
  digest text COLLATE "C" NOT NULL PRIMARY KEY,
  size   bigint NOT NULL
);

CREATE TABLE blob_chunks (
  digest text COLLATE "C" NOT NULL,
  number bigint NOT NULL,           -- from 0; each but the last has 262144 bytes
  bytes  bytea NOT NULL,
  PRIMARY KEY (digest, number)
);

-- Mail does not get smaller when it is tried.
ALTER TABLE blob_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;

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
         coalesce(f.rest -> 'notice' ->> 'kind', f.rest ->> 'outcome', '') AS what,
         coalesce(f.rest -> 'notice' ->> 'detail', f.rest ->> 'reply', f.rest ->> 'reason', '') AS detail,
         f.attempt, f.try_no, f.rest ->> 'raw' AS raw
  FROM facts f JOIN sends s ON s.account = f.account AND s.batch = f.batch AND s.row_no = f.row_no;
