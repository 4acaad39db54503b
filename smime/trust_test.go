package smime_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

func anchor(t testing.TB, ca *testpki.Certificate) smime.Anchor {
	t.Helper()
	a, err := smime.AnchorFromCertificate(ca.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSignature(t *testing.T) {
	w := newWorld(t)
	sig, err := verify(signed(t, w.leaf).bytes(), w.now())
	if err != nil {
		t.Fatal(err)
	}
	if !sig.Certificate().Equal(w.leaf.Certificate) {
		t.Error("Certificate is not the signer's")
	}
	if got := sig.Anchor(); got != "Autorità di prova" {
		t.Errorf("Anchor = %q", got)
	}
	if !sig.Time().Equal(testpki.Now) || sig.Digest() != crypto.SHA256 || sig.Legacy() || sig.Revocation() != smime.RevocationUnchecked {
		t.Errorf("Signature = %+v", sig)
	}
	for _, c := range []struct {
		at   time.Time
		want smime.Reason
	}{
		{testpki.NotBefore, ""}, {testpki.NotAfter, ""},
		{testpki.NotBefore.Add(-time.Second), smime.ReasonExpired}, {testpki.NotAfter.Add(time.Second), smime.ReasonExpired},
	} {
		wantReason(t, sig.CheckAt(c.at), c.want)
	}
}

// Without a time, the certificate must be good now.
func TestTimeIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := signed(t, w.leaf).bytes()
		time.Sleep(time.Until(testpki.NotAfter)) // from the year 2000, in no time
		sig, err := verify(m, smime.VerifyOptions{Trust: w.trust})
		wantReason(t, err, "")
		if sig != nil && !sig.Time().Equal(testpki.NotAfter) {
			t.Errorf("Time = %v, want now, %v", sig.Time(), testpki.NotAfter)
		}
		time.Sleep(time.Second)
		_, err = verify(m, smime.VerifyOptions{Trust: w.trust})
		wantReason(t, err, smime.ReasonExpired)
	})
}

func TestAnchors(t *testing.T) {
	w := newWorld(t)
	m := signed(t, w.leaf).bytes()
	whole := anchor(t, w.ca)
	with := func(change func(*smime.Anchor)) smime.Anchor {
		a := whole
		change(&a)
		return a
	}
	other := anchor(t, testpki.Authority(t, "p256 other authority", nil)) // same name, another key
	before := with(func(a *smime.Anchor) { a.Name, a.NotAfter = "before", testpki.Now.Add(-time.Second) })
	after := with(func(a *smime.Anchor) { a.Name, a.NotBefore = "after", testpki.Now.Add(time.Second) })
	elsewhere := with(func(a *smime.Anchor) {
		a.Name, a.Constraints = "elsewhere", &smime.Constraints{Mail: []string{"pec.beta.example"}}
	})
	for _, c := range []struct {
		name    string
		anchors []smime.Anchor
		want    smime.Reason
		anchor  string
		why     string
	}{
		{"the issuer", []smime.Anchor{whole}, "", whole.Name, "it issued the certificate"},
		{"the issuer among others", []smime.Anchor{other, before, whole}, "", whole.Name, "any may vouch"},
		{"another key", []smime.Anchor{other}, smime.ReasonIssuer, "", "the name alone is nothing"},
		{"before its years", []smime.Anchor{after}, smime.ReasonExpired, "", "it counts from later on"},
		{"after its years", []smime.Anchor{before}, smime.ReasonExpired, "", "it no longer counts"},
		{"its last second", []smime.Anchor{with(func(a *smime.Anchor) { a.NotAfter = testpki.Now })}, "", whole.Name, "that is within"},
		{"its first second", []smime.Anchor{with(func(a *smime.Anchor) { a.NotBefore = testpki.Now })}, "", whole.Name, "that is within"},
		{"no years", []smime.Anchor{with(func(a *smime.Anchor) { a.NotBefore, a.NotAfter = time.Time{}, time.Time{} })}, smime.ReasonExpired, "", "forgetting them fails closed"},
		{"two of one key, neither then", []smime.Anchor{before, after}, smime.ReasonExpired, "", "they don't add up"},
		{"two of one key, one then", []smime.Anchor{before, whole, after}, "", whole.Name, "re-issues"},
		{"two of one key, one for elsewhere", []smime.Anchor{elsewhere, whole}, "", whole.Name, "re-issues differ in their constraints"},
		{"one for elsewhere, one too late", []smime.Anchor{elsewhere, after}, smime.ReasonConstraints, "", "neither will do"},
		{"name in other bytes", []smime.Anchor{with(func(a *smime.Anchor) { a.Subject = bytes.ToUpper(a.Subject) })}, smime.ReasonIssuer, "", "compared byte for byte"},
		{"no name", []smime.Anchor{with(func(a *smime.Anchor) { a.Subject = nil })}, smime.ReasonIssuer, "", "forgetting it fails closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			trust := mustTrust(t, c.anchors)
			for range 2 { // the second time from the cache
				sig, err := verify(m, smime.VerifyOptions{Trust: trust, Time: testpki.Now})
				t.Logf("%s: %v", c.why, err)
				wantReason(t, err, c.want)
				if sig != nil && sig.Anchor() != c.anchor {
					t.Errorf("Anchor = %q, want %q", sig.Anchor(), c.anchor)
				}
			}
			if got := len(trust.Anchors()); got != len(c.anchors) {
				t.Errorf("%d anchors, want %d", got, len(c.anchors))
			}
		})
	}
}

