package receipt_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// signing is where a signature of a message is made by hand.
type signing struct {
	testing.TB
	ca, leaf *testpki.Certificate // the leaf is the issuer's of the message
	entity   []byte
}

func (s *signing) signer() testpki.Signer {
	return testpki.Signer{Certificate: s.leaf, Digest: crypto.SHA256, Content: s.entity}
}

// with encodes a signature with these signers, and the certificate of the leaf.
func (s *signing) with(signers ...testpki.Signer) []byte {
	s.Helper()
	d := testpki.SignedData{Certificates: [][]byte{s.leaf.Raw}}
	for _, signer := range signers {
		d.Signers = append(d.Signers, signer.Encode(s))
	}
	return d.Encode()
}

// other is another certificate of the authority, for another address.
func (s *signing) other() *testpki.Certificate {
	return s.ca.Issue(s, "p256 other", func(c *x509.Certificate) {
		c.EmailAddresses = []string{"posta-certificata@pec.gamma.example"}
	})
}

// attributes changes the signed attributes.
func attributes(change func(*signing, [][]byte) [][]byte) func(*signing) []byte {
	return func(s *signing) []byte {
		signer := s.signer()
		signer.Attributes = func(list [][]byte) [][]byte { return change(s, list) }
		return s.with(signer)
	}
}

