package pectest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// Addresses of the network that all tests use.
const (
	studio  = "studio@pec.alfa.example"
	comune  = "comune@pec.beta.example"
	sindaco = "sindaco@pec.beta.example"
	vicino  = "vicino@pec.alfa.example"
	privato = "privato@mail.example"
)

// eicar is the test file that antivirus programs take for malware.
const eicar = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*\r\n"

// mail is a message of the studio, or of who it says.
type mail struct {
	id      string // of the Message-ID
	from    string
	subject string
	to, cc  []string
	rcpt    []string // to and cc if nil
	header  string   // more fields
	body    string
}

func (m mail) recipients() []string {
	if m.rcpt != nil {
		return m.rcpt
	}
	return append(slices.Clone(m.to), m.cc...)
}

func (m mail) bytes() []byte {
	if m.body == "" {
		m.body = "Egregio,\r\n.saluti\r\n"
	}
	if m.subject == "" {
		m.subject = "Sollecito"
	}
	head := "From: " + m.author() + "\r\nTo: " + strings.Join(m.to, ",\r\n ") + "\r\n"
	if len(m.cc) > 0 {
		head += "Cc: " + strings.Join(m.cc, ", ") + "\r\n"
	}
	return []byte(head + "Subject: " + m.subject + "\r\nDate: Fri, 04 Sep 2026 10:15:29 +0200\r\n" +
		"Message-ID: " + m.messageID() + "\r\n" + m.header + "\r\n" + m.body)
}

// author is the value of From.
func (m mail) author() string {
	if m.from == "" {
		return "Studio <" + studio + ">"
	}
	return "Mittente <" + m.from + ">"
}

func (m mail) messageID() string { return "<" + m.id + "@pec.alfa.example>" }

// receiptType is the form of receipt that the message asks for.
func (m mail) receiptType() string {
	if _, form, ok := strings.Cut(m.header, "X-TipoRicevuta: "); ok {
		form, _, _ = strings.Cut(form, "\r\n")
		return form
	}
	return "completa"
}

func newTestNetwork(t *testing.T, s pectest.Scenario) *pectest.Network {
	t.Helper()
	return newNetwork(t, pectest.Config{Scenario: s})
}

// newNetwork starts a network whose clock stands still at the present, and checks
// it at the end of the test.
func newNetwork(t *testing.T, c pectest.Config) *pectest.Network {
	t.Helper()
	if c.Start.IsZero() {
		c.Start = present
	}
	c.Frozen = true
	n := pectest.New(t, c)
	t.Cleanup(func() { checkInvariants(t, n) })
	return n
}

// send submits a message of the studio and waits for what follows at once.
func send(t *testing.T, n *pectest.Network, m mail) {
	t.Helper()
	if err := n.Submit(n.Account(studio), m.recipients(), bytes.NewReader(m.bytes())); err != nil {
		t.Fatalf("Submit: %v", err)
	}
	settle(t, n)
}

func settle(t *testing.T, n *pectest.Network) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.Settle(ctx); err != nil {
		t.Fatalf("Settle: %v", err)
	}
}

// inbox describes, one in a line, the messages in a mailbox: kind, error and
// recipient of what verifies, or why it does not.
func inbox(t *testing.T, n *pectest.Network, address string) []string {
	t.Helper()
	var lines []string
	for raw := range n.Messages(address) {
		m, err := receipt.VerifyMessage(bytes.NewReader(raw), n.VerifyOptions())
		var refusal *receipt.Error
		switch m := m.(type) {
		case *receipt.Receipt:
			d := m.Data()
			line := fmt.Sprintf("%s %s", d.Kind, d.Error)
			if !d.Delivery.IsZero() {
				line += " " + d.Delivery.String()
			}
			if d.ErrorDetail != "" {
				line += " " + strings.Fields(d.ErrorDetail)[0]
			}
			lines = append(lines, line)
		case *receipt.Transport:
			lines = append(lines, "envelope")
		case *receipt.Anomaly:
			lines = append(lines, "anomaly")
		default:
			if !errors.As(err, &refusal) {
				t.Fatalf("VerifyMessage: %v", err)
			}
			lines = append(lines, "refused "+string(refusal.Code))
		}
	}
	return lines
}

func wantInbox(t *testing.T, n *pectest.Network, address string, want ...string) {
	t.Helper()
	if got := inbox(t, n, address); !slices.Equal(got, want) {
		t.Errorf("in the mailbox of %s:\n\t%s\nwant\n\t%s\n%s", address,
			strings.Join(got, "\n\t"), strings.Join(want, "\n\t"), journal(n))
	}
}

// wantInAnyOrder is wantInbox where two messages may overtake each other.
func wantInAnyOrder(t *testing.T, n *pectest.Network, address string, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(inbox(t, n, address)))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("in the mailbox of %s, in whatever order:\n\t%s\nwant\n\t%s\n%s", address,
			strings.Join(got, "\n\t"), strings.Join(want, "\n\t"), journal(n))
	}
}

func journal(n *pectest.Network) string {
	var b strings.Builder
	for e := range n.Events() {
		fmt.Fprintf(&b, "%s %-10s %s %s: %s\n", e.Time.Format(time.TimeOnly), e.Event, e.Provider, e.To, e.Detail)
	}
	return b.String()
}

func count(n *pectest.Network, match func(pectest.Event) bool) int {
	total := 0
	for e := range n.Events() {
		if match(e) {
			total++
		}
	}
	return total
}

func ofKind(kind pectest.EventKind) func(pectest.Event) bool {
	return func(e pectest.Event) bool { return e.Event == kind }
}