// No certificate in a message adds to what is trusted.
func TestMessageExtendsNoTrust(t *testing.T) {
	w := newWorld(t)
	asCA := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		c.Subject.CommonName = "Autorità intermedia"
	}
	intermediate := w.ca.Issue(t, "p256 intermediate", asCA)
	rogue := testpki.Authority(t, "p256 rogue", nil) // of the same name as w.ca
	// The anchor's own key, wrapped by somebody else with longer years.
	wrapped := rogue.Issue(t, "p256 authority", func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = w.ca.Subject, true, true, x509.KeyUsageCertSign
		c.NotBefore, c.NotAfter = date(2000, 1, 1), date(2099, 1, 1)
	})
	long := w.ca.Issue(t, "p256", func(c *x509.Certificate) { c.NotAfter = date(2099, 1, 1) })
	message := func(leaf *testpki.Certificate, bag ...*testpki.Certificate) []byte {
		d := testpki.SignedData{Certificates: [][]byte{leaf.Raw}, Signers: [][]byte{signer(leaf).Encode(t)}}
		for _, c := range bag {
			d.Certificates = append(d.Certificates, c.Raw)
		}
		return newMessage(d.Encode()).bytes()
	}
	for _, c := range []struct {
		name string
		m    []byte
		at   time.Time
		want smime.Reason
		why  string
	}{
		{"authority goes along", message(w.leaf, w.ca), testpki.Now, "", "it does no harm"},
		{"leaf alone", message(w.leaf), testpki.Now, "", "nor does its absence"},
		{"intermediate", message(intermediate.Issue(t, "p256", nil), intermediate), testpki.Now, smime.ReasonIssuer, "trust is direct"},
		{"authority of its own", message(rogue.Issue(t, "p256", nil), rogue), testpki.Now, smime.ReasonIssuer, "it vouches for itself"},
		{"anchor's key in another certificate", message(long, wrapped), date(2030, 1, 1), smime.ReasonExpired, "the anchor's years count, not those"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := verify(c.m, smime.VerifyOptions{Trust: w.trust, Time: c.at})
			t.Logf("%s: %v", c.why, err)
			wantReason(t, err, c.want)
		})
	}
	// Unless the caller says so.
	_, err := verify(message(intermediate.Issue(t, "p256", nil)), smime.VerifyOptions{Trust: trustIn(t, w.ca, intermediate), Time: testpki.Now})
	wantReason(t, err, "")
}

