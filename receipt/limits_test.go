package receipt_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// repeated gives a text again and again, and so has any size.
type repeated struct {
	text string
	left int64
	at   int
}

func (r *repeated) Read(b []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	total := 0
	for len(b) > 0 && r.left > 0 {
		n := copy(b[:min(int64(len(b)), r.left)], r.text[r.at:])
		r.at = (r.at + n) % len(r.text)
		r.left -= int64(n)
		b = b[n:]
		total += n
	}
	return total, nil
}

// TestLimits passes every limit, and stays just within it. Threat model, "Limits".
func TestLimits(t *testing.T) {
	many := func(n int, item func(int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(item(i))
		}
		return b.String()
	}
	tests := []struct {
		name   string
		part   string
		most   int64 // what the error must say
		limits receipt.Limits
		// make gives the message with n of whatever is counted.
		make func(b *bench, n int) *pectest.Tamper
		raw  func(b *bench, raw []byte, n int) []byte
		// at is the number that is just within the limit.
		at int
	}{
		{name: "lines of the header", part: "header", most: 2000, at: 2000,
			raw: func(b *bench, raw []byte, n int) []byte {
				head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
				return append([]byte(strings.Repeat("X: y\r\n", n-bytes.Count(head, []byte("\n"))-1)), raw...)
			}},
		{name: "bytes of the header", part: "header", most: 256 << 10, at: 256 << 10,
			raw: func(b *bench, raw []byte, n int) []byte {
				head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
				return append([]byte("X: "+strings.Repeat("y", n-len(head)-len("X: \r\n\r\n\r\n"))+"\r\n"), raw...)
			}},
		{name: "bytes of the header, as set", part: "header", most: 2000, at: 2000, limits: receipt.Limits{Head: 2000},
			raw: func(b *bench, raw []byte, n int) []byte {
				head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
				return append([]byte("X: "+strings.Repeat("y", n-len(head)-len("X: \r\n\r\n\r\n"))+"\r\n"), raw...)
			}},
		{name: "parameters of the header", part: "header", most: 32, at: 32,
			raw: func(b *bench, raw []byte, n int) []byte {
				return replace(b, raw, "multipart/signed;", "multipart/signed;"+many(n-3, func(i int) string { return fmt.Sprintf(" x%d=y;", i) }))
			}},
		{name: "bytes of the message", part: "message", most: 30000, at: 30000, limits: receipt.Limits{Message: 30000},
			raw: func(b *bench, raw []byte, n int) []byte {
				raw = bytes.TrimRight(raw, "\r\n")
				return replace(b, raw, "This is an S/MIME signed message", strings.Repeat("x", n-len(raw)+len("This is an S/MIME signed message")))
			}},
		{name: "lines of the head of the signed part", part: "signed part", most: 2000, at: 2000,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{Entity: func(e []byte) []byte {
					head, _, _ := bytes.Cut(e, []byte("\r\n\r\n"))
					return append([]byte(strings.Repeat("X: y\r\n", n-bytes.Count(head, []byte("\n"))-1)), e...)
				}}
			}},
		{name: "parameters of the signed part", part: "signed part", most: 32, at: 32,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{Entity: func(e []byte) []byte {
					return replace(b, e, "multipart/mixed;", "multipart/mixed;"+many(n-1, func(i int) string { return fmt.Sprintf(" x%d=y;", i) }))
				}}
			}},
		{name: "lines of the head of a part", part: "signed part", most: 2000, at: 2000,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{Parts: []string{strings.Repeat("X: y\r\n", n) + "\r\nx"}}
			}},
		{name: "bytes of the head of a part", part: "signed part", most: 256 << 10, at: 256 << 10,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{Parts: []string{"X: " + strings.Repeat("y", n-len("X: \r\n\r\n")) + "\r\n\r\nx"}}
			}},
		{name: "parameters of a part", part: "signed part", most: 32, at: 32,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{Parts: []string{"Content-Type: text/plain" + many(n, func(i int) string { return fmt.Sprintf("; x%d=y", i) }) + "\r\n\r\nx"}}
			}},
		{name: "parts", part: "signed part", most: 64, at: 64, make: parts},
		{name: "parts, as set", part: "signed part", most: 10, at: 10, limits: receipt.Limits{Parts: 10}, make: parts},
		{name: "bytes of daticert.xml", part: "daticert.xml", most: 1 << 20, at: 1 << 20, make: certDataOf},
		{name: "bytes of daticert.xml, as set", part: "daticert.xml", most: 5000, at: 5000, limits: receipt.Limits{CertData: 5000}, make: certDataOf},
		{name: "bytes of text in daticert.xml", part: "daticert.xml", most: 64 << 10, at: 64 << 10,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{CertData: func(d []byte) []byte {
					return replace(b, d, "<risposte>studio@pec.mittente.example", "<risposte>"+strings.Repeat("x", n))
				}}
			}},
		{name: "bytes of an identifier", part: "daticert.xml", most: 998, at: 998,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{
					Header: dropHeader(pec.HeaderReference),
					CertData: func(d []byte) []byte {
						return replace(b, d, "&lt;6f1c0e@pec.mittente.example&gt;", strings.Repeat("x", n))
					},
				}
			}},
		{name: "bytes of an address", part: "daticert.xml", most: 320, at: 320,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{CertData: func(d []byte) []byte {
					const domain = "@pec.beta.example"
					return replace(b, d, "</mittente>", "</mittente><destinatari>"+strings.Repeat("x", n-len(domain))+domain+"</destinatari>")
				}}
			}},
		{name: "recipients", part: "daticert.xml", most: 10000, at: 10000,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{CertData: func(d []byte) []byte {
					return replace(b, d, "</mittente>", "</mittente>"+many(n-3, func(i int) string {
						return fmt.Sprintf("<destinatari>r%d@pec.beta.example</destinatari>", i)
					}))
				}}
			}},
		{name: "brackets in a DTD", part: "daticert.xml", most: 8, at: 8,
			make: func(b *bench, n int) *pectest.Tamper {
				return &pectest.Tamper{CertData: func(d []byte) []byte {
					return replace(b, d, "<postacert", "<!DOCTYPE postacert [<!ELEMENT x "+strings.Repeat("(", n)+"a"+strings.Repeat(")", n)+">]><postacert")
				}}
			}},
		{name: "bytes of the signature", part: "signature", most: 1 << 20, at: 1 << 20, make: signatureOf},
		{name: "bytes of the signature, as set", part: "signature", most: 5000, at: 5000, limits: receipt.Limits{Signature: 5000}, make: signatureOf},
	}
	n := sharedNetwork(t, "jpec")
	trust := trustIn(t, nil, n.authority.Issuer(), testpki.Authority(t, "p256 authority", nil).Certificate)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := &bench{t, n, caseOf(t, "acceptance")}
			opts := n.options()
			opts.Limits, opts.Trust, opts.Directory = test.limits, trust, nil
			message := func(count int) []byte {
				var tamper *pectest.Tamper
				if test.make != nil {
					tamper = test.make(b, count)
				}
				raw := n.forge(t, b.c, n.alfa, tamper)
				if test.raw != nil {
					raw = test.raw(b, raw, count)
				}
				return raw
			}
			if _, err := receipt.Verify(bytes.NewReader(message(test.at)), opts); err != nil {
				t.Errorf("with %d: %v, want it verified", test.at, err)
			}
			m, err := receipt.VerifyMessage(bytes.NewReader(message(test.at+1)), opts)
			wantRefusal(t, m, err, refusal{receipt.Malformed, codeOf(smime.ReasonLimit), test.part})
			var limit *smime.LimitError
			if errors.As(err, &limit) && limit.Limit != test.most {
				t.Errorf("LimitError.Limit = %d (%s), want %d", limit.Limit, limit.What, test.most)
			}
			u, err := receipt.Parse(bytes.NewReader(message(test.at+1)), test.limits)
			if err == nil {
				err = u.Problem()
			}
			if !errors.As(err, &limit) {
				t.Errorf("Parse: %v, want a LimitError", err)
			}
		})
	}
}

