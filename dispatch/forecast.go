package dispatch

import (
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// Forecast says what a batch will do to the mailbox that sends it, and how long
// that takes. Its sizes are estimates: providers write receipts of about 6 to 15
// kB, plus what a receipt holds of the message.
type Forecast struct {
	// Receipts is how many messages come back if all goes well: an acceptance and
	// a delivery for each.
	Receipts int64
	// Complete, Brief and Concise are the bytes of them all for each form of
	// delivery receipt: with the whole message, with hashes in place of the
	// attachments, with neither.
	Complete, Brief, Concise int64
	// Expected is that of the form asked for, and Space how many bytes the mailbox
	// can take; 0 if that is not known. Receipts that are removed while others
	// arrive need less.
	Expected, Space int64
	// Duration is how long the profile's limits make it take to send all.
	Duration time.Duration
}

// Sizes in receipts, from real ones: what a provider writes with its signature
// and certificates, what it adds to the head of the original, and a part with a
// hash in place of an attachment.
const (
	noticeBytes    = 15_000
	addedHeadBytes = 1_000
	hashPartBytes  = 400
)

// forecaster adds up what a forecast is made of.
type forecaster struct {
	messages, bytes     int64
	attachments, inThem int64 // how many, and their encoded bytes
}

func (f *forecaster) add(m *Rendered) {
	f.messages++
	f.bytes += m.Size
	for _, p := range m.Content {
		if !p.Blob.IsZero() {
			f.attachments++
			f.inThem += p.Size
		}
	}
}

func (f *forecaster) forecast(opts PreflightOptions) Forecast {
	c := Forecast{
		Receipts: 2 * f.messages,
		Concise:  2 * f.messages * noticeBytes,
		Space:    opts.FreeBytes,
		Duration: sendingTime(f.messages, opts.Profile.OrDefault()),
	}
	c.Complete = c.Concise + f.bytes + f.messages*addedHeadBytes
	c.Brief = c.Complete - f.inThem + f.attachments*hashPartBytes
	if c.Space <= 0 {
		c.Space = opts.Profile.MailboxBytes
	}
	switch opts.ReceiptType {
	case pec.ReceiptBrief:
		c.Expected = c.Brief
	case pec.ReceiptConcise:
		c.Expected = c.Concise
	default:
		c.Expected = c.Complete
	}
	return c
}

// sendingTime returns when the last of n messages may leave, if the first leaves
// at 0: the limits are on any minute, any hour and any day.
func sendingTime(n int64, p pec.Profile) time.Duration {
	limits := []struct {
		count  int64
		window time.Duration
	}{{int64(p.PerMinute), time.Minute}, {int64(p.PerHour), time.Hour}, {int64(p.PerDay), 24 * time.Hour}}
	// after(n) is when the message after n others may leave.
	after := func(int64) time.Duration { return 0 }
	for _, limit := range limits {
		if limit.count <= 0 {
			continue
		}
		shorter := after
		after = func(n int64) time.Duration {
			full := time.Duration(n/limit.count) * limit.window
			return max(shorter(n), full+shorter(n%limit.count))
		}
	}
	return after(max(n-1, 0))
}