func TestLegacy(t *testing.T) {
	ca := testpki.Authority(t, "rsa2048 authority", nil)
	trust := trustIn(t, ca)
	withSHA1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	ecCA := testpki.Authority(t, "p256 authority", nil)
	for _, c := range []struct {
		name   string
		leaf   *testpki.Certificate
		trust  *smime.Trust
		before time.Time
		want   smime.Reason
		legacy bool
		why    string
	}{
		{"SHA-1", ca.Issue(t, "p256", withSHA1), trust, time.Time{}, smime.ReasonLegacy, false, "off by default"},
		{"SHA-1, allowed until later", ca.Issue(t, "p256", withSHA1), trust, testpki.Now.Add(1), "", true, "DigitPA CA1 did that"},
		{"SHA-1, allowed until now", ca.Issue(t, "p256", withSHA1), trust, testpki.Now, smime.ReasonLegacy, false, "before, not at"},
		{"RSA-1024", ca.Issue(t, "rsa1024", nil), trust, time.Time{}, smime.ReasonLegacy, false, "off by default"},
		{"RSA-1024, allowed until later", ca.Issue(t, "rsa1024", nil), trust, testpki.Now.Add(1), "", true, "certificates of 2014"},
		{"RSA-1024, allowed until now", ca.Issue(t, "rsa1024", nil), trust, testpki.Now, smime.ReasonLegacy, false, "before, not at"},
		{"both", ca.Issue(t, "rsa1024", withSHA1), trust, testpki.Now.Add(1), "", true, "certificates of 2014"},
		{"SHA-256", ca.Issue(t, "p256", nil), trust, testpki.Now.Add(1), "", false, "not a legacy certificate"},
		{"PSS", ca.Issue(t, "p256", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSAPSS }), trust, time.Time{}, "", false, "as good"},
		{"ECDSA with SHA-1", ecCA.Issue(t, "p256", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }),
			trustIn(t, ecCA), testpki.Now.Add(1), smime.ReasonIssuer, false, "no authority of old used it"},
		{"SHA-1 by another", testpki.Authority(t, "rsa2048 other authority", nil).Issue(t, "p256", withSHA1), trust, testpki.Now.Add(1), smime.ReasonIssuer, false, "same name, another key"},
		{"RSA with SHA-1 under an ECDSA anchor", ca.Issue(t, "p256", withSHA1), trustIn(t, ecCA), testpki.Now.Add(1), smime.ReasonIssuer, false, "same name, another key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := signed(t, c.leaf).bytes()
			for range 2 { // the second time from the cache
				sig, err := verify(m, smime.VerifyOptions{Trust: c.trust, Time: testpki.Now, LegacyBefore: c.before})
				t.Logf("%s: %v", c.why, err)
				wantReason(t, err, c.want)
				if sig != nil && sig.Legacy() != c.legacy {
					t.Errorf("Legacy = %v, want %v", sig.Legacy(), c.legacy)
				}
				if sig != nil && c.legacy {
					wantReason(t, sig.CheckAt(c.before), smime.ReasonLegacy)
				}
			}
		})
	}
}