// parts makes a signed multipart of n parts; there are two already.
func parts(_ *bench, n int) *pectest.Tamper {
	var t pectest.Tamper
	for range n - 2 {
		t.Parts = append(t.Parts, "Content-Type: text/plain\r\n\r\nx")
	}
	return &t
}

// certDataOf makes a daticert.xml of n bytes, nearly all of them white space.
func certDataOf(b *bench, n int) *pectest.Tamper {
	return &pectest.Tamper{CertData: func(d []byte) []byte {
		return replace(b, d, "<intestazione>", strings.Repeat(" ", n-len(d))+"<intestazione>")
	}}
}

// signatureOf makes a signature of n bytes, most of them in an attribute that
// proves nothing.
func signatureOf(b *bench, n int) *pectest.Tamper {
	ca := testpki.Authority(b, "p256 authority", nil)
	leaf := ca.Issue(b, "p256", nil)
	return byHand(ca, leaf, func(s *signing) []byte { return padded(s, n) }, b)
}

// padded makes a signature of a given size.
func padded(s *signing, size int) []byte {
	// The lengths of what is around the padding depend on it.
	pad := size
	for {
		d := testpki.SignedData{Certificates: [][]byte{s.leaf.Raw}, CRLs: testpki.DER(0x30, testpki.DER(0x04, make([]byte, pad)))}
		signer := s.signer()
		d.Signers = [][]byte{signer.Encode(s)}
		switch out := d.Encode(); {
		case len(out) == size:
			return out
		case len(out) > size:
			pad -= len(out) - size
		default:
			pad++
		}
	}
}