// signatures are signatures by hand, good and bad. Threat model, rules 8 to 13.
var signatures = []struct {
	name    string
	reason  string
	make    func(*signing) []byte
	want    refusal // zero if it verifies
	remarks string
}{
	{name: "good", reason: "the one that the others differ from", make: func(s *signing) []byte { return s.with(s.signer()) }},
	{name: "indefinite lengths", reason: "BER is allowed", make: func(s *signing) []byte {
		return testpki.SignedData{Indefinite: true, Certificates: [][]byte{s.leaf.Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
	}},
	{name: "named by key identifier", reason: "RFC 5652, section 5.3", make: func(s *signing) []byte {
		signer := s.signer()
		signer.KeyID = s.leaf.SubjectKeyId
		return s.with(signer)
	}},
	{name: "SHA-384", reason: "a digest of the list", make: func(s *signing) []byte {
		signer := s.signer()
		signer.Digest = crypto.SHA384
		return s.with(signer)
	}},
	{name: "other certificates along", reason: "providers send that of the authority", make: func(s *signing) []byte {
		return testpki.SignedData{Certificates: [][]byte{s.ca.Raw, s.leaf.Raw, s.other().Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
	}},
	{name: "unsigned attributes", reason: "they prove nothing", make: func(s *signing) []byte {
		signer := s.signer()
		signer.Unsigned = testpki.DER(0xa1, testpki.Attribute("1.2.3.4", testpki.Int(1)))
		return s.with(signer)
	}},
	{name: "one signer twice", reason: "every signature is good and of the same provider", make: func(s *signing) []byte {
		return s.with(s.signer(), s.signer())
	}},
	{name: "no signing time", reason: "only the certified instant is left", remarks: "no-signing-time",
		make: attributes(func(_ *signing, list [][]byte) [][]byte { return list[:2] })},

	{name: "embedded content", reason: "what is inside would be shown by some readers, what is outside by others",
		make: func(s *signing) []byte {
			return testpki.SignedData{Content: testpki.DER(0x04, s.entity), Certificates: [][]byte{s.leaf.Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonEmbedded), "signature"}},
	{name: "embedded content of another message", reason: "the same, to deceive",
		make: func(s *signing) []byte {
			return testpki.SignedData{Content: testpki.DER(0x04, []byte("Content-Type: text/plain\r\n\r\nx")), Certificates: [][]byte{s.leaf.Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonEmbedded), "signature"}},
	{name: "content of another type", reason: "it is data, by RFC 8551",
		make: func(s *signing) []byte {
			return testpki.SignedData{ContentType: "1.2.840.113549.1.7.5", Certificates: [][]byte{s.leaf.Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonAttributes), "signature"}},
	{name: "bytes after the signature", reason: "some readers would read them",
		make: func(s *signing) []byte { return append(s.with(s.signer()), 0) },
		want: refusal{receipt.Malformed, codeOf(smime.ReasonCMS), "signature"}},
	{name: "not CMS", reason: "nothing to judge",
		make: func(*signing) []byte { return []byte("MIAGCSqGSIb3DQEHAqCA") },
		want: refusal{receipt.Malformed, codeOf(smime.ReasonCMS), "signature"}},
	{name: "nobody signed", reason: "certificates alone prove nothing",
		make: func(s *signing) []byte { return s.with() },
		want: refusal{receipt.Rejected, codeOf(smime.ReasonNoCertificate), "signature"}},
	{name: "two signers", reason: "who is responsible?",
		make: func(s *signing) []byte {
			other := s.other()
			second := s.signer()
			second.Certificate = other
			return testpki.SignedData{Certificates: [][]byte{s.leaf.Raw, other.Raw}, Signers: [][]byte{s.signer().Encode(s), second.Encode(s)}}.Encode()
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonSigners), "signature"}},
	{name: "second signature that is bad", reason: "every one must be good",
		make: func(s *signing) []byte {
			second := s.signer()
			second.Key = testpki.Key(s, "p256 thief")
			return s.with(s.signer(), second)
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonSignature), "signature"}},
	{name: "one signer at two times", reason: "which one?",
		make: func(s *signing) []byte {
			second := s.signer()
			second.Time = certified.Add(time.Minute)
			return s.with(s.signer(), second)
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonSigners), "signature"}},
	{name: "no contentType", reason: "RFC 5652, section 11.1",
		make: attributes(func(_ *signing, list [][]byte) [][]byte { return list[1:] }),
		want: refusal{receipt.Rejected, codeOf(smime.ReasonAttributes), "signature"}},
	{name: "contentType twice", reason: "RFC 5652, section 11.1",
		make: attributes(func(_ *signing, list [][]byte) [][]byte { return append(list, list[0]) }),
		want: refusal{receipt.Rejected, codeOf(smime.ReasonAttributes), "signature"}},
	{name: "no messageDigest", reason: "nothing ties the attributes to the content",
		make: attributes(func(_ *signing, list [][]byte) [][]byte { return list[:1] }),
		want: refusal{receipt.Rejected, codeOf(smime.ReasonAttributes), "signature"}},
	{name: "messageDigest of two values", reason: "which one?",
		make: attributes(func(_ *signing, list [][]byte) [][]byte {
			return append(list[:1], testpki.Attribute(testpki.OIDMessageDigest, testpki.DER(0x04, make([]byte, 32)), testpki.DER(0x04, make([]byte, 32))))
		}), want: refusal{receipt.Rejected, codeOf(smime.ReasonAttributes), "signature"}},
	{name: "messageDigest of other content", reason: "the content is not what was signed",
		make: attributes(func(_ *signing, list [][]byte) [][]byte {
			return append(list[:1], testpki.Attribute(testpki.OIDMessageDigest, testpki.DER(0x04, make([]byte, 32))))
		}), want: altered},
	{name: "no attributes", reason: "a signature over content could be one over attributes",
		make: func(s *signing) []byte {
			signer := s.signer()
			signer.NoAttributes = true
			return s.with(signer)
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonAttributes), "signature"}},
	{name: "MD5", reason: "broken", make: func(s *signing) []byte {
		signer := s.signer()
		signer.DigestAlgorithm = testpki.Algorithm(testpki.DigestOIDs[crypto.MD5])
		return s.with(signer)
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonAlgorithm), "signature"}},
	{name: "digests that disagree", reason: "algorithms must agree", make: func(s *signing) []byte {
		signer := s.signer()
		signer.SignatureAlgorithm = testpki.DER(0x30, testpki.OID(testpki.ECDSAOIDs[crypto.SHA384]))
		return s.with(signer)
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonAlgorithm), "signature"}},
	{name: "key of another type", reason: "algorithm and key must agree", make: func(s *signing) []byte {
		signer := s.signer()
		signer.SignatureAlgorithm = testpki.Algorithm(testpki.OIDRSA)
		return s.with(signer)
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonAlgorithm), "signature"}},
	{name: "another key", reason: "the signature is not the certificate's", make: func(s *signing) []byte {
		signer := s.signer()
		signer.Key = testpki.Key(s, "p256 thief")
		return s.with(signer)
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonSignature), "signature"}},
	{name: "signature of other bytes", reason: "the signature does not verify", make: func(s *signing) []byte {
		signer := s.signer()
		signer.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
		return s.with(signer)
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonSignature), "signature"}},
	{name: "no certificate", reason: "whose signature?", make: func(s *signing) []byte {
		return testpki.SignedData{Certificates: [][]byte{s.ca.Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonNoCertificate), "certificate"}},
	{name: "two certificates that fit", reason: "which one was meant?", make: func(s *signing) []byte {
		twin := s.ca.Issue(s, "p256 twin", func(c *x509.Certificate) { c.SerialNumber = s.leaf.SerialNumber })
		return testpki.SignedData{Certificates: [][]byte{s.leaf.Raw, twin.Raw}, Signers: [][]byte{s.signer().Encode(s)}}.Encode()
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonNoCertificate), "certificate"}},
	{name: "an authority of one's own along", reason: "certificates in a message are never anchors", make: func(s *signing) []byte {
		ca := testpki.Authority(s, "p256 evil authority", nil)
		evil := ca.Issue(s, "p256 evil", func(c *x509.Certificate) { c.EmailAddresses = s.leaf.EmailAddresses })
		signer := s.signer()
		signer.Certificate = evil
		return testpki.SignedData{Certificates: [][]byte{evil.Raw, ca.Raw, s.ca.Raw}, Signers: [][]byte{signer.Encode(s)}}.Encode()
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonIssuer), "certificate"}},
	{name: "issued by a leaf", reason: "a provider is no authority", make: func(s *signing) []byte {
		below := s.leaf.Issue(s, "p256 below", func(c *x509.Certificate) { c.EmailAddresses = s.leaf.EmailAddresses })
		signer := s.signer()
		signer.Certificate = below
		return testpki.SignedData{Certificates: [][]byte{below.Raw, s.leaf.Raw, s.ca.Raw}, Signers: [][]byte{signer.Encode(s)}}.Encode()
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonIssuer), "certificate"}},
	{name: "issued by itself", reason: "nobody vouches for it", make: func(s *signing) []byte {
		own := testpki.Authority(s, "p256 own", func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
			c.EmailAddresses = s.leaf.EmailAddresses
		})
		signer := s.signer()
		signer.Certificate = own
		return testpki.SignedData{Certificates: [][]byte{own.Raw}, Signers: [][]byte{signer.Encode(s)}}.Encode()
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonIssuer), "certificate"}},
	{name: "signed by the authority itself", reason: "its key is for certificates", make: func(s *signing) []byte {
		own := testpki.Authority(s, "p256 authority", func(c *x509.Certificate) { c.EmailAddresses = s.leaf.EmailAddresses })
		signer := s.signer()
		signer.Certificate = own
		return testpki.SignedData{Certificates: [][]byte{own.Raw}, Signers: [][]byte{signer.Encode(s)}}.Encode()
	}, want: refusal{receipt.Rejected, codeOf(smime.ReasonUsage), "certificate"}},
	{name: "another provider", reason: "the signer is not whom the message is from", make: func(s *signing) []byte {
		other := s.other()
		signer := s.signer()
		signer.Certificate = other
		return testpki.SignedData{Certificates: [][]byte{other.Raw}, Signers: [][]byte{signer.Encode(s)}}.Encode()
	}, want: wrongFrom},
}