func TestMailConstraints(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name      string
		permitted []string
		excluded  []string
		addresses []string
		good      bool
	}{
		{"host", []string{"pec.alfa.example"}, nil, []string{"a@pec.alfa.example"}, true},
		{"one of several", []string{"pec.beta.example", "pec.alfa.example"}, nil, []string{"a@pec.alfa.example"}, true},
		{"case", []string{"PEC.alfa.example"}, nil, []string{"a@pec.ALFA.example"}, true},
		{"another host", []string{"pec.alfa.example"}, nil, []string{"a@pec.beta.example"}, false},
		{"sub-domain of a host", []string{"alfa.example"}, nil, []string{"a@pec.alfa.example"}, false},
		{"longer name of a host", []string{"alfa.example"}, nil, []string{"a@notalfa.example"}, false},
		{"host as a sub-domain", []string{"pec.alfa.example"}, nil, []string{"a@pec.alfa.example.attacker.example"}, false},
		{"sub-domains", []string{".alfa.example"}, nil, []string{"a@pec.alfa.example"}, true},
		{"deep sub-domains", []string{".alfa.example"}, nil, []string{"a@b.pec.alfa.example"}, true},
		{"sub-domains without the domain", []string{".alfa.example"}, nil, []string{"a@alfa.example"}, false},
		{"address", []string{"a@pec.alfa.example"}, nil, []string{"a@pec.alfa.example"}, true},
		{"another address", []string{"a@pec.alfa.example"}, nil, []string{"b@pec.alfa.example"}, false},
		{"address with an @ in quotes", []string{"pec.alfa.example"}, nil, []string{"\"a@pec.alfa.example\"@pec.beta.example"}, false},
		{"no @", []string{"pec.alfa.example"}, nil, []string{"pec.alfa.example"}, false},
		{"every address must fit", []string{"pec.alfa.example"}, nil, []string{"a@pec.alfa.example", "a@pec.beta.example"}, false},
		{"no address", []string{"pec.alfa.example"}, nil, nil, true},
		{"excluded host", nil, []string{"pec.alfa.example"}, []string{"a@pec.alfa.example"}, false},
		{"excluded sub-domains", nil, []string{".example"}, []string{"a@pec.alfa.example"}, false},
		{"excluded address", []string{"pec.alfa.example"}, []string{"a@pec.alfa.example"}, []string{"A@pec.alfa.example"}, false},
		{"not excluded", []string{"pec.alfa.example"}, []string{"b@pec.alfa.example"}, []string{"a@pec.alfa.example"}, true},
		{"trailing dot", []string{"pec.alfa.example"}, nil, []string{"a@pec.alfa.example."}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := anchor(t, w.ca)
			a.Constraints = &smime.Constraints{Mail: c.permitted, ExcludedMail: c.excluded}
			leaf := w.ca.Issue(t, "p256", func(cert *x509.Certificate) { cert.EmailAddresses = c.addresses })
			_, err := verify(signed(t, leaf).bytes(), smime.VerifyOptions{Trust: mustTrust(t, []smime.Anchor{a}), Time: testpki.Now})
			want := smime.ReasonConstraints
			if c.good {
				want = ""
			}
			wantReason(t, err, want)
			if err != nil && strings.Contains(err.Error(), "@") {
				t.Errorf("error %q quotes an address", err)
			}
		})
	}
}

// constraints is the value of a name constraints extension.
func constraints(permitted, excluded [][]byte) []byte {
	var parts [][]byte
	if permitted != nil {
		parts = append(parts, testpki.DER(0xa0, permitted...))
	}
	if excluded != nil {
		parts = append(parts, testpki.DER(0xa1, excluded...))
	}
	return testpki.DER(0x30, parts...)
}

func subtree(tag byte, value []byte) []byte { return testpki.DER(0x30, testpki.DER(tag, value)) }

func mailTree(domain string) []byte { return subtree(0x81, []byte(domain)) }

// nameTree is a subtree of directory names; every "O=Alfa" is an RDN.
func nameTree(t testing.TB, rdns ...string) []byte {
	t.Helper()
	types := map[string]asn1.ObjectIdentifier{"C": {2, 5, 4, 6}, "O": {2, 5, 4, 10}, "CN": {2, 5, 4, 3}}
	var name pkix.RDNSequence
	for _, rdn := range rdns {
		kind, value, _ := strings.Cut(rdn, "=")
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: types[kind], Value: value}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	return subtree(0xa4, der)
}

func authorityWith(t testing.TB, critical bool, value []byte) *testpki.Certificate {
	return testpki.Authority(t, "p256 authority", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: critical, Value: value}}
	})
}

