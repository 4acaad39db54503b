package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/pec/pectest"
	"github.com/ceralacca/go-pec/receipt"
)

// world is a folder with messages of a simulated network, and what belongs to it.
type world struct {
	dir       string
	authority *pectest.Authority
	alfa      *pectest.Provider
	at        time.Time
}

func newWorld(t *testing.T, at time.Time, change func(*x509.Certificate)) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), at: pectest.Rome(at)}
	var err error
	if w.authority, err = pectest.NewAuthority(pectest.AuthorityConfig{Time: at}); err != nil {
		t.Fatal(err)
	}
	if w.alfa, err = w.authority.NewProvider(pectest.ProviderConfig{
		Name: "Gestore Alfa S.p.A.", Domain: "pec.alfa.example", Certificate: change, ECDSA: change == nil,
	}); err != nil {
		t.Fatal(err)
	}
	w.write(t, "issuers.pem", w.authority.IssuerPEM())
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *world) write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := w.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// message writes a message of a kind.
func (w *world) message(t *testing.T, name string, kind pec.Kind, change func(*pectest.Message)) string {
	t.Helper()
	m := pectest.Message{
		Data: pec.CertData{
			Kind:       kind,
			Sender:     pec.MustParseAddress("studio@pec.alfa.example"),
			Recipients: []pec.Recipient{{Address: pec.MustParseAddress("comune@pec.alfa.example"), Type: pec.RecipientCertified}, {Address: pec.MustParseAddress("info@mail.example"), Type: pec.RecipientOrdinary}},
			Subject:    "Sollecito n. 17",
			Time:       w.at,
			ID:         "alfa1.1@pec.alfa.example",
			MessageID:  "<1@pec.alfa.example>",
		},
		Original: strings.NewReader(strings.ReplaceAll(original, "pec.beta.example", "pec.alfa.example")),
	}
	if change != nil {
		change(&m)
	}
	var b bytes.Buffer
	if err := w.alfa.Compose(&b, m); err != nil {
		t.Fatal(err)
	}
	return w.write(t, name, b.Bytes())
}

var present = time.Date(2026, time.September, 4, 8, 15, 30, 0, time.UTC)

// now is the flag that makes the present that of the messages.
const now = "-now=2026-09-04T10:20:00+02:00"

// call runs the program in this process.
func call(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// objects reads the JSON lines of an output.
func objects(t *testing.T, out string) []map[string]any {
	t.Helper()
	var list []map[string]any
	for line := range strings.Lines(out) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("not a JSON object: %v\n%s", err, line)
		}
		list = append(list, object)
	}
	return list
}

// fields are those of an object, in their order.
var fields = []string{
	"file", "verdict", "reason", "detail", "kind", "msgid", "identificativo", "mittente", "gestore", "recipient",
	"recipients", "errore", "errore_esteso", "date", "signer_email", "remarks", "ms",
}

// verifiedObject is what is shown of an acceptance.
func verifiedObject(file string) map[string]any {
	return map[string]any{
		"file": file, "verdict": "verified", "reason": nil, "detail": nil,
		"kind": "accettazione", "msgid": "<1@pec.alfa.example>", "identificativo": "alfa1.1@pec.alfa.example",
		"mittente": "studio@pec.alfa.example", "gestore": "Gestore Alfa S.p.A.", "recipient": nil,
		"recipients": []any{"comune@pec.alfa.example", "info@mail.example"},
		"errore":     "nessuno", "errore_esteso": nil, "date": "2026-09-04T08:15:30Z",
		"signer_email": "posta-certificata@pec.alfa.example",
		"remarks":      []any{"revocation-not-checked", "time-claimed", "directory-not-consulted"},
	}
}

// refusedObject is what is shown of anything else: nothing that it says itself.
func refusedObject(file, verdict, reason, detail string) map[string]any {
	o := map[string]any{"file": file, "verdict": verdict, "reason": reason, "detail": detail, "remarks": []any{}}
	for _, name := range fields {
		if _, ok := o[name]; !ok && name != "ms" {
			o[name] = nil
		}
	}
	return o
}