// TestCMSLimits passes the limits of the signature.
func TestCMSLimits(t *testing.T) {
	ca := testpki.Authority(t, "p256 authority", nil)
	leaf := ca.Issue(t, "p256", nil)
	repeatDER := func(n int, der []byte) [][]byte {
		var list [][]byte
		for range n {
			list = append(list, der)
		}
		return list
	}
	nested := func(depth int) []byte {
		b := testpki.Int(1)
		for range depth {
			b = testpki.DER(0x30, b)
		}
		return b
	}
	tests := []struct {
		name string
		make func(s *signing, n int) []byte
		at   int
		part string
	}{
		{"certificates", func(s *signing, n int) []byte {
			return testpki.SignedData{Certificates: append(repeatDER(n-1, s.ca.Raw), s.leaf.Raw), Signers: [][]byte{s.signer().Encode(s)}}.Encode()
		}, 32, "signature"},
		{"signers", func(s *signing, n int) []byte {
			return testpki.SignedData{Certificates: [][]byte{s.leaf.Raw}, Signers: repeatDER(n, s.signer().Encode(s))}.Encode()
		}, 4, "signature"},
		{"depth", func(s *signing, n int) []byte {
			signer := s.signer()
			// SignedData, its signers, one of them and its attributes are above it.
			signer.Unsigned = testpki.DER(0xa1, testpki.Attribute("1.2.3.4", nested(n-8)))
			return s.with(signer)
		}, 30, "signature"},
		{"certificates that look like the signer's", func(s *signing, n int) []byte {
			var certs [][]byte
			for range n - 1 {
				certs = append(certs, s.leaf.Raw)
			}
			return testpki.SignedData{Certificates: append(certs, s.leaf.Raw), Signers: [][]byte{s.signer().Encode(s)}}.Encode()
		}, 4, "certificate"},
	}
	n := sharedNetwork(t, "jpec")
	opts := n.options()
	opts.Trust, opts.Directory = trustIn(t, nil, ca.Certificate), nil
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, over := range []bool{false, true} {
				count := test.at
				if over {
					count++
				}
				raw := n.forge(t, caseOf(t, "acceptance"), n.alfa, byHand(ca, leaf, func(s *signing) []byte { return test.make(s, count) }, t))
				m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
				if over {
					wantRefusal(t, m, err, refusal{receipt.Malformed, codeOf(smime.ReasonLimit), test.part})
				} else if err != nil {
					t.Errorf("with %d: %v, want it verified", count, err)
				}
			}
		})
	}
}