// Constraints in the certificate of an authority count, critical or not.
func TestConstraintsOfCertificate(t *testing.T) {
	name := func(rdns ...string) []byte { return nameTree(t, rdns...) }
	other := subtree(0x82, []byte("www.alfa.example")) // a DNS name
	for _, c := range []struct {
		name                string
		permitted, excluded [][]byte
		want                smime.Reason
		why                 string
	}{
		{"mail permitted", [][]byte{mailTree("pec.alfa.example")}, nil, "", "the host"},
		{"other mail permitted", [][]byte{mailTree("pec.beta.example")}, nil, smime.ReasonConstraints, "another host"},
		{"mail excluded", nil, [][]byte{mailTree("pec.alfa.example")}, smime.ReasonConstraints, "the host"},
		{"name permitted", [][]byte{name("C=IT", "O=Alfa")}, nil, "", "the subject begins so"},
		{"whole name permitted", [][]byte{name("C=IT", "O=Alfa", "CN=Posta Certificata")}, nil, "", "the subject is it"},
		{"name in other letters", [][]byte{name("C=it", "O= ALFA ")}, nil, "", "RFC 5280, section 7.1"},
		{"one of several names", [][]byte{name("C=IT", "O=Beta"), name("C=IT", "O=Alfa")}, nil, "", "any will do"},
		{"other name permitted", [][]byte{name("C=IT", "O=Beta")}, nil, smime.ReasonConstraints, "another company"},
		{"longer name permitted", [][]byte{name("C=IT", "O=Alfa", "CN=Posta Certificata", "CN=x")}, nil, smime.ReasonConstraints, "the subject is above it"},
		{"name in another order", [][]byte{name("O=Alfa", "C=IT")}, nil, smime.ReasonConstraints, "another name"},
		{"name excluded", nil, [][]byte{name("C=IT")}, smime.ReasonConstraints, "the subject begins so"},
		{"other name excluded", nil, [][]byte{name("C=FR")}, "", "the subject does not begin so"},
		{"mail and name", [][]byte{mailTree("pec.alfa.example"), name("C=IT", "O=Beta")}, nil, smime.ReasonConstraints, "both must fit"},
		{"DNS names only", [][]byte{other}, nil, "", "not about mail"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, critical := range []bool{false, true} {
				ca := authorityWith(t, critical, constraints(c.permitted, c.excluded))
				leaf := ca.Issue(t, "p256", nil)
				_, err := verify(signed(t, leaf).bytes(), smime.VerifyOptions{Trust: trustIn(t, ca), Time: testpki.Now})
				t.Logf("critical %v: %s: %v", critical, c.why, err)
				wantReason(t, err, c.want)
			}
		})
	}
}

// Names in the subject are bound too.
func TestConstraintsOnSubject(t *testing.T) {
	ca := authorityWith(t, false, constraints([][]byte{mailTree("pec.alfa.example"), nameTree(t, "C=IT")}, nil))
	set := func(oid string, value []byte) []byte {
		return testpki.DER(0x31, testpki.DER(0x30, testpki.OID(oid), value))
	}
	country := set("2.5.4.6", testpki.DER(0x13, []byte("IT")))
	for _, c := range []struct {
		name    string
		subject []byte
		want    smime.Reason
		why     string
	}{
		{"as usual", testpki.DER(0x30, country), "", "below the base"},
		{"empty", testpki.DER(0x30), "", "RFC 5280, section 4.2.1.10: nothing to constrain"},
		{"permitted address", testpki.DER(0x30, country, set("1.2.840.113549.1.9.1", testpki.DER(0x16, []byte("a@pec.alfa.example")))), "", "the host"},
		{"another address", testpki.DER(0x30, country, set("1.2.840.113549.1.9.1", testpki.DER(0x16, []byte("a@pec.beta.example")))), smime.ReasonConstraints, "old certificates name their address there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := ca.Issue(t, "p256", func(cert *x509.Certificate) { cert.RawSubject = c.subject })
			_, err := verify(signed(t, leaf).bytes(), smime.VerifyOptions{Trust: trustIn(t, ca), Time: testpki.Now})
			t.Logf("%s: %v", c.why, err)
			wantReason(t, err, c.want)
		})
	}
}