// TestJSON compares the output for each verdict, and for each shape of data, field
// for field.
func TestJSON(t *testing.T) {
	w := newWorld(t, present, nil)
	comune := pec.MustParseAddress("comune@pec.alfa.example")
	with := func(file string, changes map[string]any) map[string]any {
		o := verifiedObject(file)
		for name, value := range changes {
			o[name] = value
		}
		return o
	}
	acceptance := w.message(t, "acceptance.eml", pec.KindAcceptance, nil)
	failure := w.message(t, "failure.eml", pec.KindDeliveryError, func(m *pectest.Message) {
		m.Data.Error, m.Data.ErrorDetail, m.Data.Delivery = pec.ErrorNoRecipient, "5.1.1 - Gestore <Alfa> & - casella\x20inesistente", comune
	})
	anonymous := w.message(t, "anonymous.eml", pec.KindAcceptance, func(m *pectest.Message) { m.Data.MessageID = "" })
	transport := w.message(t, "transport.eml", pec.KindTransport, nil)
	anomaly := w.message(t, "anomaly.eml", pec.KindAnomaly, nil)
	altered := w.message(t, "altered.eml", pec.KindAcceptance, func(m *pectest.Message) {
		m.Tamper = &pectest.Tamper{Altered: func(b []byte) []byte { return bytes.Replace(b, []byte("comune@"), []byte("altro@"), 1) }}
	})
	unsigned := w.message(t, "unsigned.eml", pec.KindAcceptance, func(m *pectest.Message) { m.Tamper = &pectest.Tamper{Unsigned: true} })
	ordinary := w.write(t, "ordinary.eml", []byte("Subject: x\r\n\r\nHello.\r\n"))
	raw, err := os.ReadFile(acceptance)
	if err != nil {
		t.Fatal(err)
	}
	short := w.write(t, "short.eml", raw[:len(raw)-100])
	issuers := "-issuers=" + w.path("issuers.pem")
	tests := []struct {
		name string
		args []string
		want map[string]any
	}{
		{"acceptance", []string{issuers, acceptance}, verifiedObject(acceptance)},
		{"failure", []string{issuers, failure}, with(failure, map[string]any{
			"kind": "errore-consegna", "recipient": "comune@pec.alfa.example", "errore": "no-dest",
			"errore_esteso": "5.1.1 - Gestore <Alfa> & - casella inesistente",
		})},
		{"without Message-ID", []string{issuers, anonymous}, with(anonymous, map[string]any{"msgid": nil})},
		{"transport envelope", []string{issuers, transport}, with(transport, map[string]any{"kind": "posta-certificata"})},
		{"anomaly envelope", []string{issuers, anomaly}, with(anomaly, map[string]any{
			"kind": "anomalia", "msgid": nil, "identificativo": nil, "mittente": nil, "gestore": nil, "recipients": nil, "errore": nil, "date": nil,
		})},
		{"altered", []string{issuers, altered}, refusedObject(altered, "rejected", "content-altered", "signed part: content differs from what was signed (RFC 5652, section 5.4)")},
		{"other authority", []string{acceptance}, refusedObject(acceptance, "rejected", "untrusted-issuer", "certificate (RFC 6109, section 2.2.2)")},
		{"nobody to judge by", []string{"-only-issuers", acceptance}, refusedObject(acceptance, "parsed-but-unverified", "no-anchor", "certificate")},
		{"not signed", []string{issuers, unsigned}, refusedObject(unsigned, "parsed-but-unverified", "not-signed", "header: not multipart/signed")},
		{"ordinary", []string{issuers, ordinary}, refusedObject(ordinary, "parsed-but-unverified", "not-pec", "header")},
		{"cut short", []string{issuers, short}, refusedObject(short, "malformed", "bad-mime", "message: close delimiter missing (RFC 2046, section 5.1)")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, out, errs := call(t, "", append([]string{"-json", now}, test.args...)...)
			list := objects(t, out)
			if len(list) != 1 || errs != "" {
				t.Fatalf("%d objects, and on the standard error %q, want one and nothing", len(list), errs)
			}
			if ms, ok := list[0]["ms"].(float64); !ok || ms < 0 {
				t.Errorf("ms = %v, want a number", list[0]["ms"])
			}
			delete(list[0], "ms")
			if diff := cmp.Diff(test.want, list[0]); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
			wantStatus := exitRefused
			if test.want["verdict"] == "verified" {
				wantStatus = exitVerified
			}
			if status != wantStatus {
				t.Errorf("status %d, want %d", status, wantStatus)
			}
			var names []string
			for _, m := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(out, -1) {
				names = append(names, m[1])
			}
			if !slices.Equal(names, fields) {
				t.Errorf("fields %q, want %q", names, fields)
			}
		})
	}
}