// TestLimitOfPublicKeys tries one certificate with the keys of many authorities of
// one name, and then its own.
func TestLimitOfPublicKeys(t *testing.T) {
	var authorities []*x509.Certificate
	for i := range 63 {
		authorities = append(authorities, testpki.Authority(t, fmt.Sprintf("p256 authority %d", i), nil).Certificate)
	}
	ca := testpki.Authority(t, "p256 authority", nil)
	leaf := ca.Issue(t, "p256", nil)
	n := sharedNetwork(t, "jpec")
	raw := n.forge(t, caseOf(t, "acceptance"), n.alfa, byHand(ca, leaf, func(s *signing) []byte { return s.with(s.signer()) }, t))
	opts := n.options()
	opts.Directory = nil
	opts.Trust = trustIn(t, nil, append(authorities[:62:62], ca.Certificate)...)
	if _, err := receipt.Verify(bytes.NewReader(raw), opts); err != nil {
		t.Errorf("with 64 operations: %v, want it verified", err)
	}
	opts.Trust = trustIn(t, nil, append(authorities, ca.Certificate)...)
	m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
	wantRefusal(t, m, err, refusal{receipt.Malformed, codeOf(smime.ReasonLimit), "certificate"})
}

// TestLimitOfAMessage reads a little more than 100 MiB of nothing.
func TestLimitOfAMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	const head = "X-Ricevuta: accettazione\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n"
	in := io.MultiReader(strings.NewReader(head), &repeated{text: strings.Repeat("x", 76) + "\r\n", left: 100<<20 + 1 - int64(len(head))})
	m, err := receipt.VerifyMessage(in, receipt.Options{})
	wantRefusal(t, m, err, refusal{receipt.Malformed, codeOf(smime.ReasonLimit), "message"})
}