func TestGoodMessage(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	m := mail{id: "good", to: []string{comune, vicino, privato}, cc: []string{sindaco}}
	send(t, n, m)

	want := []string{
		"accettazione nessuno",
		"avvenuta-consegna nessuno " + comune,
		"avvenuta-consegna nessuno " + sindaco,
		"avvenuta-consegna nessuno " + vicino,
	}
	wantInAnyOrder(t, n, studio, want...)
	for _, a := range []string{comune, sindaco, vicino} {
		wantInbox(t, n, a, "envelope")
	}
	wantInbox(t, n, "ricevute@pec.alfa.example", "presa-in-carico nessuno", "presa-in-carico nessuno")
	wantInbox(t, n, privato, "envelope")
	checkForms(t, n, m)
	checkJournal(t, n, m)

	// Nothing is left to be timed out.
	n.Advance(48 * time.Hour)
	if got := len(inbox(t, n, studio)); got != len(want) {
		t.Errorf("after two days the sender has %d messages, want %d\n%s", got, len(want), journal(n))
	}
}

// checkForms looks at how much of the original the deliveries hold: all of it for
// recipients in To, nothing for those in Cc.
func checkForms(t *testing.T, n *pectest.Network, m mail) {
	t.Helper()
	for raw := range n.Messages(studio) {
		r, err := receipt.Verify(bytes.NewReader(raw), n.VerifyOptions())
		if err != nil || r.Kind() != pec.KindDelivery {
			continue
		}
		want := receipt.Proven
		if r.Data().Delivery.String() == sindaco {
			want = receipt.NoProof
		}
		proof, err := r.Prove(bytes.NewReader(raw), bytes.NewReader(m.bytes()))
		if err != nil || proof.Result != want {
			t.Errorf("Prove for %s = %+v, %v, want %s", r.Data().Delivery, proof, err, want)
		}
	}
}

// checkJournal counts what became of the message.
func checkJournal(t *testing.T, n *pectest.Network, m mail) {
	t.Helper()
	want := map[pectest.EventKind]int{
		pectest.EventSubmitted: 1, pectest.EventAccepted: 1, pectest.EventRefused: 0,
		pectest.EventDelivered: 4, pectest.EventFailed: 0, pectest.EventReceipt: 6, pectest.EventNotice: 0,
	}
	for kind, times := range want {
		if got := count(n, ofKind(kind)); got != times {
			t.Errorf("the journal has %d events %s, want %d\n%s", got, kind, times, journal(n))
		}
	}
	sum := sha256.Sum256(m.bytes())
	for e := range n.Events() {
		if e.MessageID != m.messageID() || e.From != studio || e.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("event %+v: want the Message-ID, the sender and the digest %x of the message", e, sum)
		}
	}
}

func TestFormalChecks(t *testing.T) {
	tests := []struct {
		name  string
		check pectest.Check
		mail  mail
		raw   func(string) string
	}{
		{name: "two subjects", check: pectest.CheckForm, mail: mail{header: "Subject: again\r\n"}},
		{name: "a line too long", check: pectest.CheckForm, mail: mail{body: strings.Repeat("x", 999) + "\r\n"}},
		{name: "not ASCII in the header", check: pectest.CheckForm, mail: mail{header: "X-Note: è\r\n"}},
		{name: "no address in From", check: pectest.CheckFrom, raw: func(s string) string { return strings.Replace(s, "<"+studio+">", "", 1) }},
		{name: "no From", check: pectest.CheckFrom, raw: func(s string) string { return strings.Replace(s, "From:", "X-From:", 1) }},
		{name: "no To", check: pectest.CheckTo, raw: func(s string) string { return strings.Replace(s, "To:", "Cc:", 1) }},
		{name: "From of somebody else", check: pectest.CheckSender, raw: func(s string) string { return strings.Replace(s, "<studio@", "<altro@", 1) }},
		{name: "group in To", check: pectest.CheckTo, raw: func(s string) string { return strings.Replace(s, "To: ", "To: all:;\r\nCc: ", 1) }},
		{name: "hidden recipient", check: pectest.CheckRecipients, mail: mail{rcpt: []string{comune, sindaco}}},
		{name: "recipient in the header alone", check: pectest.CheckAddressees, mail: mail{to: []string{comune, sindaco}, rcpt: []string{comune}}},
		{name: "Bcc", check: pectest.CheckBcc, mail: mail{header: "Bcc: " + comune + "\r\n"}},
		{name: "too large", check: pectest.CheckSize, mail: mail{body: strings.Repeat(strings.Repeat("x", 70)+"\r\n", 800)}},
		{name: "malware", check: pectest.CheckVirus, mail: mail{body: eicar}},
		{name: "malware in base64", check: pectest.CheckVirus, mail: mail{body: "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0ND" + "KTd9JEVJQ0FSLVNUQU5EQVJELUFO\r\n"}},
	}
	for _, test := range tests {
		for _, response := range []pectest.Response{pectest.RespondNotice, pectest.RespondSMTP, pectest.RespondNothing} {
			t.Run(test.name+"/"+string(response), func(t *testing.T) {
				t.Parallel()
				n := newTestNetwork(t, pectest.Scenario{
					Checks:  map[pectest.Check]pectest.Response{test.check: response},
					Profile: &pec.Profile{MaxTotalBytes: 50_000},
				})
				m := test.mail
				m.id = "check"
				if m.to == nil {
					m.to = []string{comune}
				}
				raw := string(m.bytes())
				if test.raw != nil {
					raw = test.raw(raw)
				}
				err := n.Submit(n.Account(studio), m.recipients(), strings.NewReader(raw))
				settle(t, n)
				checkResponse(t, n, test.check, response, err)
			})
		}
	}
}