// byHand makes a message with a signature by hand.
func byHand(ca, leaf *testpki.Certificate, sign func(*signing) []byte, t testing.TB) *pectest.Tamper {
	s := &signing{TB: t, ca: ca, leaf: leaf}
	return &pectest.Tamper{
		Entity:    func(b []byte) []byte { s.entity = b; return b },
		Signature: func([]byte) []byte { return sign(s) },
	}
}

func trustIn(t testing.TB, crls []*x509.RevocationList, cas ...*x509.Certificate) *smime.Trust {
	t.Helper()
	var anchors []smime.Anchor
	for _, ca := range cas {
		a, err := smime.AnchorFromCertificate(ca)
		if err != nil {
			t.Fatal(err)
		}
		anchors = append(anchors, a)
	}
	trust, err := smime.NewTrust(anchors, crls...)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	ca := testpki.Authority(t, "p256 authority", nil)
	leaves := map[bool]*testpki.Certificate{}
	for byBeta, address := range map[bool]string{false: "posta-certificata@pec.alfa.example", true: "posta-certificata@pec.beta.example"} {
		leaves[byBeta] = ca.Issue(t, "p256 "+address, func(c *x509.Certificate) { c.EmailAddresses = []string{address} })
	}
	trust := trustIn(t, nil, ca.Certificate)
	for _, test := range signatures {
		t.Run(test.name, func(t *testing.T) {
			for _, dialect := range dialectNames {
				n := sharedNetwork(t, dialect)
				opts := n.options()
				opts.Trust, opts.Directory = trust, nil
				for _, c := range allCases() {
					raw := n.forge(t, c, n.issuer(c), byHand(ca, leaves[c.byBeta], test.make, t))
					m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
					if test.want != (refusal{}) {
						wantRefusal(t, m, err, test.want)
						continue
					}
					if err != nil {
						t.Errorf("%s, %s: %v, want it verified: %s", dialect, c.name, err, test.reason)
						continue
					}
					want := "directory-not-consulted"
					if test.remarks != "" {
						want = test.remarks + " " + want
					}
					if got := remarkCodes(m); got != want {
						t.Errorf("%s, %s: remarks %q, want %q", dialect, c.name, got, want)
					}
				}
			}
		})
	}
}

