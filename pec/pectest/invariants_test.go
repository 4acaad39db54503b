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

// TestEverythingAtOnce lets all faults happen by chance to a hundred messages, each
// to two recipients. Whatever happens, the invariants hold, and two days later
// there is an outcome for every recipient of what was accepted.
func TestEverythingAtOnce(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			n := newNetwork(t, pectest.Config{Sites: fastSites(), Scenario: pectest.Scenario{Seed: seed, Rules: everyFault()}})
			a := n.Account(studio)
			for i := range 100 {
				m := mail{id: fmt.Sprint("m", i), to: []string{
					fmt.Sprintf("u%d@pec.beta.example", i%20), []string{vicino, privato, "x@nowhere.example"}[i%3],
				}}
				n.Submit(a, m.to, bytes.NewReader(m.bytes())) // whether it works is not the point
				if i%10 == 0 {
					n.Advance(10 * time.Minute)
				}
			}
			n.Advance(60 * time.Hour)
			checkOutcomes(t, n)
		})
	}
}

// everyFault are rules for all that can happen without stopping the test.
func everyFault() []pectest.Rule {
	rules := []pectest.Rule{
		{Fault: pectest.FaultPause, Provider: "pec.beta.example", From: pectest.Duration(30 * time.Minute), Until: pectest.Duration(14 * time.Hour)},
		{Fault: pectest.FaultReply, Stage: pectest.StageMail, Probability: 0.05},
		{Fault: pectest.FaultReply, Stage: pectest.StageRcpt, Probability: 0.05, Code: 550},
		{Fault: pectest.FaultReply, Stage: pectest.StageDot, Probability: 0.05},
		{Fault: pectest.FaultLate, Probability: 0.1, Delay: pectest.Duration(13 * time.Hour)},
		{Fault: pectest.FaultLost, Kind: pec.KindServerAcceptance, Probability: 0.2},
		{Fault: pectest.FaultDoubled, Kind: pec.KindServerAcceptance, Probability: 0.2},
		{Fault: pectest.FaultLost, Kind: pec.KindVirusDetection, Probability: 0.3},
	}
	for _, stage := range []pectest.Stage{pectest.StageConnect, pectest.StageAuth, pectest.StageMail, pectest.StageRcpt, pectest.StageData, pectest.StageAccepted, pectest.StageDropped} {
		rules = append(rules, pectest.Rule{Fault: pectest.FaultCut, Stage: stage, Probability: 0.03})
	}
	for _, fault := range []pectest.Fault{
		pectest.FaultLogin, pectest.FaultThrottle, pectest.FaultRefused, pectest.FaultVirusAtSender,
		pectest.FaultFull, pectest.FaultUnknown, pectest.FaultInvalid, pectest.FaultDomain, pectest.FaultVirusAtRecipient, pectest.FaultDelivery,
		pectest.FaultLost, pectest.FaultDoubled, pectest.FaultReordered, pectest.FaultForged, pectest.FaultAltered, pectest.FaultReplayed, pectest.FaultUnsigned,
	} {
		rules = append(rules, pectest.Rule{Fault: fault, Probability: 0.07})
	}
	return rules
}

// checkOutcomes looks for what became of each recipient of each message that was
// accepted, and for receipts that are neither genuine nor refused.
func checkOutcomes(t *testing.T, n *pectest.Network) {
	t.Helper()
	outcome := make(map[string]bool)
	var accepted []pectest.Event
	for e := range n.Events() {
		switch {
		case e.Event == pectest.EventAccepted:
			accepted = append(accepted, e)
		case e.Event == pectest.EventDelivered, e.Event == pectest.EventFailed,
			e.Event == pectest.EventNotice && len(e.To) == 1: // a timeout, where malware was found and nobody said so
			outcome[e.ID+e.To[0]] = true
		}
	}
	for _, e := range accepted {
		for _, a := range e.To {
			if !outcome[e.ID+a] && !strings.HasSuffix(a, "@nowhere.example") {
				t.Errorf("nothing became of %s for %s\n%s", e.MessageID, a, journal(n))
			}
		}
	}
	if len(accepted) < 20 {
		t.Errorf("%d messages were accepted, want more of 100", len(accepted))
	}
	t.Logf("%d accepted; in the sender's mailbox: %d messages", len(accepted), len(inbox(t, n, studio)))
}