func checkResponse(t *testing.T, n *pectest.Network, check pectest.Check, response pectest.Response, err error) {
	t.Helper()
	var refusal *smtp.SMTPError
	if isRefusal := errors.As(err, &refusal); isRefusal != (response == pectest.RespondSMTP) || !isRefusal && err != nil {
		t.Errorf("Submit: %v, with response %q", err, response)
	}
	accepted, refused := count(n, ofKind(pectest.EventAccepted)), count(n, ofKind(pectest.EventRefused))
	switch response {
	case pectest.RespondNothing:
		if accepted != 1 || refused != 0 {
			t.Errorf("accepted %d, refused %d, want it accepted once\n%s", accepted, refused, journal(n))
		}
		return
	case pectest.RespondSMTP:
		wantInbox(t, n, studio)
	case pectest.RespondNotice:
		code, detail := "altro", ""
		if check == pectest.CheckVirus {
			code = "virus"
		}
		got := inbox(t, n, studio)
		if len(got) != 1 || !strings.HasPrefix(got[0], "non-accettazione "+code+detail) {
			t.Errorf("the sender has %q, want a notice of non-acceptance (%s)", got, code)
		}
	}
	if accepted != 0 || refused != 1 {
		t.Errorf("accepted %d, refused %d, want it refused once\n%s", accepted, refused, journal(n))
	}
}

func TestFaults(t *testing.T) {
	const acceptance = "accettazione nessuno"
	const delivery = "avvenuta-consegna nessuno " + comune
	tests := []struct {
		name    string
		rule    pectest.Rule
		advance time.Duration
		want    []string // in the sender's mailbox
		inside  []string // in the recipient's
	}{
		{"full", pectest.Rule{Fault: pectest.FaultFull, Recipient: comune}, 0, []string{acceptance, "errore-consegna altro " + comune + " 5.2.2"}, nil},
		{"full by quota", pectest.Rule{Fault: pectest.FaultQuota, Sender: comune, Bytes: 1000}, 0, []string{acceptance, "errore-consegna altro " + comune + " 5.2.2"}, nil},
		{"unknown", pectest.Rule{Fault: pectest.FaultUnknown, Recipient: "*@pec.beta.example"}, 0, []string{acceptance, "errore-consegna no-dest " + comune + " 5.1.1"}, nil},
		{"invalid", pectest.Rule{Fault: pectest.FaultInvalid}, 0, []string{acceptance, "errore-consegna altro " + comune + " 5.1.1"}, nil},
		{"no domain", pectest.Rule{Fault: pectest.FaultDomain}, 0, []string{acceptance, "errore-consegna no-dominio " + comune + " 5.1.2"}, nil},
		{"failed in words", pectest.Rule{Fault: pectest.FaultDelivery, Text: "5.7.1 - policy"}, 0, []string{acceptance, "errore-consegna altro " + comune + " 5.7.1"}, nil},
		{"other recipient", pectest.Rule{Fault: pectest.FaultFull, Recipient: sindaco}, 0, []string{acceptance, delivery}, []string{"envelope"}},
		{"malware on arrival", pectest.Rule{Fault: pectest.FaultVirusAtRecipient}, 48 * time.Hour, []string{acceptance, "errore-consegna virus " + comune + " EICAR-Test-File"}, nil},
		{"malware at submission", pectest.Rule{Fault: pectest.FaultVirusAtSender}, 0, []string{"non-accettazione virus EICAR-Test-File"}, nil},
		{"refused", pectest.Rule{Fault: pectest.FaultRefused, Text: "5.6.0 - no"}, 0, []string{"non-accettazione altro 5.6.0"}, nil},
		{"delivery late", pectest.Rule{Fault: pectest.FaultLate, Kind: pec.KindDelivery, Delay: pectest.Duration(time.Hour)}, 59 * time.Minute, []string{acceptance}, []string{"envelope"}},
		{"delivery late, then there", pectest.Rule{Fault: pectest.FaultLate, Kind: pec.KindDelivery, Delay: pectest.Duration(time.Hour)}, time.Hour, []string{acceptance, delivery}, []string{"envelope"}},
		{"delivery after 24 hours", pectest.Rule{Fault: pectest.FaultLate, Kind: pec.KindDelivery, Delay: pectest.Duration(25 * time.Hour)}, 26 * time.Hour,
			[]string{acceptance, "preavviso-errore-consegna altro " + comune + " 5.4.1", delivery}, []string{"envelope"}},
		{"delivery lost", pectest.Rule{Fault: pectest.FaultLost, Kind: pec.KindDelivery}, 24 * time.Hour,
			[]string{acceptance, "preavviso-errore-consegna altro " + comune + " 5.4.1"}, []string{"envelope"}},
		{"acceptance lost", pectest.Rule{Fault: pectest.FaultLost, Kind: pec.KindAcceptance}, 48 * time.Hour, []string{delivery}, []string{"envelope"}},
		{"doubled", pectest.Rule{Fault: pectest.FaultDoubled, Kind: pec.KindDelivery}, 0, []string{acceptance, delivery, delivery}, []string{"envelope"}},
		{"reordered", pectest.Rule{Fault: pectest.FaultReordered, Kind: pec.KindAcceptance}, 0, []string{delivery, acceptance}, []string{"envelope"}},
		{"taking in charge lost", pectest.Rule{Fault: pectest.FaultLost, Kind: pec.KindServerAcceptance}, 48 * time.Hour, []string{acceptance, delivery}, []string{"envelope"}},
		{"provider does nothing for 13 hours", pectest.Rule{Fault: pectest.FaultPause, Provider: "pec.beta.example", Until: pectest.Duration(13 * time.Hour)}, 48 * time.Hour,
			[]string{acceptance, "preavviso-errore-consegna altro " + comune + " 4.4.1", delivery}, []string{"envelope"}},
		{"provider does nothing for 30 hours", pectest.Rule{Fault: pectest.FaultPause, Provider: "pec.beta.example", Until: pectest.Duration(30 * time.Hour)}, 48 * time.Hour,
			[]string{acceptance, "preavviso-errore-consegna altro " + comune + " 4.4.1", "preavviso-errore-consegna altro " + comune + " 5.4.1", delivery}, []string{"envelope"}},
		{"forged", pectest.Rule{Fault: pectest.FaultForged, Kind: pec.KindDelivery}, 0, []string{acceptance, "refused untrusted-issuer"}, []string{"envelope"}},
		{"forged, then genuine", pectest.Rule{Fault: pectest.FaultForged, Kind: pec.KindDelivery, Also: true}, 0, []string{acceptance, "refused untrusted-issuer", delivery}, []string{"envelope"}},
		{"altered", pectest.Rule{Fault: pectest.FaultAltered, Kind: pec.KindDelivery}, 0, []string{acceptance, "refused content-altered"}, []string{"envelope"}},
		{"unsigned", pectest.Rule{Fault: pectest.FaultUnsigned, Kind: pec.KindDelivery}, 0, []string{acceptance, "refused not-signed"}, []string{"envelope"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{test.rule}})
			send(t, n, mail{id: "fault", to: []string{comune}})
			n.Advance(test.advance)
			wantInbox(t, n, studio, test.want...)
			wantInbox(t, n, comune, test.inside...)
		})
	}
}

