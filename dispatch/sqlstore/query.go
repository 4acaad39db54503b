package sqlstore

import "slices"

// queries are the statements that read, and those that write a blob. What they
// are for is said where they are used. Parameters appear in their order: some
// drivers count them.
var queries = []string{
	queryAccounts, queryAccount,
	queryBatch, queryBatches,
	querySend, querySends, queryHighest, querySendStates,
	queryMessageID, queryTries,
	queryMail, queryMails,
	queryAudit,
	queryBlob, queryChunk, insertBlob, insertChunk,
}

func (d *dialect) queries() []string {
	return append(slices.Clone(queries), d.queryDue(), d.queryMessageIDs(), d.querySendsNamed())
}

const (
	accountColumns = `lease_holder, lease_token, lease_term, lease_until, paused_until, pause_reason, suspended, rest, version, entries, tries, last_try`

	queryAccounts = `SELECT name, ` + accountColumns + ` FROM accounts WHERE rest IS NOT NULL AND name > $1 ORDER BY name LIMIT $2`
	queryAccount  = `SELECT ` + accountColumns + ` FROM accounts WHERE name = $1`
)

const (
	batchColumns = `name, phase, created, creator, total, rest`

	queryBatch   = `SELECT ` + batchColumns + ` FROM batches WHERE account = $1 AND name = $2`
	queryBatches = `SELECT ` + batchColumns + ` FROM batches WHERE account = $1 ORDER BY name`
)

const (
	sendColumns = `s.batch, s.row_no, s.recipient, s.message_id, s.digest, s.size, s.pieces, s.own`

	querySend  = `SELECT ` + sendColumns + ` FROM sends s WHERE s.account = $1 AND s.batch = $2 AND s.row_no = $3`
	querySends = `SELECT ` + sendColumns + ` FROM sends s
		WHERE s.account = $1 AND s.batch = $2 AND s.row_no > $3 ORDER BY s.row_no LIMIT $4`
	queryHighest = `SELECT row_no FROM sends WHERE account = $1 AND batch = $2 ORDER BY row_no DESC LIMIT 1`

	// A row for each send, and one for each fact. To join them, a database would have
	// to know how many there are.
	querySendStates = `SELECT row_no, state, due, NULL, NULL, NULL, NULL, NULL, NULL FROM progress
			WHERE account = $1 AND batch = $2 AND row_no >= $3 AND row_no < $4
		UNION ALL SELECT row_no, NULL, NULL, ` + factColumns + ` FROM facts
			WHERE account = $5 AND batch = $6 AND row_no >= $7 AND row_no < $8`
)

const (
	factColumns = `key, kind, happened, attempt, try_no, rest`

	queryTries = `SELECT happened FROM tries WHERE account = $1 AND nth >= $2 ORDER BY nth LIMIT $3`

	queryMessageID = `SELECT batch, row_no, attempt FROM message_ids WHERE account = $1 AND message_id = $2`
)

func (d *dialect) queryDue() string {
	const is = `s.account = p.account AND s.batch = p.batch AND s.row_no = p.row_no`
	return `SELECT ` + sendColumns + ` FROM progress p` + d.lookUp("sends s", is) +
		` WHERE p.account = $1 AND p.batch = $2 AND p.due <= $3 ORDER BY p.due, p.row_no LIMIT $4`
}

// named finds message_ids, m, for a list of them.
func (d *dialect) named() string {
	return d.list + d.lookUp("message_ids m", "m.account = $2 AND m.message_id = list.value")
}

func (d *dialect) queryMessageIDs() string {
	return `SELECT m.message_id, m.batch, m.row_no, m.attempt FROM ` + d.named()
}

// querySendsNamed leaves those out that have many bytes of their own: not many of
// these should be in memory at once.
func (d *dialect) querySendsNamed() string {
	const is = `s.account = m.account AND s.batch = m.batch AND s.row_no = m.row_no`
	return `SELECT ` + sendColumns + ` FROM ` + d.named() + d.lookUp("sends s", is) + ` WHERE length(s.own) < 65536`
}

const (
	mailColumns = `folder, uid_validity, uid, found, disposition, raw, size, category, kind, batch, row_no, reason`

	queryMail = `SELECT ` + mailColumns + ` FROM mails
		WHERE account = $1 AND folder = $2 AND uid_validity = $3 AND uid = $4`
	queryMails = `SELECT ` + mailColumns + ` FROM mails
		WHERE account = $1 AND disposition = $2 AND (folder, uid_validity, uid) > ($3, $4, $5)
		ORDER BY folder, uid_validity, uid LIMIT $6`
)

const (
	entryColumns = `seq, happened, actor, action, batch, row_no, detail, prev, hash`

	queryAudit = `SELECT ` + entryColumns + ` FROM audit WHERE account = $1 AND seq > $2 ORDER BY seq LIMIT $3`
)

const (
	queryBlob   = `SELECT size FROM blobs WHERE digest = $1`
	queryChunk  = `SELECT bytes FROM blob_chunks WHERE digest = $1 AND number = $2`
	insertBlob  = `INSERT INTO blobs (digest, size) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	insertChunk = `INSERT INTO blob_chunks (digest, number, bytes) VALUES ($1, $2, $3)`
)
