package receipt_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// corpusDir holds real messages. It is not part of this repository, since they
// hold other people's data. Failures must not print them.
const corpusDir = "../../shared/corpus"

// corpus returns the messages of a folder by their names.
func corpus(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpusDir, folder, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("NOT TESTED: the corpus of real messages is not there")
	}
	messages := make(map[string][]byte)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		messages[strings.TrimSuffix(filepath.Base(file), ".eml")] = raw
	}
	return messages
}

// stored returns a message as mail stores keep it: as it is, with LF and with CRLF.
func stored(raw []byte) map[string][]byte {
	lf := bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	return map[string][]byte{"as found": raw, "LF": lf, "CRLF": bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))}
}

// realOptions trust the real authorities.
func realOptions(t *testing.T) receipt.Options {
	t.Helper()
	trust, err := smime.NewTrust(receipt.Anchors())
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Options{Trust: trust, Legacy: true}
}

// intact is what is known of the real messages that nobody altered. All are
// digested with SHA-1.
var intact = []struct {
	name   string
	kind   pec.Kind
	at     string
	issuer string
	legacy bool
	form   pec.ReceiptType // asked for
}{
	{"aruba_2014_accettazione", pec.KindAcceptance, "2014-11-14T18:26:32+01:00", "ARUBA", true, ""},
	{"aruba_2014_accettazione_lf", pec.KindAcceptance, "2014-11-14T18:26:32+01:00", "ARUBA", true, ""},
	{"aruba_2014_avvenuta-consegna_completa", pec.KindDelivery, "2014-11-14T18:26:32+01:00", "ARUBA", true, pec.ReceiptComplete},
	{"aruba_2014_avvenuta-consegna_completa_lf", pec.KindDelivery, "2014-11-14T18:26:32+01:00", "ARUBA", true, pec.ReceiptComplete},
	{"aruba_2014_posta-certificata_a", pec.KindTransport, "2014-11-07T16:52:00+01:00", "ARUBA", true, pec.ReceiptComplete},
	{"aruba_2018_accettazione", pec.KindAcceptance, "2018-11-13T16:39:26+01:00", "ARUBA", false, ""},
	{"aruba_2018_accettazione_extra-trailing-newline", pec.KindAcceptance, "2018-11-13T16:39:26+01:00", "ARUBA", false, ""},
	{"sogei_2018_posta-certificata_sdi-RC", pec.KindTransport, "2018-11-13T16:47:32+01:00", "Sogei", false, pec.ReceiptBrief},
}

func TestIntact(t *testing.T) {
	messages := corpus(t, "intact")
	if len(messages) != len(intact) {
		t.Errorf("%d messages in the folder, %d in the table", len(messages), len(intact))
	}
	opts := realOptions(t)
	for _, want := range intact {
		for form, raw := range stored(messages[want.name]) {
			t.Run(want.name+"/"+form, func(t *testing.T) {
				m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
				if err != nil {
					t.Fatal(err)
				}
				d := dataOf(m)
				if d == nil {
					t.Fatalf("VerifyMessage gave a %T, which certifies nothing", m)
				}
				if m.Kind() != want.kind || d.Kind != want.kind {
					t.Errorf("Kind() = %q, want %q", m.Kind(), want.kind)
				}
				if got := d.Time.Format(time.RFC3339); got != want.at {
					t.Errorf("certified at %s, want %s", got, want.at)
				}
				if !strings.HasPrefix(d.Issuer, want.issuer) || d.Error != pec.ErrorNone || d.ReceiptType != want.form {
					t.Errorf("issuer, errore or ricevuta are not as expected; errore is %q, ricevuta %q", d.Error, d.ReceiptType)
				}
				if diffData(d, independentData(t, raw)) != "" {
					t.Error("the certified data are not what another reader finds")
				}
				remarks := "time-claimed directory-not-consulted"
				if want.legacy {
					remarks = "legacy-certificate " + remarks
				}
				if got := remarkCodes(m); got != remarks {
					t.Errorf("remarks %q, want %q", got, remarks)
				}
				if m.Remarks()[0].Code != receipt.RemarkWeakDigest {
					t.Error("no remark on SHA-1")
				}
				opts := opts
				opts.Legacy = false
				_, err = receipt.VerifyMessage(bytes.NewReader(raw), opts)
				if want.legacy != errors.Is(err, smime.ReasonLegacy) || !want.legacy && err != nil {
					t.Errorf("without Legacy: %v", err)
				}
			})
		}
	}
}