func TestReplay(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultReplayed, Kind: pec.KindDelivery, Skip: 1}}})
	send(t, n, mail{id: "first", to: []string{comune}})
	send(t, n, mail{id: "second", to: []string{comune}})
	wantInbox(t, n, studio, "accettazione nessuno", "avvenuta-consegna nessuno "+comune,
		"accettazione nessuno", "refused header-contradiction")
}

// TestTimeoutInstants checks that the notices are dated as the rules want.
func TestTimeoutInstants(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultPause, Provider: "pec.beta.example"}}})
	send(t, n, mail{id: "timeout", to: []string{comune}})
	n.Advance(30 * time.Hour)
	var hours []float64
	for raw := range n.Messages(studio) {
		r, err := receipt.Verify(bytes.NewReader(raw), n.VerifyOptions())
		if err != nil {
			t.Fatal(err)
		}
		hours = append(hours, r.Data().Time.Sub(present).Hours())
	}
	if len(hours) != 3 || hours[0] != 0 || hours[1] != 12 || hours[2] < 22 || hours[2] > 24 {
		t.Errorf("certified after %v hours, want acceptance at 0, first notice at 12, second between 22 and 24", hours)
	}
}

func TestSummerTime(t *testing.T) {
	tests := []struct {
		name  string
		start time.Time
		want  string // the zone of acceptance and of the second notice
	}{
		{"into summer", time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), "+0100 +0200"},
		{"out of summer", time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC), "+0200 +0100"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := newNetwork(t, pectest.Config{Start: test.start, Scenario: pectest.Scenario{
				Rules: []pectest.Rule{{Fault: pectest.FaultLost, Kind: pec.KindDelivery}},
			}})
			send(t, n, mail{id: "summer", to: []string{comune}})
			n.Advance(24 * time.Hour)
			var zones []string
			for raw := range n.Messages(studio) {
				r, err := receipt.Verify(bytes.NewReader(raw), n.VerifyOptions())
				if err != nil {
					t.Fatal(err)
				}
				zones = append(zones, r.Data().Time.Format("-0700"))
			}
			if got := strings.Join(zones, " "); got != test.want {
				t.Errorf("zones %q, want %q", got, test.want)
			}
		})
	}
}

func TestOrdinaryMail(t *testing.T) {
	const reply = "From: " + privato + "\r\nTo: " + studio + "\r\nSubject: Re: x\r\nMessage-ID: <r@mail.example>\r\n\r\nHello.\r\n"
	submit := func(t *testing.T, n *pectest.Network) {
		t.Helper()
		if err := n.Submit(n.Account(privato), []string{studio}, strings.NewReader(reply)); err != nil {
			t.Fatal(err)
		}
		settle(t, n)
	}
	t.Run("wrapped", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{})
		submit(t, n)
		wantInbox(t, n, studio, "anomaly")
	})
	t.Run("refused", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{RefuseOrdinary: true})
		submit(t, n)
		wantInbox(t, n, studio)
		wantBounce(t, n, "Status: 5.7.1")
	})
	t.Run("malware", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{})
		m := mail{id: "infected", from: privato, to: []string{studio}, body: eicar}
		if err := n.Submit(n.Account(privato), m.to, bytes.NewReader(m.bytes())); err != nil {
			t.Fatal(err)
		}
		settle(t, n)
		wantInbox(t, n, studio)
		wantBounce(t, n, "Status: 5.7.1")
	})
	t.Run("bounce of an envelope", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{})
		send(t, n, mail{id: "bounce", to: []string{"nobody@nowhere.example"}})
		wantInbox(t, n, studio, "accettazione nessuno", "anomaly")
	})
}

// wantBounce checks that the ordinary host told its user of a refusal.
func wantBounce(t *testing.T, n *pectest.Network, status string) {
	t.Helper()
	for raw := range n.Messages(privato) {
		if bytes.Contains(raw, []byte(status)) && bytes.Contains(raw, []byte("multipart/report")) {
			return
		}
	}
	t.Errorf("no report with %q to the sender of ordinary mail\n%s", status, journal(n))
}

