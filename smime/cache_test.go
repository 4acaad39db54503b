package smime

// In the package itself: what a Trust remembers does not show from outside.

import (
	"testing"

	"github.com/ceralacca/go-pec/internal/testpki"
)

func TestCacheIsBounded(t *testing.T) {
	ca := testpki.Authority(t, "p256 authority", nil)
	anchor, err := AnchorFromCertificate(ca.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := NewTrust([]Anchor{anchor})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for range maxKnown + 10 {
		i, err := trust.lookUp(ca.Issue(t, "p256", nil).Raw)
		if err != nil {
			t.Fatal(err)
		}
		trust.findAnchors(i, &keyBudget{left: maxKeyOperations})
		most = max(most, len(trust.known))
	}
	if most != maxKnown {
		t.Errorf("%d certificates remembered, want at most %d", most, maxKnown)
	}

	// What anybody can make by the thousand is not remembered at all.
	rogue := testpki.Authority(t, "p256 rogue", nil)
	before := len(trust.known)
	i, err := trust.lookUp(rogue.Issue(t, "p256", nil).Raw)
	if err != nil {
		t.Fatal(err)
	}
	trust.findAnchors(i, &keyBudget{left: maxKeyOperations})
	if len(trust.known) != before {
		t.Error("a certificate that no anchor issued is remembered")
	}
	// A certificate that is remembered is not parsed again.
	der := ca.Issue(t, "p256", nil).Raw
	first, err := trust.lookUp(der)
	if err != nil {
		t.Fatal(err)
	}
	trust.findAnchors(first, &keyBudget{left: maxKeyOperations})
	if second, err := trust.lookUp(der); err != nil || second != first {
		t.Errorf("lookUp again = %p, %v, want %p", second, err, first)
	}
}