// certificates are certificates of a provider, good and bad. Threat model, rules
// 13 to 15 and 17.
var certificates = []struct {
	name   string
	reason string
	change func(*x509.Certificate)
	want   refusal
}{
	{name: "good", reason: "the one that the others differ from", change: func(*x509.Certificate) {}},
	{name: "without extended key usage", reason: "providers' certificates of 2014 have none",
		change: func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
	{name: "with basic constraints", reason: "some have them, against RFC 6109, section 5.5.2",
		change: func(c *x509.Certificate) { c.BasicConstraintsValid = true }},
	{name: "address in capitals", reason: "case is no difference",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "Posta-Certificata@PEC.alfa.example" }},
	{name: "expired today, good then", reason: "judged as of the certified instant and the arrival",
		change: func(c *x509.Certificate) { c.NotAfter = certified.Add(5 * time.Second) }},
	{name: "expired", reason: "not good at the certified instant",
		change: func(c *x509.Certificate) { c.NotAfter = certified.Add(-time.Second) },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonExpired), "certificate"}},
	{name: "expired between certification and arrival", reason: "not good at the arrival",
		change: func(c *x509.Certificate) { c.NotAfter = certified },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonExpired), "certificate"}},
	{name: "not yet valid", reason: "not good at the certified instant",
		change: func(c *x509.Certificate) { c.NotBefore = certified.Add(time.Second) },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonExpired), "certificate"}},
	{name: "of an authority", reason: "authorities sign no mail",
		change: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonUsage), "certificate"}},
	{name: "for encryption", reason: "its key is not for signatures",
		change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonUsage), "certificate"}},
	{name: "for web servers", reason: "anyone gets those",
		change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonUsage), "certificate"}},
	{name: "critical extension of its own", reason: "it may change what the certificate means",
		change: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}, want: refusal{receipt.Rejected, codeOf(smime.ReasonUsage), "certificate"}},
	{name: "signed with SHA-1", reason: "only of old, and only if asked for",
		change: func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA },
		want:   refusal{receipt.Rejected, codeOf(smime.ReasonLegacy), "certificate"}},
	{name: "no address", reason: "nothing says whose it is",
		change: func(c *x509.Certificate) { c.EmailAddresses = nil },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "two addresses", reason: "which one signed?",
		change: func(c *x509.Certificate) {
			c.EmailAddresses = append(c.EmailAddresses, "posta-certificata@pec.beta.example")
		}, want: refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "the same address twice", reason: "there is exactly one",
		change: func(c *x509.Certificate) { c.EmailAddresses = append(c.EmailAddresses, c.EmailAddresses[0]) },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "wildcard", reason: "an address is whole",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "*@pec.alfa.example" },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "domain only", reason: "an address is whole",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "pec.alfa.example" },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "blank around", reason: "readers differ in what they drop",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] += " " },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "NUL", reason: "it ends the text for some readers",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] += "\x00.mail.example" },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "quoted", reason: "readers differ in what they drop",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "\"posta-certificata\"@pec.alfa.example" },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "with a display name", reason: "an address is bare",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "Alfa <" + c.EmailAddresses[0] + ">" },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "two addresses in one", reason: "an address is one",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] += ",x@mail.example" },
		want:   refusal{receipt.Rejected, receipt.CodeSigner, "certificate"}},
	{name: "address of another provider", reason: "the signer is not whom the message is from",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "posta-certificata@pec.beta.example" }, want: wrongFrom},
	{name: "address of a sub-domain", reason: "domains are compared whole",
		change: func(c *x509.Certificate) { c.EmailAddresses[0] = "posta-certificata@x.pec.alfa.example" }, want: wrongFrom},
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	for _, test := range certificates {
		t.Run(test.name, func(t *testing.T) {
			for _, dialect := range []string{"opec", "jpec"} {
				n := sharedNetwork(t, dialect)
				p, err := n.authority.NewProvider(pectest.ProviderConfig{
					Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", Domains: []string{"pec.mittente.example", "pec.beta.example"},
					Dialect: dialects()[dialect], Certificate: test.change, ECDSA: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				opts := n.options()
				opts.Directory = pec.NewDirectory([]pec.Provider{p.Record()})
				for _, c := range allCases() {
					m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, p, nil)), opts)
					if test.want != (refusal{}) {
						wantRefusal(t, m, err, test.want)
					} else if err != nil {
						t.Errorf("%s, %s: %v, want it verified: %s", dialect, c.name, err, test.reason)
					}
				}
			}
		})
	}
}