// verdicts runs the program and returns verdict and reason of each message.
func verdicts(t *testing.T, stdin string, args ...string) (int, []string) {
	t.Helper()
	status, out, errs := call(t, stdin, append([]string{"-json"}, args...)...)
	if errs != "" {
		t.Errorf("standard error: %s", errs)
	}
	var list []string
	for _, o := range objects(t, out) {
		verdict := o["verdict"].(string)
		if reason, ok := o["reason"].(string); ok {
			verdict += " " + reason
		}
		list = append(list, verdict)
	}
	return status, list
}

// TestFlags tries each flag with a message for which it makes a difference.
func TestFlags(t *testing.T) {
	w := newWorld(t, present, nil)
	issuers := "-issuers=" + w.path("issuers.pem")
	acceptance := w.message(t, "acceptance.eml", pec.KindAcceptance, nil)
	crl := func(name string, at time.Time, revoked ...x509.RevocationListEntry) string {
		list, err := w.authority.CRL(at, revoked...)
		if err != nil {
			t.Fatal(err)
		}
		return "-crl=" + w.write(t, name, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw}))
	}
	revoked := func(at time.Time) x509.RevocationListEntry {
		return x509.RevocationListEntry{SerialNumber: w.alfa.Certificate().SerialNumber, RevocationTime: at}
	}
	ldif, err := w.authority.LDIF()
	if err != nil {
		t.Fatal(err)
	}
	p7m, err := w.authority.SignedLDIF()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pectest.NewAuthority(pectest.AuthorityConfig{Name: "Stranger", Time: present})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.NewProvider(pectest.ProviderConfig{Name: "Altri", Domain: "pec.alfa.example", ECDSA: true})
	if err != nil {
		t.Fatal(err)
	}
	otherLDIF, err := stranger.LDIF()
	if err != nil {
		t.Fatal(err)
	}
	otherP7M, err := stranger.SignedLDIF()
	if err != nil {
		t.Fatal(err)
	}
	both := "-issuers=" + w.write(t, "both.pem", append(stranger.IssuerPEM(), w.authority.IssuerPEM()...))
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"without -issuers", []string{now}, "rejected untrusted-issuer"},
		{"-issuers", []string{now, issuers}, "verified"},
		{"-issuers with several", []string{now, both}, "verified"},
		{"-only-issuers", []string{now, issuers, "-only-issuers"}, "verified"},
		{"-only-issuers without -issuers", []string{now, "-only-issuers"}, "parsed-but-unverified no-anchor"},
		{"-now before", []string{"-now=2026-09-04T07:15:29Z", issuers}, "rejected future"},
		{"-now an hour before", []string{"-now=2026-09-04T07:15:30Z", issuers}, "verified"},
		{"-now years later", []string{"-now=2040-01-01T00:00:00Z", issuers}, "verified"},
		{"-crl that does not list it", []string{now, issuers, crl("good.pem", present)}, "verified"},
		{"-crl that lists it", []string{now, issuers, crl("bad.pem", present, revoked(present.Add(-time.Hour)))}, "rejected revoked"},
		{"-crl that lists it later", []string{now, issuers, crl("later.pem", present.AddDate(0, 0, 2), revoked(present.Add(time.Hour)))}, "verified"},
		{"-directory", []string{now, issuers, "-directory=" + w.write(t, "dir.ldif", ldif)}, "verified"},
		{"-directory signed", []string{now, issuers, "-directory=" + w.write(t, "dir.ldif.p7m", p7m)}, "verified"},
		{"-directory of others", []string{now, issuers, "-directory=" + w.write(t, "other.ldif", otherLDIF)}, "rejected signer-not-listed"},
		{"-directory signed by others, who are trusted", []string{now, both, "-directory=" + w.write(t, "other.p7m", otherP7M)}, "rejected signer-not-listed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got := verdicts(t, "", append(test.args, acceptance)...)
			if !slices.Equal(got, []string{test.want}) {
				t.Errorf("%q: %q, want %q", test.args, got, test.want)
			}
		})
	}

	t.Run("-crl and -directory leave no remark", func(t *testing.T) {
		_, out, _ := call(t, "", "-json", now, issuers, crl("good.pem", present), "-directory="+w.path("dir.ldif"), acceptance)
		if got := fmt.Sprint(objects(t, out)[0]["remarks"]); got != "[time-claimed]" {
			t.Errorf("remarks %s, want [time-claimed]", got)
		}
	})
	t.Run("-directory signed by a stranger", func(t *testing.T) {
		status, out, errs := call(t, "", now, issuers, "-directory="+w.path("other.p7m"), acceptance)
		if status != exitUsage || out != "" || !strings.Contains(errs, "other.p7m") {
			t.Errorf("status %d, output %q, error %q, want %d and an error that names the file", status, out, errs, exitUsage)
		}
	})
}

