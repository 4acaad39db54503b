package sqlstore

// queries are the statements that read, and those that write a blob. What they
// are for is said where they are used. Parameters appear in their order: some
// drivers count them.
var queries = []string{
	queryAccounts, queryAccount,
	queryBatch, queryBatches,
	querySend, querySends, queryDue, queryHighest, querySendStates,
	queryMessageID, queryTries,
	queryMail, queryMails,
	queryAudit,
	queryBlob, queryChunk, insertBlob, insertChunk,
}

const (
	accountColumns = `lease_holder, lease_token, lease_until, paused_until, pause_reason, suspended, rest, entries, tries, last_try`

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
	queryDue = `SELECT ` + sendColumns + `
		FROM progress p JOIN sends s ON s.account = p.account AND s.batch = p.batch AND s.row_no = p.row_no
		WHERE p.account = $1 AND p.batch = $2 AND p.due <= $3 ORDER BY p.due, p.row_no LIMIT $4`
	queryHighest = `SELECT row_no FROM sends WHERE account = $1 AND batch = $2 ORDER BY row_no DESC LIMIT 1`

	// One row for each fact; one with NULLs for a send without. The rows are bounded
	// twice, so that however the two are joined, little is read of either.
	querySendStates = `SELECT p.row_no, p.state, p.due, f.key, f.kind, f.happened, f.attempt, f.try_no, f.rest
		FROM progress p LEFT JOIN facts f ON f.account = p.account AND f.batch = p.batch AND f.row_no = p.row_no
			AND f.account = $1 AND f.batch = $2 AND f.row_no >= $3 AND f.row_no < $4
		WHERE p.account = $5 AND p.batch = $6 AND p.row_no >= $7 AND p.row_no < $8`
)

const (
	factColumns = `key, kind, happened, attempt, try_no, rest`

	queryTries = `SELECT happened FROM tries WHERE account = $1 AND nth >= $2 ORDER BY nth LIMIT $3`

	queryMessageID = `SELECT batch, row_no, attempt FROM message_ids WHERE account = $1 AND message_id = $2`
)

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
