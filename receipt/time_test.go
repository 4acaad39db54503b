package receipt_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// TestTimes sets certified time, signing time, arrival and present against each
// other. Threat model, rule 16.
func TestTimes(t *testing.T) {
	const day = 24 * time.Hour
	future := refusal{receipt.Rejected, receipt.CodeFuture, "signed part"}
	apart := refusal{receipt.Rejected, receipt.CodeSigningTime, "signed part"}
	tests := []struct {
		name    string
		signing time.Duration // after the certified instant
		present time.Duration
		arrival time.Duration // noArrival for none
		want    refusal
		remarks string
	}{
		{name: "all at once"},
		{name: "signed a second later", signing: time.Second},
		{name: "signed five minutes later", signing: 5 * time.Minute},
		{name: "signed five minutes before", signing: -5 * time.Minute},
		{name: "signed more than five minutes later", signing: 5*time.Minute + time.Second, remarks: "signing-time"},
		{name: "signed more than five minutes before", signing: -5*time.Minute - time.Second, remarks: "signing-time"},
		{name: "signed three days later", signing: 3 * day, present: 3 * day, arrival: 3 * day, remarks: "signing-time"},
		{name: "signed three days before", signing: -3 * day, remarks: "signing-time"},
		{name: "signed more than three days later", signing: 3*day + time.Second, present: 4 * day, arrival: 4 * day, want: apart},
		{name: "signed more than three days before", signing: -3*day - time.Second, want: apart},
		{name: "an hour in the future", present: -time.Hour},
		{name: "more than an hour in the future", present: -time.Hour - time.Second, want: future},
		{name: "signed more than an hour in the future", signing: time.Hour + time.Second, want: future},
		{name: "signed an hour in the future", signing: time.Hour, remarks: "signing-time"},
		{name: "years later, at its own time", present: 2000 * day, arrival: noArrival, remarks: "time-claimed"},
		{name: "years later, when it arrived", present: 2000 * day},
		{name: "arrived after the certificate's end", present: 2000 * day, arrival: 1999 * day,
			want: refusal{receipt.Rejected, "certificate-not-valid-then", "certificate"}},
		{name: "arrived half an hour before it was made", present: day, arrival: -30 * time.Minute},
		{name: "arrived more than an hour before it was made", present: day, arrival: -time.Hour - time.Second, want: future},
	}
	for _, dialect := range dialectNames {
		n := sharedNetwork(t, dialect)
		for _, test := range tests {
			for _, c := range allCases() {
				t.Run(dialect+"/"+test.name+"/"+c.name, func(t *testing.T) {
					if c.kind == pec.KindAnomaly && test.signing != 0 {
						t.Skip("an anomaly envelope certifies no time")
					}
					raw := n.forge(t, c, n.issuer(c), &pectest.Tamper{SigningTime: certified.Add(test.signing)})
					opts := n.options()
					opts.Now = func() time.Time { return certified.Add(test.present) }
					opts.At = certified.Add(test.arrival)
					basis := receipt.TimeArrival
					if test.arrival == noArrival {
						opts.At, basis = time.Time{}, receipt.TimeClaimed
					}
					m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
					if test.want != (refusal{}) {
						wantRefusal(t, m, err, test.want)
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := remarkCodes(m); got != test.remarks {
						t.Errorf("remarks %q, want %q", got, test.remarks)
					}
					if m.TimeBasis() != basis {
						t.Errorf("TimeBasis() = %q, want %q", m.TimeBasis(), basis)
					}
					if got := m.Signer().SigningTime; !got.Equal(certified.Add(test.signing)) {
						t.Errorf("SigningTime = %s, want that of the signature", got)
					}
				})
			}
		}
	}
}

const noArrival = time.Duration(-1 << 63)

// TestSignedOutsideOfCertificate checks that the signing time, too, must lie in
// the life of the certificate.
func TestSignedOutsideOfCertificate(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	end := n.alfa.Certificate().NotAfter
	c := caseOf(t, "acceptance")
	c.edit = func(d *pec.CertData) { d.Time = pectest.Rome(end) }
	opts := n.options()
	opts.At, opts.Now = time.Time{}, func() time.Time { return end.AddDate(1, 0, 0) }
	for _, test := range []struct {
		signing time.Time
		good    bool
	}{{end, true}, {end.Add(time.Second), false}} {
		raw := n.forge(t, c, n.alfa, &pectest.Tamper{SigningTime: test.signing})
		m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
		if test.good {
			if err != nil {
				t.Errorf("signed in the last second of the certificate: %v, want it verified", err)
			}
			continue
		}
		wantRefusal(t, m, err, refusal{receipt.Rejected, "certificate-not-valid-then", "certificate"})
	}
}

// TestClockOfTheMachine verifies with the zero Options.Now.
func TestClockOfTheMachine(t *testing.T) {
	a, err := pectest.NewAuthority(pectest.AuthorityConfig{})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{authority: a}
	n.alfa = n.provider(t, pectest.ProviderConfig{ECDSA: true}, "Gestore Alfa S.p.A.", "pec.alfa.example")
	for _, test := range []struct {
		at   time.Time
		good bool
	}{{time.Now().Add(-time.Minute), true}, {time.Now().Add(2 * time.Hour), false}} {
		d := n.data(pec.KindAcceptance)
		d.Time = test.at.Truncate(time.Second)
		var raw bytes.Buffer
		if err := n.alfa.Compose(&raw, pectest.Message{Data: d}); err != nil {
			t.Fatal(err)
		}
		_, err := receipt.VerifyMessage(&raw, receipt.Options{Trust: a.Trust()})
		if (err == nil) != test.good {
			t.Errorf("certified at %s: %v, want it verified: %v", test.at, err, test.good)
		}
	}
}