// TestLegacy judges a message of 2014.
func TestLegacy(t *testing.T) {
	w := newWorld(t, time.Date(2014, 11, 14, 17, 26, 32, 0, time.UTC), func(c *x509.Certificate) {
		c.SignatureAlgorithm = x509.SHA1WithRSA
	})
	file := w.message(t, "old.eml", pec.KindAcceptance, nil)
	issuers := "-issuers=" + w.path("issuers.pem")
	for arg, want := range map[string]string{"-legacy": "verified", "-legacy=false": "rejected legacy-certificate"} {
		if _, got := verdicts(t, "", issuers, arg, file); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", arg, got, want)
		}
	}
}

// TestInputs names files, folders and the standard input.
func TestInputs(t *testing.T) {
	w := newWorld(t, present, nil)
	issuers := "-issuers=" + w.path("issuers.pem")
	good := w.message(t, "in/a.eml", pec.KindAcceptance, nil)
	w.message(t, "in/deeper/B.EML", pec.KindAcceptance, nil)
	w.write(t, "in/deeper/c.txt", []byte("not looked at"))
	bad := w.write(t, "bad/d.eml", []byte("Subject: x\r\n\r\n"))
	raw, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	const verified, notPEC, noMessage = "verified", "parsed-but-unverified not-pec", "malformed bad-head"
	tests := []struct {
		name   string
		stdin  string
		args   []string
		want   []string
		status int
	}{
		{"file", "", []string{good}, []string{verified}, exitVerified},
		{"file that ends in something else", "", []string{w.write(t, "e.dat", raw)}, []string{verified}, exitVerified},
		{"two files", "", []string{good, bad}, []string{verified, notPEC}, exitRefused},
		{"folder", "", []string{w.path("in")}, []string{verified, verified}, exitVerified},
		{"folder and file", "", []string{bad, w.path("in")}, []string{notPEC, verified, verified}, exitRefused},
		{"standard input", string(raw), []string{"-"}, []string{verified}, exitVerified},
		{"standard input and a file", "", []string{"-", good}, []string{noMessage, verified}, exitRefused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, got := verdicts(t, test.stdin, append([]string{now, issuers}, test.args...)...)
			if status != test.status || !slices.Equal(got, test.want) {
				t.Errorf("status %d, %q, want %d, %q", status, got, test.status, test.want)
			}
		})
	}
}