// TestSameMessageStoredTwice compares copies of one message.
func TestSameMessageStoredTwice(t *testing.T) {
	messages := corpus(t, "intact")
	opts := realOptions(t)
	verify := func(name string) receipt.Message {
		m, err := receipt.VerifyMessage(bytes.NewReader(messages[name]), opts)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for a, b := range map[string]string{
		"aruba_2014_accettazione":               "aruba_2014_accettazione_lf",
		"aruba_2014_avvenuta-consegna_completa": "aruba_2014_avvenuta-consegna_completa_lf",
		"aruba_2018_accettazione":               "aruba_2018_accettazione_extra-trailing-newline",
	} {
		if verify(a).SignedDigest() != verify(b).SignedDigest() {
			t.Errorf("%s and %s have different digests", a, b)
		}
	}
	acceptance, delivery := dataOf(verify("aruba_2014_accettazione")), dataOf(verify("aruba_2014_avvenuta-consegna_completa"))
	if acceptance.ID != delivery.ID || acceptance.MessageID != delivery.MessageID || !acceptance.Sender.Equal(delivery.Sender) {
		t.Error("acceptance and delivery of one send do not match")
	}
}

// TestProveReal undoes what the provider did to an original, which gives the
// message that was sent.
func TestProveReal(t *testing.T) {
	raw := corpus(t, "intact")["aruba_2014_avvenuta-consegna_completa"]
	r, err := receipt.Verify(bytes.NewReader(raw), realOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	original, err := io.ReadAll(r.Original().Of(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	d := r.Data()
	var sent []byte
	for line := range bytes.Lines(original) {
		switch {
		case bytes.HasPrefix(line, []byte(pec.HeaderReference+":")):
		case bytes.HasPrefix(bytes.ToLower(line), []byte("message-id:")):
			sent = append(sent, "Message-ID: "+d.MessageID+"\r\n"...)
		default:
			sent = append(sent, line...)
		}
	}
	for _, change := range []struct {
		old, new string
		want     receipt.ProofResult
	}{
		{"", "", receipt.Proven},
		{"Subject: ", "Subject: x", receipt.Disproven},
		{"\r\n\r\n", "\r\n\r\nx", receipt.Disproven},
	} {
		changed := bytes.Replace(sent, []byte(change.old), []byte(change.new), 1)
		p, err := r.Prove(bytes.NewReader(raw), bytes.NewReader(changed))
		if err != nil || p.Result != change.want {
			t.Errorf("Prove, with %q for %q: %+v, %v, want %s", change.new, change.old, p, err, change.want)
		}
	}
}

func TestBroken(t *testing.T) {
	opts := realOptions(t)
	for name, raw := range corpus(t, "broken") {
		for form, raw := range stored(raw) {
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
			if m != nil || receipt.VerdictOf(err) != receipt.Rejected {
				t.Errorf("%s, %s: %v, want it rejected", name, form, err)
			}
			isAltered := errors.Is(err, smime.ReasonDigest)
			if strings.HasPrefix(name, "sogei_2019_") {
				isAltered = isAltered || errors.Is(err, receipt.CodeNoCertData)
			}
			if !isAltered {
				t.Errorf("%s, %s: %v, want that the content was altered", name, form, err)
			}
			if u, err := receipt.Parse(bytes.NewReader(raw), receipt.Limits{}); err != nil || u.Class().Suspicious {
				t.Errorf("%s, %s: Parse: %v", name, form, err)
			}
		}
	}
}

func TestStructure(t *testing.T) {
	opts := realOptions(t)
	for name, raw := range corpus(t, "structure") {
		for form, raw := range stored(raw) {
			m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
			if m != nil || err == nil || receipt.VerdictOf(err) == "" {
				t.Errorf("%s, %s: %v, want a refusal", name, form, err)
			}
			if _, err := receipt.Parse(bytes.NewReader(raw), receipt.Limits{}); err != nil {
				t.Errorf("%s, %s: Parse: %v", name, form, err)
			}
		}
	}
}

func TestRealREM(t *testing.T) {
	opts := realOptions(t)
	for name, raw := range corpus(t, "rem/Intra-REM-flow") {
		_, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
		want := receipt.CodeREM
		if !strings.HasPrefix(name, "REM_") {
			want = receipt.CodeNotPEC // the message that a user wrote
		}
		if receipt.VerdictOf(err) != receipt.Inconclusive || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// independentData finds and decodes daticert.xml with the standard library, which
// is too lax to judge by and good enough to compare with.
func independentData(t *testing.T, raw []byte) *pec.CertData {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return findData(t, m.Header.Get("Content-Type"), m.Body)
}

func findData(t *testing.T, contentType string, body io.Reader) *pec.CertData {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "multipart/signed" && mediaType != "multipart/mixed" {
		return nil
	}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		if part.FileName() == "daticert.xml" {
			var in io.Reader = part
			if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "base64") {
				in = base64.NewDecoder(base64.StdEncoding, part)
			}
			d, err := pec.ReadCertData(in)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		if d := findData(t, part.Header.Get("Content-Type"), part); d != nil {
			return d
		}
	}
}

// opensslPath returns the openssl command, and skips the test where there is none.
func opensslPath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err == nil {
		return path
	}
	if os.Getenv("GOPEC_REQUIRE_TOOLS") != "" {
		t.Fatal("no openssl command, and GOPEC_REQUIRE_TOOLS is set")
	}
	t.Skip("NOT TESTED: no openssl command on this machine, so nothing was compared with it")
	return ""
}

// verifyWithOpenSSL returns the signed content of a message, which openssl
// verifies as of a time under certificates in PEM.
func verifyWithOpenSSL(t *testing.T, raw, cas []byte, at time.Time) []byte {
	t.Helper()
	openssl := opensslPath(t)
	dir := t.TempDir()
	in, ca, out := filepath.Join(dir, "in.eml"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "out.eml")
	for file, b := range map[string][]byte{in: raw, ca: cas} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Level 0 admits SHA-1 and short keys; -partial_chain makes the issuing
	// authority an anchor, as it is here.
	cmd := exec.Command(openssl, "cms", "-verify", "-in", in, "-CAfile", ca, "-partial_chain",
		"-attime", fmt.Sprint(at.Unix()), "-auth_level", "0", "-out", out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl cms -verify: %v\n%s", err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestOpenSSLFindsTheSame verifies the real messages, and messages of every kind
// in every dialect, with another program, and compares what it says was signed.
func TestOpenSSLFindsTheSame(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, raw, cas []byte, opts receipt.Options) {
		m, err := receipt.VerifyMessage(bytes.NewReader(raw), opts)
		if err != nil {
			t.Fatal(err)
		}
		d := dataOf(m)
		content := verifyWithOpenSSL(t, raw, cas, d.Time)
		inner, err := mail.ReadMessage(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if diffData(d, findData(t, inner.Header.Get("Content-Type"), inner.Body)) != "" {
			t.Error("what openssl says was signed holds other data")
		}
	}
	t.Run("real", func(t *testing.T) {
		messages := corpus(t, "intact")
		var cas []byte
		for _, pattern := range []string{"agid-ca1-repo/*AgID*.pem", "digitpa-ca1/*.pem", "signers/AgID_CA1*.pem"} {
			for _, file := range glob(t, filepath.Join(corpusDir, "trust", pattern)) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				cas = append(append(cas, b...), '\n')
			}
		}
		for name, raw := range messages {
			t.Run(name, func(t *testing.T) { check(t, raw, cas, realOptions(t)) })
		}
	})
	t.Run("composed", func(t *testing.T) {
		for _, dialect := range dialectNames {
			n := sharedNetwork(t, dialect)
			for _, c := range kindCases {
				t.Run(dialect+"/"+c.name, func(t *testing.T) {
					check(t, n.forge(t, c, n.issuer(c), nil), n.authority.IssuerPEM(), n.options())
				})
			}
		}
	})
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return files
}

// TestAnchors checks the facts that are built in, and compares them with the
// certificates that they were taken from.
func TestAnchors(t *testing.T) {
	anchors := receipt.Anchors()
	var names []string
	for _, a := range anchors {
		names = append(names, a.Name)
		if a.NotBefore.IsZero() || !a.NotBefore.Before(a.NotAfter) || len(a.Subject) == 0 || a.PublicKey == nil {
			t.Errorf("%s: a fact is missing", a.Name)
		}
	}
	if want := []string{"AgID CA1", "DigitPA CA1"}; !slices.Equal(names, want) {
		t.Fatalf("Anchors() are %q, want %q", names, want)
	}
	evil := receipt.Anchors()
	evil[0].Name, evil[0].Constraints.Mail[0] = "evil", "mail.example"
	if again := receipt.Anchors()[0]; again.Name == "evil" || again.Constraints.Mail[0] == "mail.example" {
		t.Error("the built-in anchors can be changed from outside")
	}
	if _, err := os.Stat(corpusDir); err != nil {
		t.Skip("NOT TESTED against the certificates: the corpus is not there")
	}
	var domains []string
	var last time.Time
	for _, file := range append(glob(t, filepath.Join(corpusDir, "trust", "agid-ca1-repo", "*AgID*CA1*.pem")), glob(t, filepath.Join(corpusDir, "trust", "signers", "AgID_CA1*.pem"))...) {
		a := anchorOf(t, file)
		if !bytes.Equal(a.Subject, anchors[0].Subject) || !a.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(anchors[0].PublicKey) {
			t.Errorf("%s is not of the name and key that are built in", filepath.Base(file))
		}
		for _, d := range a.Constraints.Mail {
			if !slices.Contains(domains, d) {
				domains = append(domains, d)
			}
		}
		if a.NotAfter.After(last) {
			last = a.NotAfter
		}
	}
	slices.Sort(domains)
	if got := slices.Sorted(slices.Values(anchors[0].Constraints.Mail)); !slices.Equal(got, domains) {
		t.Errorf("the permitted mail domains are not the union of those of the certificates: %d, want %d", len(got), len(domains))
	}
	if !anchors[0].NotAfter.Equal(last) {
		t.Errorf("AgID CA1 counts until %s, want the end of the latest certificate, %s", anchors[0].NotAfter, last)
	}
	old := anchorOf(t, glob(t, filepath.Join(corpusDir, "trust", "digitpa-ca1", "*.pem"))[0])
	if !bytes.Equal(old.Subject, anchors[1].Subject) || !old.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(anchors[1].PublicKey) {
		t.Error("DigitPA CA1 is not of the name and key that are built in")
	}
}

func anchorOf(t *testing.T, file string) smime.Anchor {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s is not PEM", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a, err := smime.AnchorFromCertificate(cert)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