// TestSMTPFaults checks what the client sees of a fault, and what the network
// did.
func TestSMTPFaults(t *testing.T) {
	tests := []struct {
		name                         string
		rule                         pectest.Rule
		code                         int // of the reply; 0 for none
		submitted, accepted, refused int
	}{
		{"temporary at MAIL", pectest.Rule{Fault: pectest.FaultReply, Stage: pectest.StageMail}, 451, 0, 0, 0},
		{"permanent at RCPT", pectest.Rule{Fault: pectest.FaultReply, Stage: pectest.StageRcpt, Code: 550, Text: "5.1.1 no"}, 550, 0, 0, 0},
		{"temporary at the dot", pectest.Rule{Fault: pectest.FaultReply, Stage: pectest.StageDot, Code: 452}, 452, 1, 0, 1},
		{"throttled", pectest.Rule{Fault: pectest.FaultThrottle}, 550, 0, 0, 0},
		{"login refused", pectest.Rule{Fault: pectest.FaultLogin}, 535, 0, 0, 0},
		{"cut at once", pectest.Rule{Fault: pectest.FaultCut, Stage: pectest.StageConnect}, 0, 0, 0, 0},
		{"cut before DATA", pectest.Rule{Fault: pectest.FaultCut, Stage: pectest.StageRcpt}, 0, 0, 0, 0},
		{"cut in DATA", pectest.Rule{Fault: pectest.FaultCut, Stage: pectest.StageData, Bytes: 100}, 0, 0, 0, 0},
		{"cut after the dot, accepted", pectest.Rule{Fault: pectest.FaultCut, Stage: pectest.StageAccepted}, 0, 1, 1, 0},
		{"cut after the dot, dropped", pectest.Rule{Fault: pectest.FaultCut, Stage: pectest.StageDropped}, 0, 1, 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.rule.Times = 1
			n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{test.rule}})
			m := mail{id: "smtp", to: []string{comune}}
			err := n.Submit(n.Account(studio), m.to, bytes.NewReader(m.bytes()))
			var reply *smtp.SMTPError
			if errors.As(err, &reply) != (test.code != 0) || reply != nil && reply.Code != test.code || err == nil {
				t.Errorf("Submit: %v, want code %d", err, test.code)
			}
			settle(t, n)
			got := [3]int{count(n, ofKind(pectest.EventSubmitted)), count(n, ofKind(pectest.EventAccepted)), count(n, ofKind(pectest.EventRefused))}
			if want := [3]int{test.submitted, test.accepted, test.refused}; got != want {
				t.Errorf("submitted, accepted, refused = %v, want %v\n%s", got, want, journal(n))
			}
			if got := count(n, ofKind(pectest.EventDelivered)); got != test.accepted {
				t.Errorf("delivered %d times, want %d", got, test.accepted)
			}
			send(t, n, m) // the fault is over
		})
	}
}

// counting counts what is read.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// TestCutInTheMiddle cuts the connection after more bytes than the buffers between
// client and server can hold: the client gets that far, and no farther than them.
func TestCutInTheMiddle(t *testing.T) {
	const after, buffers = 12_000_000, 12_000_000
	n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultCut, Stage: pectest.StageData, Bytes: after}}})
	message := &counting{r: &repeated{strings.Repeat("x", 70) + "\r\n", 72 * 400_000}}
	if err := n.Submit(n.Account(studio), []string{comune}, message); err == nil {
		t.Error("Submit: no error, want one")
	}
	if message.n < after || message.n > after+buffers {
		t.Errorf("the client sent %d bytes, want between %d and %d", message.n, after, after+buffers)
	}
}

func TestProfileIsEnforced(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Profile: &pec.Profile{PerMinute: 2}})
	m := mail{id: "rate", to: []string{comune}}
	send(t, n, m)
	send(t, n, m)
	err := n.Submit(n.Account(studio), m.to, bytes.NewReader(m.bytes()))
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || !strings.Contains(reply.Message, "Too much traffic") {
		t.Errorf("third message in a minute: %v, want a refusal for too much traffic", err)
	}
	n.Advance(time.Minute)
	send(t, n, m)
}

// TestHourAndDay checks that the limits for longer times count too.
func TestHourAndDay(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Profile: &pec.Profile{PerHour: 2, PerDay: 3}})
	m := mail{id: "hour", to: []string{comune}}
	passes := func() bool { return n.Submit(n.Account(studio), m.to, bytes.NewReader(m.bytes())) == nil }
	for _, step := range []struct {
		later time.Duration
		want  []bool
	}{{0, []bool{true, true, false}}, {time.Hour, []bool{true, false}}, {23 * time.Hour, []bool{true}}} {
		n.Advance(step.later)
		for i, want := range step.want {
			if got := passes(); got != want {
				t.Errorf("%v later, message %d passes: %v, want %v", step.later, i+1, got, want)
			}
		}
	}
}

// TestRefusedBeforeTheEnd checks what gets no notice and no decision: what the
// provider refuses before it has the message.
func TestRefusedBeforeTheEnd(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{
		Profile: &pec.Profile{MaxTotalBytes: 10_000},
		Checks:  map[pectest.Check]pectest.Response{pectest.CheckSender: pectest.RespondSMTP},
	})
	stranger := n.Account(studio)
	stranger.Address = pec.MustParseAddress(vicino)
	tests := []struct {
		name string
		from pectest.Account
		body string
		code int
	}{
		{"sender that is not the account", stranger, "x\r\n", 553},
		{"more than any notice is sent for", n.Account(studio), strings.Repeat("0123456789\r\n", 2000), 552},
	}
	for _, test := range tests {
		m := mail{id: "early", to: []string{comune}, body: test.body}
		err := n.Submit(test.from, m.to, bytes.NewReader(m.bytes()))
		var refusal *smtp.SMTPError
		if !errors.As(err, &refusal) || refusal.Code != test.code {
			t.Errorf("%s: %v, want code %d", test.name, err, test.code)
		}
	}
	settle(t, n)
	if got := journal(n); got != "" {
		t.Errorf("the journal has\n%s\nwant nothing: nobody submitted anything", got)
	}
	wantInbox(t, n, studio)
}