func TestAnchorFromCertificate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*x509.Certificate)
		good   bool
	}{
		{"authority", nil, true},
		{"for mail", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, true},
		{"for clients and mail", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}
		}, true},
		{"without key usage", func(c *x509.Certificate) { c.KeyUsage = 0 }, true},
		{"pathlen 0", func(c *x509.Certificate) { c.MaxPathLenZero = true }, true},
		{"unknown extension", extension(false), true},
		{"not an authority", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }, false},
		{"no basic constraints", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }, false},
		{"key not for certificates", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, false},
		{"for servers", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, false},
		{"unknown critical extension", extension(true), false},
	} {
		ca := testpki.Authority(t, "p256 authority", c.change)
		if _, err := smime.AnchorFromCertificate(ca.Certificate); (err == nil) != c.good {
			t.Errorf("%s: err = %v, want good: %v", c.name, err, c.good)
		}
	}
	name := nameTree(t, "C=IT")
	// crypto/x509 finds some of these itself; the others reach our reading.
	for what, value := range map[string][]byte{
		"empty mail":           constraints([][]byte{mailTree("")}, nil),
		"empty list":           constraints([][]byte{}, nil),
		"name not of text":     constraints([][]byte{subtree(0xa4, testpki.DER(0x30, testpki.DER(0x31, testpki.DER(0x30, testpki.OID("2.5.4.10"), testpki.Int(1)))))}, nil),
		"name cut short":       constraints([][]byte{subtree(0xa4, []byte{0x30, 0x05})}, nil),
		"minimum":              constraints([][]byte{testpki.DER(0x30, name[2:], testpki.DER(0x80, []byte{1}))}, nil),
		"more after the lists": testpki.DER(0x30, testpki.DER(0xa0, name), testpki.DER(0xa2, name)),
		"excluded, bad":        constraints(nil, [][]byte{mailTree("")}),
	} {
		ca := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: value}}}
		if _, err := smime.AnchorFromCertificate(ca); err == nil {
			t.Errorf("constraints with %s were accepted", what)
		}
	}
}

func TestNewTrustRefusesKeys(t *testing.T) {
	for name, key := range map[string]any{
		"RSA-1024": testpki.Key(t, "rsa1024").Public(),
		"Ed25519":  testpki.Key(t, "ed25519").Public(),
		"none":     nil,
	} {
		if trust, err := smime.NewTrust([]smime.Anchor{{Name: "x", PublicKey: key}}); err == nil || trust != nil {
			t.Errorf("%s: NewTrust = %v, %v, want an error", name, trust, err)
		}
	}
}