// TestHostileMessagesAreCheap gives a megabyte of whatever costs most, and watches
// the memory: at most ten times the message. Time is watched by the test's own
// limit: what is not linear takes minutes.
func TestHostileMessagesAreCheap(t *testing.T) {
	if underRace {
		t.Skip("the race detector needs memory of its own")
	}
	const size = 1 << 20
	n := sharedNetwork(t, "jpec")
	honest := n.forge(t, caseOf(t, "complete delivery"), n.beta, nil)
	outer := outerBoundary(t, honest)
	mark := []byte("\r\n--" + outer + "\r\n")
	inFront := func(text string) []byte {
		return bytes.Replace(honest, mark, append([]byte("\r\n"+strings.Repeat(text, size/len(text))), mark...), 1)
	}
	signed := func(entity string) []byte {
		return n.forge(t, caseOf(t, "acceptance"), n.alfa, &pectest.Tamper{Entity: func([]byte) []byte { return []byte(entity) }})
	}
	mixed := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	data := func(text string) []byte {
		return n.forge(t, caseOf(t, "acceptance"), n.alfa, &pectest.Tamper{CertData: func(d []byte) []byte {
			return append(bytes.TrimSuffix(d, []byte("</dati>\n</postacert>\n")), strings.Repeat(text, (size-len(d))/len(text))...)
		}})
	}
	signature := func(der []byte) []byte {
		return n.forge(t, caseOf(t, "acceptance"), n.alfa, &pectest.Tamper{Signature: func([]byte) []byte { return der }})
	}
	const most = size*3/4 - 64<<10 // of a signature, in a message of that size
	der := testpki.DER
	ca := testpki.Authority(t, "p256 authority", nil)
	leaf := ca.Issue(t, "p256", nil)
	signedData := func(bag [][]byte, unsigned []byte) []byte {
		signer := testpki.Signer{Certificate: leaf, Digest: crypto.SHA256, Unsigned: unsigned, KeyID: []byte{0}}
		one := signer.Encode(t)
		return testpki.SignedData{Certificates: bag, Signers: [][]byte{one, one, one, one}}.Encode()
	}
	large := der(0x30, leaf.RawTBSCertificate, bytes.Repeat([]byte{5, 0}, 100), der(0x04, make([]byte, 20<<10)))
	hostile := map[string][]byte{
		"a signature of nothing":         signature(make([]byte, most)),
		"a signature of NULLs":           signature(der(0x30, bytes.Repeat([]byte{5, 0}, most/2))),
		"a signature without end":        signature(bytes.Repeat([]byte{0x30, 0x80}, most/2)),
		"a signature in itself":          signature(bytes.Repeat([]byte{0x30, 0x83, 0x0b, 0, 0}, most/5)),
		"a signature of one text":        signature(der(0x30, der(0x04, make([]byte, most)))),
		"a signature of pieces of text":  signature(der(0x30, der(0x24, bytes.Repeat([]byte{4, 1, 0}, most/3)))),
		"a signature with certificates":  signature(signedData(slices.Repeat([][]byte{large}, 32), nil)),
		"a signature with many of them":  signature(signedData(slices.Repeat([][]byte{leaf.Raw}, most/len(leaf.Raw)), nil)),
		"a signature of unsigned things": signature(signedData([][]byte{leaf.Raw}, der(0xa1, bytes.Repeat([]byte{5, 0}, 4000)))),
		"a signature of names in pieces": signature(der(0x30, bytes.Repeat(der(0x31, der(0x30, der(0x06, []byte{1}))), most/7))),
		"dashes in front":                inFront("-"),
		"almost delimiters in front":     inFront("\r\n--" + outer + "x"),
		"CRs in front":                   inFront("\r"),
		"dashes behind CRs in front":     inFront("\r-"),
		"almost delimiters behind CRs":   inFront("\r--" + outer + "x"),
		"LFs in front":                   inFront("\n"),
		"lines of dashes in front":       inFront("-\n"),
		"almost delimiters inside":       signed(mixed + strings.Repeat("--bx\r\n", size/6) + "\r\n--b--"),
		"parts without end":              signed(mixed + strings.Repeat("--b\r\n\r\n", size/7) + "\r\n--b--"),
		"nested multiparts":              signed(mixed + strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 20000)),
		"one long field":                 append([]byte("X: "+strings.Repeat("y", size)+"\r\n"), honest...),
		"folded lines":                   append([]byte("X: y\r\n"+strings.Repeat(" y\r\n", size/4)), honest...),
		"many fields To":                 append([]byte(strings.Repeat("To: a@b.example\r\n", 1900)), honest...),
		"a long To":                      replace(t, n.forge(t, caseOf(t, "transport envelope"), n.alfa, nil), "\r\nTo: ", "\r\nTo: "+strings.Repeat("a@b.example, \r\n ", 1900)),
		"a long subject":                 replace(t, honest, "\r\nSubject: ", "\r\nSubject: "+strings.Repeat("=?utf-8?Q?=C3=A0?= \r\n ", 1900)),
		"elements without end":           data("<a>"),
		"comments":                       data("<!---->"),
		"references":                     data("&#97;"),
		"attributes":                     data("<a b='c' "),
		"white space":                    data(" "),
		"names":                          data("<"),
		"base64 of nothing":              signed(mixed + "--b\r\n" + xmlPart + "\r\n" + strings.Repeat("\r\n", size/2) + "\r\n--b--"),
		"quoted-printable of nothing":    signed(mixed + "--b\r\n" + strings.Replace(xmlPart, "base64", "quoted-printable", 1) + "\r\n" + strings.Repeat("=\r\n", size/3) + "\r\n--b--"),
		"header without end":             bytes.Repeat([]byte("X: y\r\n"), size/6),
		"parameters": []byte("X-Ricevuta: accettazione\r\nContent-Type: multipart/signed" +
			strings.Repeat(";a*0=b", 40000) + "\r\n\r\n"),
	}
	for name, raw := range hostile {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := receipt.VerifyMessage(bytes.NewReader(raw), n.options())
			_, parseErr := receipt.Parse(bytes.NewReader(raw), receipt.Limits{})
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 2*10*uint64(max(len(raw), size/4)) {
				t.Errorf("verifying and parsing %d bytes allocated %d, want at most ten times as much each; %v, %v", len(raw), used, err, parseErr)
			}
		})
	}
}
