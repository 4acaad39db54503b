package pectest_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// checkInvariants looks, at the end of a test, for what must hold in every
// network, whatever goes wrong in it. No fault of the scenario language may break
// these rules: who tests with the simulator relies on them.
func checkInvariants(t *testing.T, n *pectest.Network) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if n.Settle(ctx) != nil {
		return // the test left something under way
	}
	j := readJournal(n)
	for _, broken := range j.broken {
		t.Errorf("%s\n%s", broken, journal(n))
	}
	for address := range j.people {
		for raw := range n.Messages(address) {
			if m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.VerifyOptions()); err == nil {
				j.checkMail(t, m, raw)
			}
		}
	}
}

// known is what the journal tells of one transmission.
type known struct {
	messageID string
	accepted  time.Time // zero if it was refused
	answers   int       // receipts of acceptance and notices of non-acceptance
	delivered []string
	final     []string // recipients about whom there was a final answer of their provider
}

// journalReading is the journal, by transmission.
type journalReading struct {
	byID   map[string]*known
	people map[string]bool
	broken []string
}

func readJournal(n *pectest.Network) *journalReading {
	j := &journalReading{byID: make(map[string]*known), people: map[string]bool{
		"ricevute@pec.alfa.example": true, "ricevute@pec.beta.example": true,
	}}
	undecided := 0
	for e := range n.Events() {
		switch e.Event {
		case pectest.EventSubmitted:
			undecided++
		case pectest.EventAccepted, pectest.EventRefused:
			undecided--
			if e.ID == "" {
				break // ordinary mail, or refused by SMTP
			}
			if j.byID[e.ID] != nil {
				j.broken = append(j.broken, "the identifier "+e.ID+" was given twice")
			}
			k := &known{messageID: e.MessageID}
			if e.Event == pectest.EventAccepted {
				k.accepted = e.Time
			}
			j.byID[e.ID] = k
		case pectest.EventDelivered:
			if k := j.byID[e.ID]; k != nil {
				k.delivered = append(k.delivered, e.To[0])
			}
		case pectest.EventReceipt, pectest.EventNotice:
			j.answer(e)
		}
		j.people[e.From] = true
		for _, a := range e.To {
			j.people[a] = true
		}
	}
	if undecided != 0 {
		j.broken = append(j.broken, fmt.Sprintf("%d submissions more than decisions about them", undecided))
	}
	return j
}

// answer counts a receipt or a notice.
func (j *journalReading) answer(e pectest.Event) {
	k := j.byID[e.ID]
	if k == nil {
		j.broken = append(j.broken, "a provider answered what nobody submitted: "+e.Detail)
		return
	}
	complain := func(what string) { j.broken = append(j.broken, what+" for "+e.ID+": "+e.Detail) }
	if e.MessageID != k.messageID {
		complain("another Message-ID than the submitted one")
	}
	switch {
	case strings.HasPrefix(e.Detail, "ricevuta di accettazione"), strings.HasPrefix(e.Detail, "avviso di non accettazione"):
		if k.answers++; k.answers > 1 {
			complain("a second answer of the sender's provider")
		}
		if strings.HasPrefix(e.Detail, "ricevuta") == k.accepted.IsZero() {
			complain("the answer contradicts the decision")
		}
	case k.accepted.IsZero():
		complain("an answer about a message that was refused")
	case strings.HasPrefix(e.Detail, "ricevuta di avvenuta consegna"):
		if !slices.Contains(k.delivered, e.To[0]) {
			complain("a delivery is certified before it happened")
		}
		j.final(k, e, complain)
	case strings.HasPrefix(e.Detail, "avviso di mancata consegna") && !strings.Contains(e.Detail, "tempo") && !strings.Contains(e.Detail, "tempi"):
		j.final(k, e, complain)
	}
}

func (j *journalReading) final(k *known, e pectest.Event, complain func(string)) {
	if slices.Contains(k.final, e.To[0]) {
		complain("a second final answer about " + e.To[0])
	}
	k.final = append(k.final, e.To[0])
}

// checkMail compares a genuine message with what the journal says of it.
func (j *journalReading) checkMail(t *testing.T, m receipt.Message, raw []byte) {
	t.Helper()
	var d pec.CertData
	switch m := m.(type) {
	case *receipt.Receipt:
		d = m.Data()
	case *receipt.Transport:
		d = m.Data()
		if got := bytes.Count(raw, []byte("\r\nMessage-ID: <"+d.ID+">\r\n")); got != 2 {
			t.Errorf("the identifier stands %d times as a Message-ID, want it on the envelope and in the original:\n%s", got, raw)
		}
	default:
		return
	}
	k := j.byID[d.ID]
	if k == nil {
		t.Errorf("a genuine %s about a transmission that the journal does not know:\n%s", d.Kind, raw)
		return
	}
	if d.MessageID != k.messageID {
		t.Errorf("msgid = %q, want what was submitted, %q", d.MessageID, k.messageID)
	}
	if d.Kind == pec.KindNonAcceptance {
		return
	}
	if k.accepted.IsZero() {
		t.Errorf("a genuine %s about a message that was refused:\n%s", d.Kind, raw)
	}
	after := d.Time.Sub(k.accepted)
	if after < 0 || d.Kind == pec.KindAcceptance && after != 0 || d.Kind == pec.KindTransport && after != 0 {
		t.Errorf("%s is dated %v after the acceptance", d.Kind, after)
	}
	if d.Kind == pec.KindDeliveryTimeout && after != 12*time.Hour && (after < 22*time.Hour || after > 24*time.Hour) {
		t.Errorf("a timeout notice is dated %v after the acceptance, want 12h or between 22h and 24h", after)
	}
}