// TestAuthorities asks who is trusted: the issuing authority given, and nobody
// else. Threat model, rule 14.
func TestAuthorities(t *testing.T) {
	n := sharedNetwork(t, "jpec")
	namesake, err := pectest.NewAuthority(pectest.AuthorityConfig{Time: certified})
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := n.authority.Anchor()
	if err != nil {
		t.Fatal(err)
	}
	narrowed := anchor
	narrowed.Constraints = &smime.Constraints{Mail: []string{"pec.gamma.example", "alfa.example", ".pec.alfa.example", ".pec.beta.example"}}
	fitting := anchor
	fitting.Constraints = &smime.Constraints{Mail: []string{"pec.alfa.example", "pec.beta.example"}}
	ended := anchor
	ended.NotAfter = certified.Add(-time.Second)
	with := func(anchors ...smime.Anchor) *smime.Trust {
		trust, err := smime.NewTrust(anchors)
		if err != nil {
			t.Fatal(err)
		}
		return trust
	}
	tests := []struct {
		name   string
		reason string
		trust  *smime.Trust
		want   refusal
	}{
		{"its own", "the authority that issued the certificate", n.authority.Trust(), refusal{}},
		{"with permitted domains", "the domains are those of the providers", with(fitting), refusal{}},
		{"nobody", "nil fails closed", nil, refusal{receipt.Inconclusive, codeOf(smime.ReasonNoAnchor), "certificate"}},
		{"no anchors", "nobody to judge by", with(), refusal{receipt.Inconclusive, codeOf(smime.ReasonNoAnchor), "certificate"}},
		{"an authority of the same name", "a name proves nothing", namesake.Trust(), refusal{receipt.Rejected, codeOf(smime.ReasonIssuer), "certificate"}},
		{"the root above it", "it vouches for anybody", trustIn(t, nil, n.authority.Root()), refusal{receipt.Rejected, codeOf(smime.ReasonIssuer), "certificate"}},
		{"the real ones", "they did not issue it", with(receipt.Anchors()...), refusal{receipt.Rejected, codeOf(smime.ReasonIssuer), "certificate"}},
		{"for other domains", "it may not vouch for this one", with(narrowed), refusal{receipt.Rejected, codeOf(smime.ReasonConstraints), "certificate"}},
		{"until a second before", "it did not count any more", with(ended), refusal{receipt.Rejected, codeOf(smime.ReasonExpired), "certificate"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range allCases() {
				opts := n.options()
				opts.Trust = test.trust
				m, err := receipt.VerifyMessage(bytes.NewReader(n.forge(t, c, n.issuer(c), nil)), opts)
				if test.want != (refusal{}) {
					wantRefusal(t, m, err, test.want)
				} else if err != nil {
					t.Errorf("%s: %v, want it verified: %s", c.name, err, test.reason)
				}
			}
		})
	}
}

