package pectest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
)

func TestReadScenario(t *testing.T) {
	const text = `{"seed": 7, "profile": {"perMinute": 6}, "checks": {"bcc": "smtp"}, "refuseOrdinary": true, "rules": [
		{"fault": "mailbox-full", "recipient": "pieno@pec.beta.example"},
		{"fault": "receipt-late", "kind": "avvenuta-consegna", "probability": 0.1, "delay": "25h"},
		{"fault": "smtp-cut", "stage": "accepted", "skip": 10, "times": 1}]}`
	s, err := pectest.ReadScenario(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if s.Seed != 7 || s.Profile.PerMinute != 6 || s.Checks[pectest.CheckBcc] != pectest.RespondSMTP || !s.RefuseOrdinary || len(s.Rules) != 3 {
		t.Errorf("ReadScenario = %+v, want what the text says", s)
	}
	want := pectest.Rule{Fault: pectest.FaultLate, Kind: pec.KindDelivery, Probability: 0.1, Delay: pectest.Duration(25 * time.Hour)}
	if s.Rules[1] != want {
		t.Errorf("rule 2 = %+v, want %+v", s.Rules[1], want)
	}
	again, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := pectest.ReadScenario(bytes.NewReader(again))
	if err != nil || !slices.Equal(back.Rules, s.Rules) {
		t.Errorf("written and read again: %+v, %v, want %+v", back.Rules, err, s.Rules)
	}
}

func TestReadScenarioRefuses(t *testing.T) {
	tests := []struct{ name, text string }{
		{"no JSON", `seed: 7`},
		{"unknown field", `{"sede": 7}`},
		{"unknown fault", `{"rules": [{"fault": "mailbox-empty"}]}`},
		{"fault at a stage where it can't occur", `{"rules": [{"fault": "throttle", "stage": "data"}]}`},
		{"probability above 1", `{"rules": [{"fault": "receipt-lost", "probability": 2}]}`},
		{"negative number", `{"rules": [{"fault": "receipt-lost", "skip": -1}]}`},
		{"text after the end", `{"rules": []} {}`},
		{"ends too early", `{"rules": [`},
		{"kind that is none", `{"rules": [{"fault": "receipt-lost", "kind": "consegna"}]}`},
		{"kind that is no receipt", `{"rules": [{"fault": "receipt-lost", "kind": "posta-certificata"}]}`},
		{"kind of what has none", `{"rules": [{"fault": "mailbox-full", "kind": "accettazione"}]}`},
		{"recipient that is no address", `{"rules": [{"fault": "mailbox-full", "recipient": "comune"}]}`},
		{"recipient where none is known", `{"rules": [{"fault": "smtp-cut", "stage": "mail", "recipient": "a@b.example"}]}`},
		{"sender where none is known", `{"rules": [{"fault": "smtp-cut", "stage": "connect", "sender": "a@b.example"}]}`},
		{"late by nothing", `{"rules": [{"fault": "receipt-late"}]}`},
		{"quota of nothing", `{"rules": [{"fault": "quota"}]}`},
		{"over before it begins", `{"rules": [{"fault": "mailbox-full", "from": "2h", "until": "1h"}]}`},
		{"bytes where none are counted", `{"rules": [{"fault": "smtp-cut", "bytes": 5}]}`},
		{"reply that refuses nothing", `{"rules": [{"fault": "smtp-reply", "code": 250}]}`},
		{"duration without unit", `{"rules": [{"fault": "receipt-late", "delay": "25"}]}`},
		{"unknown check", `{"checks": {"spelling": "smtp"}}`},
		{"unknown response", `{"checks": {"bcc": "maybe"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if s, err := pectest.ReadScenario(strings.NewReader(test.text)); err == nil {
				t.Errorf("ReadScenario(%s) = %+v, want an error", test.text, s)
			}
		})
	}
}

// TestReadScenarioSaysWhere checks that who wrote the file finds the mistake.
func TestReadScenarioSaysWhere(t *testing.T) {
	tests := []struct{ text, want string }{
		{"{\"rules\": [\n {\"fault\": \"mailbox-full\",}]}", "line 2: invalid character '}'"},
		{"{\"seed\": 7,\n\"rules\": [{\"fault\": \"throttle\"},\n {\"fault\": \"mailbox-fulll\"}]}", `line 3: rule 2: no fault "mailbox-fulll"`},
		{"{\"rules\": [\n\n {\"fault\": \"throttle\", \"recipent\": \"x\"}]}", `line 3: rule 1: json: unknown field "recipent"`},
		{"{\"rules\": [{\"fault\": \"receipt-late\", \"delay\": \"1 day\"}]}", `line 1: rule 1: time: unknown unit " day"`},
		{`{"checks": {"bcc": "maybe"}}`, `check "bcc": no response "maybe"`},
		{"{\n\"rules\": [\n", "line 3: the text ends too early"},
		{"{}\n{}", "line 2: more text after the end"},
	}
	for _, test := range tests {
		if _, err := pectest.ReadScenario(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ReadScenario(%q): %v, want %q", test.text, err, test.want)
		}
	}
}

func TestSkipAndTimes(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{
		{Fault: pectest.FaultFull, Skip: 1, Times: 2, From: pectest.Duration(time.Hour), Until: pectest.Duration(2 * time.Hour)},
	}})
	deliveries := func() string {
		var s string
		for i := range 4 {
			before := count(n, ofKind(pectest.EventDelivered))
			send(t, n, mail{id: fmt.Sprint("times", i), to: []string{comune}})
			s += fmt.Sprint(count(n, ofKind(pectest.EventDelivered)) - before)
		}
		return s
	}
	for _, want := range []string{"1111", "1001", "1111"} {
		if got := deliveries(); got != want {
			t.Errorf("at %v deliveries succeed %s, want %s", n.Now().Sub(present), got, want)
		}
		n.Advance(time.Hour)
	}
}

// TestAdd changes the scenario of a network that is running.
func TestAdd(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	send(t, n, mail{id: "before", to: []string{comune}})
	if err := n.Add(pectest.Rule{Fault: pectest.FaultFull, Recipient: comune, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if err := n.Add(pectest.Rule{Fault: pectest.FaultForeign, Sender: vicino, Count: 3}); err != nil {
		t.Fatal(err)
	}
	send(t, n, mail{id: "full", to: []string{comune}})
	send(t, n, mail{id: "after", to: []string{comune}})
	wantInbox(t, n, comune, "envelope", "envelope")
	if got := len(messages(n, vicino)); got != 3 {
		t.Errorf("%d foreign messages, want 3", got)
	}
	for _, r := range []pectest.Rule{{Fault: "none"}, {Fault: pectest.FaultFull, Provider: "pec.gamma.example"}} {
		if err := n.Add(r); err == nil {
			t.Errorf("Add(%+v): no error, want one", r)
		}
	}
}

// TestChance checks that what happens by chance depends on the seed, and happens
// about as often as it should.
func TestChance(t *testing.T) {
	failures := func(seed uint64) []string {
		n := newNetwork(t, pectest.Config{Sites: fastSites(), Scenario: pectest.Scenario{
			Seed: seed, Rules: []pectest.Rule{{Fault: pectest.FaultFull, Probability: 0.3}},
		}})
		var to []string
		for i := range 100 {
			to = append(to, fmt.Sprintf("u%d@pec.beta.example", i))
		}
		send(t, n, mail{id: "chance", to: to})
		var failed []string
		for e := range n.Events() {
			if e.Event == pectest.EventFailed {
				failed = append(failed, e.To[0])
			}
		}
		slices.Sort(failed)
		return failed
	}
	first, again, other := failures(1), failures(1), failures(2)
	if !slices.Equal(first, again) {
		t.Errorf("with one seed these failed: %v, and then %v", first, again)
	}
	if slices.Equal(first, other) {
		t.Errorf("with two seeds the same failed: %v", first)
	}
	if len(first) < 15 || len(first) > 45 {
		t.Errorf("%d of 100 failed, want about 30", len(first))
	}
}

// TestChanceIsAskedAgain checks that what chance decides about one message to
// somebody does not hold for the next.
func TestChanceIsAskedAgain(t *testing.T) {
	n := newNetwork(t, pectest.Config{Sites: fastSites(), Scenario: pectest.Scenario{
		Rules: []pectest.Rule{{Fault: pectest.FaultFull, Probability: 0.5}},
	}})
	const total = 12
	for i := range total {
		send(t, n, mail{id: fmt.Sprint("again", i), to: []string{comune}})
	}
	if got := count(n, ofKind(pectest.EventFailed)); got == 0 || got == total {
		t.Errorf("%d of %d deliveries to one recipient failed, want some of them", got, total)
	}
}

// TestSlowAndSilent has servers that answer late, or not at all, at each stage of
// the dialogue.
func TestSlowAndSilent(t *testing.T) {
	const slow = 300 * time.Millisecond
	for _, stage := range []pectest.Stage{pectest.StageConnect, pectest.StageAuth, pectest.StageMail, pectest.StageRcpt, pectest.StageData, pectest.StageDot} {
		t.Run("slow/"+string(stage), func(t *testing.T) {
			t.Parallel()
			n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{
				{Fault: pectest.FaultSlow, Stage: stage, Delay: pectest.Duration(slow), Times: 1},
			}})
			started := time.Now()
			send(t, n, mail{id: "slow", to: []string{comune}})
			if took := time.Since(started); took < slow {
				t.Errorf("submitted in %v, want at least %v", took, slow)
			}
		})
		t.Run("silent/"+string(stage), func(t *testing.T) {
			t.Parallel()
			n := newTestNetwork(t, pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultSilent, Stage: stage, Times: 1}}})
			m := mail{id: "silent", to: []string{comune}}
			ended := make(chan error, 1)
			go func() { ended <- n.Submit(n.Account(studio), m.to, bytes.NewReader(m.bytes())) }()
			select {
			case err := <-ended:
				t.Errorf("Submit ended: %v, want silence", err)
			case <-time.After(200 * time.Millisecond):
			}
			n.Close()
			if err := <-ended; err == nil {
				t.Error("Submit: no error, want one")
			}
		})
	}
}

// TestReadingOfTheClock compares what another process computes with the clock.
func TestReadingOfTheClock(t *testing.T) {
	n := pectest.New(t, pectest.Config{Start: present, Speed: 3600})
	r := n.Clock()
	if off := n.Now().Sub(r.At(time.Now())).Abs(); off > time.Hour {
		t.Errorf("the computed present is %v off, want less than a second of real time", off)
	}
	if n.Now().Before(present) {
		t.Errorf("Now() = %v, which is before the start", n.Now())
	}
}

// TestListensWhereAsked checks that the ports are open on the address that was
// asked for, and on no other.
func TestListensWhereAsked(t *testing.T) {
	n := pectest.New(t, pectest.Config{Host: "127.0.0.2", Start: present, Frozen: true})
	a := n.Account(studio)
	if a.SMTP.Host != "127.0.0.2" || a.IMAP.Host != "127.0.0.2" {
		t.Fatalf("the account is at %s and %s, want 127.0.0.2", a.SMTP.Host, a.IMAP.Host)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", a.SMTP.Port)); err == nil {
		c.Close()
		t.Error("the port is open on another address too")
	}
	send(t, n, mail{id: "host", to: []string{comune}})
	wantInbox(t, n, comune, "envelope")
}

func TestStartRefuses(t *testing.T) {
	tests := []struct {
		name   string
		config pectest.Config
	}{
		{"address that is not ours", pectest.Config{Host: "192.0.2.1"}},
		{"bad rule", pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{{Fault: "none"}}}}},
		{"provider without name", pectest.Config{Sites: []pectest.SiteConfig{{}}}},
		{"provider that is not there", pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultFull, Provider: "pec.gamma.example"}}}}},
		{"foreign mail for nobody", pectest.Config{Scenario: pectest.Scenario{Rules: []pectest.Rule{{Fault: pectest.FaultForeign, Count: 1}}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := pectest.Start(test.config)
			if err == nil {
				n.Close()
				t.Error("Start: no error, want one")
			}
		})
	}
}

// TestForgedByMail has an ordinary host send what looks like a receipt: the
// provider wraps it as ordinary mail.
func TestForgedByMail(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	evil := newProvider(t, newAuthority(t), pectest.ProviderConfig{Name: "Gestore Beta S.r.l.", Domain: "pec.beta.example"})
	d := dataOf(pec.KindDelivery)
	raw := compose(t, evil, pectest.Message{Data: d})
	if err := n.Submit(n.Account(privato), []string{studio}, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	wantInbox(t, n, studio, "anomaly")
}

// TestWithinOneProvider checks that nothing is skipped for the mail of one domain.
func TestWithinOneProvider(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	send(t, n, mail{id: "own", to: []string{studio}})
	wantInAnyOrder(t, n, studio, "accettazione nessuno", "avvenuta-consegna nessuno "+studio, "envelope")
	wantInbox(t, n, "ricevute@pec.alfa.example", "presa-in-carico nessuno")
}

func TestSettleEndsWithItsContext(t *testing.T) {
	n := newTestNetwork(t, pectest.Scenario{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Settle(ctx); err != nil {
		t.Errorf("Settle of an idle network: %v, want no error", err)
	}
}