// TestWhatCannotBeRead puts all sorts of things beside a good message, which must
// be verified all the same.
func TestWhatCannotBeRead(t *testing.T) {
	w := newWorld(t, present, nil)
	raw, err := os.ReadFile(w.message(t, "in/z.eml", pec.KindAcceptance, nil))
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "in/a-empty.eml", nil)
	w.write(t, "in/b-junk.eml", bytes.Repeat([]byte{0xff, 0, '\r', 0x80, '\n'}, 10_000))
	want := []string{"malformed bad-head", "malformed bad-head"}
	if err := os.MkdirAll(w.path("in/folder.eml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		w.write(t, "in/c-\xe0 in Latin 1.eml", raw)
		want = append(want, "verified")
		for name, target := range map[string]string{"in/d-nowhere.eml": "nothing.eml", "in/e-link.eml": "z.eml", "in/f-circle.eml": ".", "in/g-circle": ".", "link": "in"} {
			if err := os.Symlink(target, w.path(name)); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, "malformed unreadable", "verified")
	}
	want = append(want, "verified")
	for _, folder := range []string{"in", "link"} {
		if _, err := os.Stat(w.path(folder)); err != nil {
			continue
		}
		status, got := verdicts(t, "", now, "-issuers="+w.path("issuers.pem"), w.path(folder))
		if status != exitRefused || !slices.Equal(got, want) {
			t.Errorf("%s: status %d, %q, want %d, %q", folder, status, got, exitRefused, want)
		}
	}

	// A folder that can't be opened, as the walk tells of it.
	var found folderMessages
	if err := found.visit("locked", nil, fs.ErrPermission); err != nil || len(found) != 1 {
		t.Fatalf("visit = %v, %d messages, want the walk to go on, and one", err, len(found))
	}
	if r := found[0].verify(receipt.Options{}); !errors.Is(r.err, fs.ErrPermission) || verdict(r.err) != receipt.Malformed {
		t.Errorf("verify = %v, want it malformed, and the reason", r.err)
	}
}

// TestWrongUsage calls the program in wrong ways.
func TestWrongUsage(t *testing.T) {
	w := newWorld(t, present, nil)
	good := w.message(t, "a.eml", pec.KindAcceptance, nil)
	garbage := w.write(t, "garbage", []byte("garbage"))
	if err := os.Mkdir(w.path("empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	leaf := w.write(t, "leaf.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.alfa.Certificate().Raw}))
	broken := w.write(t, "broken.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	brokenCRL := w.write(t, "broken.crl", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte("x")}))
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"unknown flag", []string{"-jsno", good}, "-jsno"},
		{"flag without value", []string{"-issuers"}, "-issuers"},
		{"bad switch", []string{"-legacy=perhaps", good}, "-legacy"},
		{"bad time", []string{"-now=yesterday", good}, "-now"},
		{"no such file", []string{w.path("nothing.eml")}, "nothing.eml"},
		{"folder without messages", []string{w.path("empty")}, ".eml"},
		{"no such issuers", []string{"-issuers=" + w.path("nothing.pem"), good}, "nothing.pem"},
		{"issuers that are not PEM", []string{"-issuers=" + garbage, good}, "garbage"},
		{"issuers that are not certificates", []string{"-issuers=" + broken, good}, "broken.pem"},
		{"issuers that are no authority", []string{"-issuers=" + leaf, good}, "leaf.pem"},
		{"no such list", []string{"-crl=" + w.path("nothing.crl"), good}, "nothing.crl"},
		{"lists that are not PEM", []string{"-crl=" + garbage, good}, "garbage"},
		{"lists that are none", []string{"-crl=" + brokenCRL, good}, "broken.crl"},
		{"no such directory", []string{"-directory=" + w.path("nothing.ldif"), good}, "nothing.ldif"},
		{"directory that is none", []string{"-directory=" + garbage, good}, "garbage"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, out, errs := call(t, "", test.args...)
			if status != exitUsage || out != "" || !strings.Contains(errs, test.says) {
				t.Errorf("status %d, output %q, error %q, want %d, nothing and an error with %q", status, out, errs, exitUsage, test.says)
			}
		})
	}
	status, out, errs := call(t, "", "-json", w.path("nothing.eml"), good, w.path("empty"), good)
	if status != exitUsage || len(objects(t, out)) != 2 || !strings.Contains(errs, "nothing.eml") || !strings.Contains(errs, "empty") {
		t.Errorf("two files and two names of nothing: status %d, %q, %q, want %d, two objects and both names", status, out, errs, exitUsage)
	}
	status, _, errs = call(t, "", "-h")
	if status != exitVerified || !strings.Contains(errs, "usage: verify [flags] FILE|FOLDER|-...") {
		t.Errorf("-h: status %d, %q, want %d and the usage", status, errs, exitVerified)
	}
}