// TestHeadTooLarge checks that a message that nobody can read is refused, and
// that the journal says so.
func TestHeadTooLarge(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	m := mail{id: "head", to: []string{comune}, header: strings.Repeat("X-Fill: "+strings.Repeat("x", 900)+"\r\n", 400)}
	var refusal *smtp.SMTPError
	if err := n.Submit(n.Account(studio), m.to, bytes.NewReader(m.bytes())); !errors.As(err, &refusal) || refusal.Code != 552 {
		t.Errorf("Submit: %v, want code 552", err)
	}
	if submitted, refused := count(n, ofKind(pectest.EventSubmitted)), count(n, ofKind(pectest.EventRefused)); submitted != 1 || refused != 1 {
		t.Errorf("submitted %d, refused %d, want once each\n%s", submitted, refused, journal(n))
	}
}

// TestPausedProvider has the sender's provider do nothing for five hours but
// answer: it takes what is submitted, and a mail program that asks hears nothing
// new. Then all that should have come comes.
func TestPausedProvider(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultPause, Provider: "pec.alfa.example", Until: pectest.Duration(5 * time.Hour)},
	}})
	c := dialIMAP(t, n, n.Account(studio))
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	send(t, n, mail{id: "paused", to: []string{comune}})
	exist := func() uint32 {
		t.Helper()
		if err := c.Noop().Wait(); err != nil {
			t.Fatalf("NOOP: %v", err)
		}
		return c.Mailbox().NumMessages
	}
	for hour := range 5 {
		if got := exist(); got != 0 {
			t.Errorf("after %d hours of pause the provider has %d messages, want none", hour, got)
		}
		n.Advance(time.Hour)
	}
	if got := exist(); got != 2 {
		t.Errorf("after the pause there are %d messages, want 2\n%s", got, journal(n))
	}
	wantInbox(t, n, studio, "accettazione nessuno", "avvenuta-consegna nessuno "+comune)
}

func TestLogins(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	a := n.Account(studio)
	for name, mechanism := range map[string]sasl.Client{
		"PLAIN": sasl.NewPlainClient("", a.User, a.Password),
		"LOGIN": sasl.NewLoginClient(a.User, a.Password),
	} {
		c, err := smtp.DialTLS(a.SMTP.Addr(), n.TLSConfig())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(mechanism); err != nil {
			t.Errorf("AUTH %s: %v", name, err)
		}
		c.Close()
	}
	a.Password = "wrong"
	var reply *smtp.SMTPError
	if err := n.Submit(a, []string{comune}, strings.NewReader("x")); !errors.As(err, &reply) || reply.Code != 535 {
		t.Errorf("wrong password: %v, want code 535", err)
	}
	other := n.Account(comune)
	other.SMTP = a.SMTP
	if err := n.Submit(other, []string{comune}, strings.NewReader("x")); !errors.As(err, &reply) || reply.Code != 535 {
		t.Errorf("account of another provider: %v, want code 535", err)
	}
}

