package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/internal/plain"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// report writes for people, in colour on a terminal.
type report struct {
	w      io.Writer
	colour bool
	counts map[receipt.Verdict]int
}

func newReport(w io.Writer) *report {
	return &report{w: w, colour: isTerminal(w), counts: make(map[receipt.Verdict]int)}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (r *report) print(res result) error {
	v := verdict(res.err)
	r.counts[v]++
	headline := headlines[v]
	if _, ok := res.message.(*receipt.Anomaly); ok {
		headline = anomalyHeadline
	}
	words := headline.words
	if r.colour {
		words = headline.colour + words + "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", words, plain.Text(res.name))
	if res.err != nil {
		describeRefusal(&b, res.err)
	} else {
		describe(&b, res.message)
	}
	fmt.Fprintln(&b)
	_, err := io.WriteString(r.w, b.String())
	return err
}

// end sums up, if there is more than one message to sum up.
func (r *report) end() error {
	total := 0
	var parts []string
	for _, v := range []receipt.Verdict{receipt.Verified, receipt.Rejected, receipt.Inconclusive, receipt.Malformed} {
		if n := r.counts[v]; n > 0 {
			total += n
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	if total < 2 {
		return nil
	}
	_, err := fmt.Fprintf(r.w, "%d messages: %s\n", total, strings.Join(parts, ", "))
	return err
}

// line writes one named fact on one line; facts that are missing are left out.
// Facts come from messages, and may hold anything.
func line(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "  %-14s %s\n", name, plain.Text(value))
	}
}

func describeRefusal(b *strings.Builder, err error) {
	code, _ := reason(err)
	line(b, "why", explanations[code])
	var refusal *receipt.Error
	var path *fs.PathError
	switch {
	case errors.As(err, &refusal):
		line(b, "code", code+", in the "+refusal.Part)
		line(b, "details", refusal.Detail())
		line(b, "rule", refusal.Section)
	case errors.As(err, &path):
		line(b, "details", path.Err.Error())
	default:
		line(b, "details", err.Error())
	}
}

func describe(b *strings.Builder, m receipt.Message) {
	if data, ok := certData(m); ok {
		describeData(b, m, data)
	} else {
		line(b, "what", meanings[m.Kind()])
		line(b, "in Italian", m.Kind().LegalName(pec.ErrorNone))
	}
	describeContents(b, m)
	line(b, "signed by", m.Signer().Address.String())
	line(b, "vouched for by", m.Signer().Anchor)
	for i, remark := range m.Remarks() {
		line(b, label(i, "remarks"), cmp.Or(remarks[remark.Code], remark.Text))
	}
}

func describeContents(b *strings.Builder, m receipt.Message) {
	section := m.Original()
	data, _ := certData(m)
	switch {
	case section != nil && m.Kind() == pec.KindDelivery && data.ReceiptType == pec.ReceiptBrief:
		line(b, "contains", fmt.Sprintf("the message that was delivered, its attachments as hashes, %d bytes", section.Size))
	case section != nil:
		line(b, "contains", fmt.Sprintf("%s, %d bytes", contents[m.Kind()], section.Size))
	case m.Kind() == pec.KindDelivery:
		line(b, "contains", "nothing of the message, so it does not prove what was delivered")
	}
}

func describeData(b *strings.Builder, m receipt.Message, d pec.CertData) {
	line(b, "what", meanings[d.Kind])
	line(b, "in Italian", d.Kind.LegalName(d.Error))
	line(b, "certified", d.Time.Format("2006-01-02 15:04:05 -0700")+" ("+d.Time.UTC().Format(time.RFC3339)+")")
	line(b, "by provider", d.Issuer)
	line(b, "sender", d.Sender.String())
	for i, recipient := range d.Recipients {
		line(b, label(i, "recipients"), recipient.Address.String()+", "+recipientTypes[recipient.Type])
	}
	line(b, cmp.Or(concerns[d.Kind], "concerns"), d.Delivery.String())
	for i, taken := range d.Taken {
		line(b, label(i, "in charge of"), taken.String())
	}
	line(b, "subject", d.Subject)
	line(b, "Message-ID", d.MessageID)
	line(b, "identifier", d.ID)
	if rec, ok := m.(*receipt.Receipt); ok {
		describeCause(b, rec, d)
	}
}

func describeCause(b *strings.Builder, rec *receipt.Receipt, d pec.CertData) {
	cause, failed := rec.Cause()
	if !failed {
		return
	}
	line(b, "cause", cause.Text+" ("+string(cause.Code)+")")
	line(b, "their words", d.ErrorDetail)
	line(b, "send again?", retries[cause.Retry])
	line(b, "whose side", faults[cause.Fault])
}

// label names the first of several lines.
func label(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}