// golden compares text with a file, or writes the file with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestReport compares what people get to read. Without arguments the samples are
// verified, which needs no file.
func TestReport(t *testing.T) {
	status, out, errs := call(t, "")
	if status != exitVerified || errs != "" {
		t.Errorf("status %d, error %q, want %d and none", status, errs, exitVerified)
	}
	golden(t, "samples.txt", out)

	status, out, errs = call(t, "", "-issuers=sample/issuers.pem", "sample/altered", "sample/1-acceptance.eml", "sample/directory.ldif")
	if status != exitRefused || errs != "" {
		t.Errorf("status %d, error %q, want %d and none", status, errs, exitRefused)
	}
	golden(t, "refused.txt", strings.ReplaceAll(out, `\`, "/"))

	status, out, _ = call(t, "", "-json")
	if list := objects(t, out); status != exitVerified || len(list) != len(sampleMessages()) {
		t.Errorf("-json: status %d, %d objects, want %d and the samples, and nothing else", status, len(list), exitVerified)
	}
}

// TestNothingOfAMessageReachesTheTerminal puts commands for terminals into all
// that an attacker chooses.
func TestNothingOfAMessageReachesTheTerminal(t *testing.T) {
	const evil = "\x1b[2J\u202e\u009b31m\r\nVERIFIED  everything"
	w := newWorld(t, present, nil)
	file := w.message(t, "evil.eml", pec.KindDeliveryError, func(m *pectest.Message) {
		m.Data.Error, m.Data.Delivery = pec.ErrorOther, m.Data.Recipients[0].Address
		m.Data.Subject, m.Data.ErrorDetail, m.Data.Issuer = evil[4:], evil[4:], evil[4:] // XML has no ESC
		m.Tamper = &pectest.Tamper{Header: func(f []pectest.Field) []pectest.Field {
			return slices.DeleteFunc(f, func(f pectest.Field) bool { return f.Name == "Subject" })
		}}
	})
	commands := func(out string) {
		t.Helper()
		if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' || r == '\u202e' || r == '\u009b' }); i >= 0 {
			t.Errorf("a control character got through at %d:\n%q", i, out)
		}
	}
	_, out, _ := call(t, "", now, "-issuers="+w.path("issuers.pem"), file)
	if strings.Count(out, "\nVERIFIED") != 0 || !strings.HasPrefix(out, "VERIFIED  ") {
		t.Errorf("a line was faked, or the message not verified:\n%q", out)
	}
	commands(out)
	_, out, _ = call(t, "", "-json", now, "-issuers="+w.path("issuers.pem"), file)
	commands(out)
	if got := objects(t, out)[0]["errore_esteso"]; strings.ReplaceAll(evil[4:], "\r\n", "\n") != got && evil[4:] != got {
		t.Errorf("errore_esteso = %q, want what the message holds, %q", got, evil[4:])
	}
	if runtime.GOOS == "windows" {
		return
	}
	named := w.write(t, "\x1b[2J\nVERIFIED  x.eml", []byte("Subject: x\r\n\r\n"))
	if _, out, _ := call(t, "", named); strings.ContainsRune(out, '\x1b') || strings.Contains(out, "\nVERIFIED") {
		t.Errorf("the name of a file got through:\n%q", out)
	}
}

// TestColour writes colours to terminals, and to nothing else.
func TestColour(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // as good as one: a character device
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if runtime.GOOS != "windows" && !newReport(terminal).colour {
		t.Error("no colour on a terminal")
	}
	if newReport(file).colour || newReport(io.Discard).colour {
		t.Error("colour in a file")
	}
	t.Setenv("NO_COLOR", "1")
	if newReport(terminal).colour {
		t.Error("colour in spite of NO_COLOR")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if newReport(terminal).colour {
		t.Error("colour on a dumb terminal")
	}
	var b bytes.Buffer
	r := &report{w: &b, colour: true, counts: make(map[receipt.Verdict]int)}
	if err := r.print(result{name: "x", err: errors.New("y")}); err != nil || !strings.HasPrefix(b.String(), "\x1b[1;31mUNREADABLE") {
		t.Errorf("print = %v, %q, want it red", err, b.String())
	}
}

// failingWriter fails.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestOutputThatFails must not look like success.
func TestOutputThatFails(t *testing.T) {
	for _, args := range [][]string{{"sample/1-acceptance.eml"}, {"-json", "sample/1-acceptance.eml"}} {
		var errs bytes.Buffer
		status := run(append([]string{"-issuers=sample/issuers.pem"}, args...), strings.NewReader(""), failingWriter{}, &errs)
		if status != exitRefused || !strings.Contains(errs.String(), "disk full") {
			t.Errorf("%q: status %d, %q, want %d and the error", args, status, errs.String(), exitRefused)
		}
	}
}

// TestWordsForEverything checks that nothing is told without an explanation.
func TestWordsForEverything(t *testing.T) {
	codes := 0
	for file, pattern := range map[string]string{
		"../../receipt/verdict.go": `\bCode\w+\s+Code = "([^"]+)"`,
		"../../smime/reason.go":    `\bReason\w+\s+Reason = "([^"]+)"`,
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
			codes++
			if explanations[m[1]] == "" && m[1] != string(receipt.CodeNotReceipt) { // envelopes are no error here
				t.Errorf("the code %q has no explanation", m[1])
			}
		}
	}
	if codes < 30 {
		t.Errorf("%d codes were found: that can't be all", codes)
	}
	b, err := os.ReadFile("../../receipt/receipt.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`Remark\w+ +RemarkCode = "([^"]+)"`).FindAllStringSubmatch(string(b), -1) {
		if remarks[receipt.RemarkCode(m[1])] == "" && m[1] != string(receipt.RemarkSigningTime) { // its own words tell both times
			t.Errorf("the remark %q has no words", m[1])
		}
	}
	for _, kind := range pec.Kinds() {
		if meanings[kind] == "" || kind.LegalName(pec.ErrorNone) == "" {
			t.Errorf("the kind %q has no words", kind)
		}
	}
	for _, c := range receipt.Causes() {
		if retries[c.Retry] == "" || faults[c.Fault] == "" {
			t.Errorf("the cause %q has no words for its advice", c.Code)
		}
	}
	for _, v := range []receipt.Verdict{receipt.Verified, receipt.Rejected, receipt.Inconclusive, receipt.Malformed} {
		if headlines[v].words == "" {
			t.Errorf("the verdict %q has no words", v)
		}
	}
}

// TestBinary builds the program and looks at its exit status, which "go run"
// hides.
func TestBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	binary := filepath.Join(t.TempDir(), "verify.exe")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	good, err := os.ReadFile("sample/3-delivery.eml")
	if err != nil {
		t.Fatal(err)
	}
	issuers := "-issuers=sample/issuers.pem"
	tests := []struct {
		args []string
		want int
	}{
		{nil, exitVerified},
		{[]string{"-json"}, exitVerified},
		{[]string{issuers, "sample/3-delivery.eml"}, exitVerified},
		{[]string{issuers, "-directory=sample/directory.ldif", "sample/3-delivery.eml"}, exitVerified},
		{[]string{issuers, "-"}, exitVerified},
		{[]string{"sample/3-delivery.eml"}, exitRefused},
		{[]string{issuers, "sample"}, exitRefused}, // the altered one is among them
		{[]string{"-nothing"}, exitUsage},
		{[]string{"nothing.eml"}, exitUsage},
	}
	for _, test := range tests {
		cmd := exec.Command(binary, test.args...)
		cmd.Stdin = bytes.NewReader(good)
		out, err := cmd.Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != test.want {
			t.Errorf("verify %q: exit status %d, want %d\n%s", test.args, got, test.want, out)
		}
		if bytes.ContainsRune(out, '\x1b') {
			t.Errorf("verify %q: colour without a terminal", test.args)
		}
	}
}