func TestStartTLS(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	a := n.Account(comune)
	if a.SMTP.TLS != pectest.TLSStart {
		t.Fatalf("SMTP.TLS = %q, want %q", a.SMTP.TLS, pectest.TLSStart)
	}
	raw := strings.Replace(string(mail{id: "tls", to: []string{studio}}.bytes()), "<"+studio+">", "<"+comune+">", 1)
	if err := n.Submit(a, []string{studio}, strings.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	wantInbox(t, n, comune, "accettazione nessuno", "avvenuta-consegna nessuno "+studio)
}

// TestOtherProviders has three providers, one with a further domain, one that still
// signs with SHA-1, and another ordinary host.
func TestOtherProviders(t *testing.T) {
	old := pectest.OPEC()
	old.Digest = crypto.SHA1
	n := newNetwork(t, pectest.Config{OrdinaryDomain: "posta.example", Sites: []pectest.SiteConfig{
		{ProviderConfig: pectest.ProviderConfig{Name: "Uno S.p.A.", Domain: "pec.alfa.example", Domains: []string{"pec.cliente.example"}}},
		{ProviderConfig: pectest.ProviderConfig{Name: "Due S.p.A.", Domain: "pec.due.example", Dialect: old}},
		{ProviderConfig: pectest.ProviderConfig{Name: "Tre S.p.A.", Domain: "pec.tre.example", Dialect: pectest.JPEC(), ECDSA: true}},
	}})
	const cliente, due, tre = "a@pec.cliente.example", "b@pec.due.example", "c@pec.tre.example"
	for _, m := range []mail{
		{id: "one", from: cliente, to: []string{due, tre, "d@posta.example"}},
		{id: "two", from: due, to: []string{"e@PEC.Cliente.Example", tre}},
	} {
		if err := n.Submit(n.Account(m.from), m.to, bytes.NewReader(m.bytes())); err != nil {
			t.Fatal(err)
		}
		settle(t, n)
	}
	wantInAnyOrder(t, n, cliente, "accettazione nessuno", "avvenuta-consegna nessuno "+due, "avvenuta-consegna nessuno "+tre)
	wantInAnyOrder(t, n, due, "envelope", "accettazione nessuno", "avvenuta-consegna nessuno e@PEC.Cliente.Example", "avvenuta-consegna nessuno "+tre)
	wantInbox(t, n, "d@posta.example", "envelope")
	if a := n.Account(cliente); a.Provider != "pec.alfa.example" {
		t.Errorf("the provider of %s is %s, want the one that manages its domain", cliente, a.Provider)
	}
}

func dialIMAP(t testing.TB, n *pectest.Network, a pectest.Account) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(a.IMAP.Addr(), &imapclient.Options{TLSConfig: n.TLSConfig()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(a.User, a.Password).Wait(); err != nil {
		t.Fatalf("LOGIN: %v", err)
	}
	return c
}

func TestIMAP(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	send(t, n, mail{id: "imap", to: []string{comune}})
	c := dialIMAP(t, n, n.Account(studio))
	box, err := c.Select("inbox", nil).Wait()
	if err != nil || box.NumMessages != 2 {
		t.Fatalf("SELECT: %+v, %v, want 2 messages", box, err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{
		{Key: pec.HeaderReference, Value: "imap@pec.alfa.example"},
		{Key: pec.HeaderReceipt, Value: "avvenuta-consegna"},
	}}, nil).Wait()
	if err != nil || len(found.AllUIDs()) != 1 {
		t.Fatalf("SEARCH: %v, %v, want one UID", found, err)
	}
	section := &imap.FetchItemBodySection{Peek: true}
	fetched, err := c.Fetch(imap.UIDSetNum(found.AllUIDs()...), &imap.FetchOptions{
		Flags: true, RFC822Size: true, Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{section, {Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"X-Ricevuta"}, Peek: true}},
	}).Collect()
	if err != nil || len(fetched) != 1 {
		t.Fatalf("FETCH: %v, %v, want one message", fetched, err)
	}
	raw := fetched[0].FindBodySection(section)
	if r, err := receipt.Verify(bytes.NewReader(raw), n.VerifyOptions()); err != nil || r.Kind() != pec.KindDelivery {
		t.Errorf("Verify of what was fetched: %v, %v, want a delivery", r, err)
	}
	if len(fetched[0].Flags) != 0 || fetched[0].RFC822Size != int64(len(raw)) {
		t.Errorf("flags %v, size %d: want no flags, and the size %d", fetched[0].Flags, fetched[0].RFC822Size, len(raw))
	}
	checkFolders(t, c)
}

// TestIdle checks that a client learns of mail that came before it idles, and
// while it does.
func TestIdle(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	exist := make(chan uint32, 10)
	a := n.Account(comune)
	c, err := imapclient.DialTLS(a.IMAP.Addr(), &imapclient.Options{
		TLSConfig: n.TLSConfig(),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				exist <- *d.NumMessages
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(a.User, a.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	send(t, n, mail{id: "before", to: []string{comune}})
	if _, err := c.Idle(); err != nil {
		t.Fatal(err)
	}
	for want := uint32(1); want <= 2; want++ {
		select {
		case got := <-exist:
			if got != want {
				t.Errorf("the server says that %d messages exist, want %d", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("the server never said that %d messages exist", want)
		}
		send(t, n, mail{id: fmt.Sprint("while", want), to: []string{comune}})
	}
}

// checkFolders appends, moves, flags and expunges.
func checkFolders(t *testing.T, c *imapclient.Client) {
	t.Helper()
	w := c.Append("INBOX/Inviata", 4, nil)
	w.Write([]byte("A: b"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Wait(); err != nil {
		t.Fatalf("APPEND: %v", err)
	}
	if _, err := c.Move(imap.SeqSetNum(1), "INBOX/Inviata").Wait(); err != nil {
		t.Fatalf("MOVE: %v", err)
	}
	status, err := c.Status("INBOX/Inviata", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || *status.NumMessages != 2 {
		t.Errorf("STATUS: %+v, %v, want 2 messages", status, err)
	}
	if err := c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close(); err != nil {
		t.Fatalf("STORE: %v", err)
	}
	if _, err := c.Expunge().Collect(); err != nil {
		t.Fatalf("EXPUNGE: %v", err)
	}
	status, err = c.Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || *status.NumMessages != 0 {
		t.Errorf("STATUS: %+v, %v, want no message", status, err)
	}
	folders, err := c.List("", "*", nil).Collect()
	if err != nil || len(folders) != 2 {
		t.Errorf("LIST: %v, %v, want 2 folders", folders, err)
	}
}

// typed is what a server says to what somebody types.
func typed(t *testing.T, n *pectest.Network, e pectest.Endpoint, text string) string {
	t.Helper()
	c, err := tls.Dial("tcp", e.Addr(), n.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(c) // up to the end, whatever end that is
	return string(said)
}

func TestIMAPFaults(t *testing.T) {
	t.Run("literal cut short", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultIMAPCut, Bytes: 8000, Times: 1}}})
		send(t, n, mail{id: "cut", to: []string{comune}, body: strings.Repeat(strings.Repeat("x", 70)+"\r\n", 500)})
		a := n.Account(comune)
		fetch := func() string {
			// The client of go-imap has a data race when a literal is cut short.
			return typed(t, n, a.IMAP, fmt.Sprintf("a LOGIN %s %s\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd LOGOUT\r\n", a.User, a.Password))
		}
		if got := fetch(); !strings.Contains(got, "FETCH (UID 1 BODY[] {") || strings.Contains(got, "c OK") || len(got) > 10_000 {
			t.Errorf("FETCH gave %d bytes, want some of the message and then nothing:\n%s", len(got), got)
		}
		if got := fetch(); !strings.Contains(got, "c OK") {
			t.Errorf("second FETCH is not complete:\n%s", got)
		}
	})
	for _, stage := range []pectest.Stage{pectest.StageSelect, pectest.StageFetch} {
		t.Run("cut at "+string(stage), func(t *testing.T) {
			n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultIMAPCut, Stage: stage, Times: 1}}})
			send(t, n, mail{id: "cut", to: []string{comune}})
			a := n.Account(comune)
			commands := fmt.Sprintf("a LOGIN %s %s\r\nb SELECT INBOX\r\nc FETCH 1 FLAGS\r\nd LOGOUT\r\n", a.User, a.Password)
			last, next := "a OK", "b OK"
			if stage == pectest.StageFetch {
				last, next = "b OK", "c OK"
			}
			if got := typed(t, n, a.IMAP, commands); !strings.Contains(got, last) || strings.Contains(got, next) {
				t.Errorf("the server said %q, want nothing after %q", got, last)
			}
			if got := typed(t, n, a.IMAP, commands); !strings.Contains(got, "c OK") {
				t.Errorf("the second time the server said %q, want all of it", got)
			}
		})
		t.Run("slow at "+string(stage), func(t *testing.T) {
			const slow = 300 * time.Millisecond
			n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultIMAPSlow, Stage: stage, Delay: pectest.Duration(slow)}}})
			a := n.Account(comune)
			started := time.Now()
			got := typed(t, n, a.IMAP, fmt.Sprintf("a LOGIN %s %s\r\nb SELECT INBOX\r\nc FETCH 1:* FLAGS\r\nd LOGOUT\r\n", a.User, a.Password))
			if took := time.Since(started); !strings.Contains(got, "c OK") || took < slow {
				t.Errorf("after %v the server had said %q, want all of it after %v at least", took, got, slow)
			}
		})
	}
	t.Run("UIDVALIDITY", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultUIDValidity, Skip: 1, Times: 1}}})
		send(t, n, mail{id: "uid", to: []string{comune}})
		c := dialIMAP(t, n, n.Account(comune))
		first, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		second, err := c.Select("INBOX", nil).Wait()
		if err != nil || second.UIDValidity == first.UIDValidity || second.NumMessages != first.NumMessages {
			t.Errorf("SELECT: %+v, %v, want another UIDVALIDITY than %d and as many messages", second, err, first.UIDValidity)
		}
	})
	t.Run("quota", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultQuota, Sender: studio, Bytes: 10}}})
		c := dialIMAP(t, n, n.Account(studio))
		w := c.Append("INBOX", 20, nil)
		w.Write([]byte("A: b\r\n\r\n012345678901"))
		w.Close()
		var refusal *imap.Error
		if _, err := w.Wait(); !errors.As(err, &refusal) || refusal.Code != imap.ResponseCodeOverQuota {
			t.Errorf("APPEND: %v, want OVERQUOTA", err)
		}
	})
	t.Run("login", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultLogin, Stage: pectest.StageIMAP}}})
		a := n.Account(studio)
		c, err := imapclient.DialTLS(a.IMAP.Addr(), &imapclient.Options{TLSConfig: n.TLSConfig()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var refusal *imap.Error
		if err := c.Login(a.User, a.Password).Wait(); !errors.As(err, &refusal) || refusal.Code != imap.ResponseCodeAuthenticationFailed {
			t.Errorf("LOGIN: %v, want AUTHENTICATIONFAILED", err)
		}
	})
	t.Run("100,000 foreign messages", func(t *testing.T) {
		n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultForeign, Sender: studio, Count: 100_000}}})
		send(t, n, mail{id: "among", to: []string{comune}})
		c := dialIMAP(t, n, n.Account(studio))
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil || box.NumMessages != 100_002 {
			t.Fatalf("SELECT: %+v, %v, want 100,002 messages", box, err)
		}
		found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: pec.HeaderReference, Value: "among"}}}, nil).Wait()
		if err != nil || len(found.AllUIDs()) != 2 {
			t.Errorf("SEARCH: %v, %v, want two UIDs", found, err)
		}
	})
}