func TestRevocation(t *testing.T) {
	w := newWorld(t)
	m := signed(t, w.leaf).bytes()
	entry := func(at time.Time, reason int, extensions ...pkix.Extension) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{
				{SerialNumber: big.NewInt(1), RevocationTime: date(2001, 1, 1)}, // another
				{SerialNumber: w.leaf.SerialNumber, RevocationTime: at, ReasonCode: reason, ExtraExtensions: extensions},
			}
		}
	}
	lost := func(at time.Time, critical bool) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 24}, Critical: critical, Value: testpki.DER(0x18, []byte(at.Format("20060102150405Z")))}
	}
	during := func(from, to time.Time) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = from, to }
	}
	hour := time.Hour
	now := testpki.Now
	for _, c := range []struct {
		name  string
		crls  []*x509.RevocationList
		want  smime.Reason
		state smime.Revocation
		why   string
	}{
		{"none", nil, "", smime.RevocationUnchecked, "nobody said anything"},
		{"good", []*x509.RevocationList{w.ca.CRL(t, nil)}, "", smime.RevocationGood, "listed nowhere"},
		{"others revoked", []*x509.RevocationList{w.ca.CRL(t, func(l *x509.RevocationList) {
			entry(now, 0)(l)
			l.RevokedCertificateEntries = l.RevokedCertificateEntries[:1]
		})}, "", smime.RevocationGood, "not this one"},
		{"revoked before", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(-hour), 1))}, smime.ReasonRevoked, "", "no longer good then"},
		{"revoked at that second", []*x509.RevocationList{w.ca.CRL(t, entry(now, 1))}, smime.ReasonRevoked, "", "when in doubt, refuse"},
		{"revoked after", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(hour), 1))}, "", smime.RevocationLater, "still good then"},
		{"revoked after, lost before", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(hour), 1, lost(now.Add(-hour), false)))}, smime.ReasonRevoked, "", "the key was in other hands"},
		{"the same, critical", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(hour), 1, lost(now.Add(-hour), true)))}, smime.ReasonRevoked, "", "understood"},
		{"revoked before, lost after", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(-hour), 1, lost(now.Add(hour), false)))}, smime.ReasonRevoked, "", "the earlier counts"},
		{"taken off a list", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(-hour), 8))}, "", smime.RevocationGood, "removeFromCRL"},
		{"suspended, then not", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(-hour), 6)), w.ca.CRL(t, nil)}, smime.ReasonRevoked, "", "when in doubt, refuse"},
		{"two lists, the earlier instant", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(hour), 1)), w.ca.CRL(t, entry(now.Add(-hour), 1))}, smime.ReasonRevoked, "", "in any order"},
		{"two lists, the later instant", []*x509.RevocationList{w.ca.CRL(t, entry(now.Add(-hour), 1)), w.ca.CRL(t, entry(now.Add(hour), 1))}, smime.ReasonRevoked, "", "in any order"},
		{"stale", []*x509.RevocationList{w.ca.CRL(t, during(now.Add(-2*hour), now.Add(-hour)))}, "", smime.RevocationUnchecked, "says nothing about later"},
		{"stale, but names it", []*x509.RevocationList{w.ca.CRL(t, func(l *x509.RevocationList) {
			during(now.Add(-2*hour), now.Add(-hour))(l)
			entry(now.Add(-3*hour), 1)(l)
		})}, smime.ReasonRevoked, "", "revoked stays revoked"},
		{"later", []*x509.RevocationList{w.ca.CRL(t, during(now.AddDate(0, 6, 0), now.AddDate(0, 7, 0)))}, "", smime.RevocationGood, "it would list what was revoked before"},
		{"from after the certificate's end", []*x509.RevocationList{w.ca.CRL(t, during(testpki.NotAfter.Add(hour), testpki.NotAfter.Add(2*hour)))}, "", smime.RevocationUnchecked, "expired ones need not be listed"},
		{"of another issuer", []*x509.RevocationList{
			testpki.Authority(t, "p256 rogue", func(c *x509.Certificate) { c.Subject.CommonName = "Altra autorità" }).CRL(t, entry(now.Add(-hour), 1)),
		}, "", smime.RevocationUnchecked, "none of its business"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Two anchors of one key: what is revoked is revoked for both.
			second := anchor(t, w.ca)
			first := second
			first.NotAfter = now.Add(-hour)
			trust := mustTrust(t, []smime.Anchor{first, second}, c.crls...)
			sig, err := verify(m, smime.VerifyOptions{Trust: trust, Time: now})
			t.Logf("%s: %v", c.why, err)
			wantReason(t, err, c.want)
			if sig != nil && sig.Revocation() != c.state {
				t.Errorf("Revocation = %q, want %q (%s)", sig.Revocation(), c.state, c.why)
			}
		})
	}

	// At a second time.
	trust := mustTrust(t, []smime.Anchor{anchor(t, w.ca)}, w.ca.CRL(t, entry(now.Add(hour), 1)))
	sig, err := verify(m, smime.VerifyOptions{Trust: trust, Time: now})
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, sig.CheckAt(now), "")
	wantReason(t, sig.CheckAt(now.Add(hour)), smime.ReasonRevoked)
}