// TestRevocation checks certificates against lists, at each of the times that
// count. Threat model, rule 15.
func TestRevocation(t *testing.T) {
	n := sharedNetwork(t, "opec")
	revoked := func(at time.Time) []x509.RevocationListEntry {
		return []x509.RevocationListEntry{{SerialNumber: n.alfa.Certificate().SerialNumber, RevocationTime: at}}
	}
	tests := []struct {
		name    string
		issued  time.Time
		entries []x509.RevocationListEntry
		at      time.Time // arrival
		want    refusal
		remarks string
	}{
		{"not listed", certified, nil, certified, refusal{}, ""},
		{"list of a time before", certified.AddDate(0, -2, 0), nil, certified, refusal{}, "revocation-not-checked"},
		{"revoked before", certified, revoked(certified.Add(-time.Hour)), certified, refusal{receipt.Rejected, codeOf(smime.ReasonRevoked), "certificate"}, ""},
		{"revoked at that second", certified, revoked(certified), certified, refusal{receipt.Rejected, codeOf(smime.ReasonRevoked), "certificate"}, ""},
		{"revoked afterwards", certified.AddDate(0, 0, 7), revoked(certified.AddDate(0, 0, 1)), certified, refusal{}, "revoked-later"},
		{"revoked between certification and arrival", certified.AddDate(0, 0, 7), revoked(certified.AddDate(0, 0, 1)), certified.AddDate(0, 0, 2), refusal{receipt.Rejected, codeOf(smime.ReasonRevoked), "certificate"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			crl, err := n.authority.CRL(test.issued, test.entries...)
			if err != nil {
				t.Fatal(err)
			}
			opts := n.options()
			opts.Trust = trustIn(t, []*x509.RevocationList{crl}, n.authority.Issuer())
			opts.At = test.at
			opts.Now = func() time.Time { return certified.AddDate(0, 1, 0) }
			raw := n.forge(t, caseOf(t, "acceptance"), n.alfa, nil)
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
			if test.want != (refusal{}) {
				wantRefusal(t, m, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for _, r := range m.Remarks() {
				got += string(r.Code)
			}
			if got != test.remarks {
				t.Errorf("remarks %q, want %q", got, test.remarks)
			}
		})
	}
}

// TestLegacy checks the certificates of old: SHA-1 and short keys, only if asked
// for, and only for messages certified before March 2017. Threat model, rule 13.
func TestLegacy(t *testing.T) {
	t.Parallel()
	start := time.Date(2016, 6, 1, 0, 0, 0, 0, time.UTC)
	ca := testpki.Authority(t, "rsa2048 old authority", func(c *x509.Certificate) { c.NotBefore, c.NotAfter = start, start.AddDate(10, 0, 0) })
	issue := func(key string, change func(*x509.Certificate)) *testpki.Certificate {
		return ca.Issue(t, key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = start, start.AddDate(9, 0, 0)
			change(c)
		})
	}
	leaves := map[string]*testpki.Certificate{
		"signed with SHA-1":        issue("rsa2048", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }),
		"key of 1024 bits":         issue("rsa1024", func(*x509.Certificate) {}),
		"both":                     issue("rsa1024", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }),
		"none of both, as ever":    issue("rsa2048", func(*x509.Certificate) {}),
		"none of both, on a curve": issue("p256", func(*x509.Certificate) {}),
	}
	last := time.Date(2017, 2, 28, 23, 59, 59, 0, time.UTC)
	n := sharedNetwork(t, "opec")
	for name, leaf := range leaves {
		isOld := name[0] != 'n'
		for _, test := range []struct {
			at     time.Time
			legacy bool
			good   bool
		}{
			{last, true, true},
			{last, false, !isOld},
			{last.Add(time.Second), true, !isOld},
			{last.Add(time.Second), false, !isOld},
			{last.AddDate(5, 0, 0), true, !isOld},
		} {
			c := caseOf(t, "acceptance")
			c.edit = func(d *pec.CertData) { d.Time = pectest.Rome(test.at) }
			raw := n.forge(t, c, n.alfa, byHand(ca, leaf, func(s *signing) []byte {
				signer := s.signer()
				signer.Time = test.at
				return s.with(signer)
			}, t))
			opts := receipt.Options{Trust: trustIn(t, nil, ca.Certificate), Legacy: test.legacy}
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
			if !test.good {
				wantRefusal(t, m, err, refusal{receipt.Rejected, codeOf(smime.ReasonLegacy), "certificate"})
				continue
			}
			if err != nil {
				t.Errorf("%s, at %s, legacy %v: %v, want it verified", name, test.at, test.legacy, err)
				continue
			}
			want := "time-claimed directory-not-consulted"
			if isOld {
				want = "legacy-certificate " + want
			}
			if got := remarkCodes(m); got != want {
				t.Errorf("%s: remarks %q, want %q", name, got, want)
			}
		}
	}
}

// TestSHA1 checks digests of old, which are remarked, and refused from a date on
// that the caller sets. Threat model, rule 13.
func TestSHA1(t *testing.T) {
	t.Parallel()
	n := sharedNetwork(t, "opec with SHA-1")
	for _, c := range allCases() {
		raw := n.honest(t, c)
		opts := n.options()
		for _, from := range []time.Time{{}, certified.Add(time.Second)} {
			opts.RefuseSHA1From = from
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
			if err != nil {
				t.Fatalf("%s, SHA-1 refused from %s on: %v, want it verified", c.name, from, err)
			}
			if r := m.Remarks(); len(r) == 0 || r[0].Code != receipt.RemarkWeakDigest {
				t.Errorf("%s: remarks %v, want %s", c.name, r, receipt.RemarkWeakDigest)
			}
		}
		opts.RefuseSHA1From = certified
		m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
		wantRefusal(t, m, err, refusal{receipt.Rejected, codeOf(smime.ReasonWeakDigest), "signature"})
	}
}