// TestCloseLeavesNothing closes a network in the midst of its work.
func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	n, err := pectest.Start(pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultSilent, Stage: pectest.StageDot, Skip: 20},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	a := n.Account(studio)
	m := mail{id: "close", to: []string{comune, vicino, privato}}
	for range 20 {
		if err := n.Submit(a, m.to, bytes.NewReader(m.bytes())); err != nil {
			t.Fatal(err)
		}
	}
	silenced := make(chan error)
	go func() { silenced <- n.Submit(a, m.to, bytes.NewReader(m.bytes())) }()
	idle := dialIMAP(t, n, a)
	if _, err := idle.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Idle(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-silenced; err == nil {
		t.Error("the submission that got no reply: no error, want one")
	}
	idle.Close()
	for _, e := range []pectest.Endpoint{a.SMTP, a.IMAP} {
		if c, err := smtp.Dial(e.Addr()); err == nil {
			c.Close()
			t.Errorf("port %d is still open", e.Port)
		}
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// TestLargeMessage takes 30 MB all the way and back, and watches the memory.
func TestLargeMessage(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("large")
	}
	n := newTestNetwork(t, pectest.Scenario{})
	u := watch(t)
	line := strings.Repeat("0123456789ABCDEF", 4) + "\r\n"
	head := "From: " + studio + "\r\nTo: " + comune + "\r\nSubject: x\r\nMessage-ID: <large@pec.alfa.example>\r\n\r\n"
	err := n.Submit(n.Account(studio), []string{comune}, io.MultiReader(strings.NewReader(head), &repeated{line, 30_000_000 / 66 * 66}))
	if err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	u.check(t)
	if got := count(n, ofKind(pectest.EventDelivered)); got != 1 {
		t.Errorf("delivered %d times, want once\n%s", got, journal(n))
	}
	c := dialIMAP(t, n, n.Account(studio))
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	sizes, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 2}}, &imap.FetchOptions{RFC822Size: true}).Collect()
	if err != nil || len(sizes) != 2 || sizes[1].RFC822Size < 30_000_000 {
		t.Errorf("FETCH: %+v, %v, want the second message of 30 MB", sizes, err)
	}
}
