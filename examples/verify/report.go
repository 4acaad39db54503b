package main

import (
	"fmt"
	"io"
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
}

func newReport(w io.Writer) *report { return &report{w, isTerminal(w)} }

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// headlines are what each verdict means, with its colour.
var headlines = map[receipt.Verdict]struct{ words, colour string }{
	receipt.Verified:     {"VERIFIED", "\x1b[1;32m"},
	receipt.Rejected:     {"REJECTED: do not rely on it", "\x1b[1;31m"},
	receipt.Inconclusive: {"NOT VERIFIED: nothing to judge, or nobody to judge by", "\x1b[1;33m"},
	receipt.Malformed:    {"UNREADABLE: not what it claims to be", "\x1b[1;31m"},
}

func (r *report) print(res result) error {
	var b strings.Builder
	headline := headlines[verdict(res.err)]
	words := headline.words
	if r.colour {
		words = headline.colour + words + "\x1b[0m"
	}
	fmt.Fprintf(&b, "%s  %s\n", words, plain.Text(res.name))
	if res.err != nil {
		code, detail := reason(res.err)
		line(&b, "reason", code)
		line(&b, "", explain(res.err))
		line(&b, "where", detail)
	} else {
		describe(&b, res.message)
	}
	fmt.Fprintln(&b)
	_, err := io.WriteString(r.w, b.String())
	return err
}

// line writes one named fact; facts that are missing are left out.
func line(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "  %-12s %s\n", name, plain.Text(value))
	}
}

func describe(b *strings.Builder, m receipt.Message) {
	data, ok := certData(m)
	if ok {
		describeData(b, m, data)
	} else {
		line(b, "what", "anomaly envelope ("+m.Kind().LegalName(pec.ErrorNone)+")")
		line(b, "", "Ordinary mail that a provider wrapped. Nothing inside is certified.")
	}
	signer := m.Signer()
	line(b, "signed by", signer.Address.String())
	line(b, "vouched by", signer.Anchor)
	for i, remark := range m.Remarks() {
		name := ""
		if i == 0 {
			name = "remarks"
		}
		line(b, name, remark.Text)
	}
}

func describeData(b *strings.Builder, m receipt.Message, d pec.CertData) {
	line(b, "what", meanings[d.Kind]+" ("+d.Kind.LegalName(d.Error)+")")
	line(b, "certified", d.Time.Format("2006-01-02 15:04:05 -0700")+" ("+d.Time.UTC().Format(time.RFC3339)+")")
	line(b, "provider", d.Issuer)
	line(b, "sender", d.Sender.String())
	for i, recipient := range d.Recipients {
		name := ""
		if i == 0 {
			name = "recipients"
		}
		line(b, name, recipient.Address.String()+", "+recipientTypes[recipient.Type])
	}
	line(b, "about", d.Delivery.String())
	line(b, "subject", d.Subject)
	line(b, "message id", d.MessageID)
	line(b, "identifier", d.ID)
	if rec, ok := m.(*receipt.Receipt); ok {
		if cause, failed := rec.Cause(); failed {
			line(b, "cause", string(cause.Code)+": "+cause.Text)
			line(b, "their words", d.ErrorDetail)
			line(b, "try again?", retries[cause.Retry])
			line(b, "on the side of", string(cause.Fault))
		}
	}
	if section := m.Original(); section != nil {
		line(b, "contains", fmt.Sprintf("the original message, %d bytes", section.Size))
	}
}

var meanings = map[pec.Kind]string{
	pec.KindAcceptance:       "acceptance: the sender's provider took the message",
	pec.KindNonAcceptance:    "refusal: the sender's provider did not take the message",
	pec.KindServerAcceptance: "taking charge, between providers",
	pec.KindDelivery:         "delivery: the message is in the recipient's mailbox",
	pec.KindDeliveryError:    "failure: the message was not delivered",
	pec.KindDeliveryTimeout:  "delay: the delivery takes too long",
	pec.KindVirusDetection:   "malware found, between providers",
	pec.KindTransport:        "a message that arrived by PEC; not a receipt",
}

var recipientTypes = map[pec.RecipientType]string{
	pec.RecipientCertified: "PEC (posta certificata)",
	pec.RecipientOrdinary:  "ordinary mail (posta ordinaria)",
}

var retries = map[receipt.Retry]string{
	receipt.RetryNever:       "no",
	receipt.RetryAfterChange: "only after putting right what is wrong",
	receipt.RetryLater:       "later, perhaps; a second message is a second legal act",
	receipt.RetryWait:        "no: wait, this one may still be delivered",
}

// explain says in plain words what the commonest refusals mean.
func explain(err error) string {
	code, _ := reason(err)
	return explanations[code]
}

var explanations = map[string]string{
	"content-altered":            "What is inside is not what the provider signed: it was changed afterwards, perhaps only by a program that stored or forwarded it.",
	"untrusted-issuer":           "It is signed, but by nobody who is known to vouch for PEC providers. Name further authorities with -issuers.",
	"legacy-certificate":         "The provider's certificate is of the kind in use until early 2017. Add -legacy to accept it.",
	"no-anchor":                  "No authority to trust was given, so there is nothing to judge by.",
	"not-pec":                    "This is ordinary mail.",
	"not-signed":                 "It says it is PEC but carries no signature, so anyone could have written it.",
	"rem":                        "This is REM, the European successor of PEC, which is not verified yet.",
	"header-contradiction":       "The outside of the message says something else than what the provider signed.",
	"from":                       "The sender shown on the outside is not whoever signed.",
	"certificate-not-valid-then": "The certificate was not valid at the certified time.",
	"future":                     "It claims a time that has not come yet. Check the clock, or -now.",
	"bad-mime":                   "The message is cut short or damaged.",
}