func TestNewTrustRefusesCRLs(t *testing.T) {
	w := newWorld(t)
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 0}} // of a part only
	for name, crl := range map[string]*x509.RevocationList{
		"of the same name, another key": testpki.Authority(t, "p256 rogue", nil).CRL(t, nil),
		"partial":                       w.ca.CRL(t, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{critical} }),
		"indirect": w.ca.CRL(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: testpki.Now, ExtraExtensions: []pkix.Extension{
				{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}},
			}}}
		}),
	} {
		if trust, err := smime.NewTrust([]smime.Anchor{anchor(t, w.ca)}, crl); err == nil || trust != nil {
			t.Errorf("%s: NewTrust = %v, %v, want an error", name, trust, err)
		}
	}
}

// An authority with a new key lists what it issued with the old one.
func TestRevokedUnderNewKey(t *testing.T) {
	w := newWorld(t)
	renewed := testpki.Authority(t, "p256 renewed authority", nil)
	crl := renewed.CRL(t, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: w.leaf.SerialNumber, RevocationTime: testpki.NotBefore}}
	})
	trust := mustTrust(t, []smime.Anchor{anchor(t, w.ca), anchor(t, renewed)}, crl)
	_, err := verify(signed(t, w.leaf).bytes(), smime.VerifyOptions{Trust: trust, Time: testpki.Now})
	wantReason(t, err, smime.ReasonRevoked)
}

// What is remembered of a certificate is who issued it, never that it was good.
func TestCacheKeepsNoVerdict(t *testing.T) {
	w := newWorld(t)
	m := signed(t, w.leaf).bytes()
	steps := []struct {
		at   time.Time
		want smime.Reason
	}{
		{testpki.Now, ""},
		{testpki.NotAfter.Add(time.Second), smime.ReasonExpired},
		{testpki.Now, ""},
		{testpki.NotBefore.Add(-time.Second), smime.ReasonExpired},
	}
	for _, s := range steps {
		_, err := verify(m, smime.VerifyOptions{Trust: w.trust, Time: s.at})
		wantReason(t, err, s.want)
	}
	// Nor that of one Trust for another.
	_, err := verify(m, smime.VerifyOptions{Trust: trustIn(t, testpki.Authority(t, "p256 rogue", nil)), Time: testpki.Now})
	wantReason(t, err, smime.ReasonIssuer)
	// Nor the key of one certificate for another with the same name and number.
	twin := testpki.Authority(t, "p256 rogue", nil).Issue(t, "p256 rogue leaf", func(c *x509.Certificate) { c.SerialNumber = w.leaf.SerialNumber })
	_, err = verify(signed(t, twin).bytes(), w.now())
	wantReason(t, err, smime.ReasonIssuer)
}

// More certificates than a Trust remembers, by many goroutines at once.
func TestConcurrency(t *testing.T) {
	w := newWorld(t)
	var messages [][]byte
	for range 20 {
		messages = append(messages, signed(t, w.ca.Issue(t, "p256", nil)).bytes())
	}
	expired := w.now()
	expired.Time = testpki.NotAfter.Add(time.Second)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				m := messages[(g+i)%len(messages)]
				if _, err := verify(m, w.now()); err != nil {
					t.Errorf("goroutine %d: %v", g, err)
				}
				if _, err := verify(m, expired); err == nil {
					t.Errorf("goroutine %d: an expired certificate verified", g)
				}
			}
		})
	}
	wg.Wait()
}

// The error texts of verification hold no address and no subject.
func TestErrorsNameNobody(t *testing.T) {
	w := newWorld(t)
	for _, c := range reasonCases {
		m, o := signed(t, w.leaf), w.now()
		c.change(t, w, m, &o)
		_, err := verify(m.bytes(), o)
		for _, secret := range []string{"@", "Posta Certificata", "Ricevuta"} {
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%s: error %q holds %q", c.name, err, secret)
			}
		}
	}
}
