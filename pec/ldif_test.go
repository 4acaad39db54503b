package pec_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ceralacca/go-pec/pec"
)

func hexHash(der string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(der))) }

func inBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// alfa is one provider's record.
var alfa = "dn: providerName=Alfa,o=postacert\n" +
	"objectClass: provider\n" +
	"providerName: Alfa\n" +
	"providerCertificateHash: " + hexHash("certificate") + "\n" +
	"providerCertificate;binary:: " + inBase64("certificate") + "\n" +
	"mailReceipt: servizio@pec.alfa.example\n" +
	"managedDomains: pec.alfa.example\n"

func wantAlfa() pec.Provider {
	return pec.Provider{
		Name:           "Alfa",
		ServiceMailbox: pec.MustParseAddress("servizio@pec.alfa.example"),
		Domains:        []string{"pec.alfa.example"},
		Certificates:   [][]byte{[]byte("certificate")},
	}
}

func TestReadLDIF(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(alfa, old, new, 1) }
	root := "dn: o=postacert\nobjectclass: top\nobjectclass: organization\nobjectClass: LDIFLocationURLObject\n" +
		"o: postacert\nLDIFLocationURL: https://igpec.example/igpec.ldif.p7m\ndescription: Base root\n"
	secondary := "dn: providerUnit=Due, providerName=Alfa\n ,o=postacert\nobjectclass: top\nobjectclass: provider\nproviderName: Alfa\n" +
		"providerUnit: Due\nproviderCertificateHash:\n " + strings.ToUpper(hexHash("certificate")) + "\n" +
		"providerCertificate;binary::\n " + inBase64("certificate")[:5] + "\n " + inBase64("certificate")[5:] + "\n" +
		"mailReceipt: servizio@due.alfa.example\nmanagedDomains: due.alfa.example\n"
	due := wantAlfa()
	due.Unit, due.ServiceMailbox, due.Domains = "Due", pec.MustParseAddress("servizio@due.alfa.example"), []string{"due.alfa.example"}
	with := func(change func(p *pec.Provider)) []pec.Provider {
		p := wantAlfa()
		change(&p)
		return []pec.Provider{p}
	}
	one := []pec.Provider{wantAlfa()}
	tests := []struct {
		name, reason, file string
		want               []pec.Provider
	}{
		{"one record", "", alfa, one},
		{"nothing", "a file without providers lists none", "", nil},
		{"root", "it is no provider", root + "\n" + alfa, one},
		{"no empty line", "the RFC's example has none after the root", root + alfa, one},
		{"empty lines within", "the RFC's example has them", replace("mailReceipt", "\n\n\nmailReceipt"), one},
		{"secondary environment", "folded as the RFC does", root + alfa + secondary, []pec.Provider{wantAlfa(), due}},
		{"version", "RFC 2849", "version: 1\n\n" + alfa, one},
		{"CR LF", "as HTTP servers may have it", strings.ReplaceAll(alfa, "\n", "\r\n"), one},
		{"comments", "folded too", "# a\n b\n" + replace("mailReceipt", "# comment\n #x\nmailReceipt"), one},
		{"names in other case", "LDAP knows none", strings.NewReplacer("objectClass", "OBJECTCLASS", "providerCertificate;binary", "ProviderCertificate;Binary", "managedDomains", "manageddomains", "dn:", "DN:").Replace(alfa), one},
		{"class in other case", "caseIgnore", replace(": provider\n", ": Provider\n"), one},
		{"without ;binary", "the value is the same", replace(";binary", ""), one},
		{"unknown attributes and records", "skipped", "dn: cn=x\nobjectclass: person\n" + alfa + "telephoneNumber: 1\n", one},
		{"objectClass last", "attributes have no order", replace("objectClass: provider\n", "") + "objectClass: provider\n", one},
		{"name in base64", "not ASCII", replace("providerName: Alfa", "providerName:: "+inBase64("Società Alfa")), with(func(p *pec.Provider) { p.Name = "Società Alfa" })},
		{"name in UTF-8", "not RFC 2849, but RFC 6109, section 4.5.6", replace("providerName: Alfa", "providerName: Società Alfa"), with(func(p *pec.Provider) { p.Name = "Società Alfa" })},
		{"domain in capitals", "kept in lower case", replace("managedDomains: pec", "managedDomains: PEC"), one},
		{"many domains", "in their order", alfa + "managedDomains: b.example\nmanagedDomains: a.example\n", with(func(p *pec.Provider) { p.Domains = append(p.Domains, "b.example", "a.example") })},
		{"two certificates", "renewal", alfa + "providerCertificateHash: " + hexHash("new") + "\nproviderCertificate;binary:: " + inBase64("new") + "\n",
			with(func(p *pec.Provider) { p.Certificates = append(p.Certificates, []byte("new")) })},
		{"hash alone", "the certificate is not given", alfa + "providerCertificateHash: " + hexHash("new") + "\n",
			with(func(p *pec.Provider) { p.Hashes = [][sha1.Size]byte{sha1.Sum([]byte("new"))} })},
		{"hash before and after", "once is enough", alfa + "providerCertificateHash: " + hexHash("certificate") + "\n", one},
		{"all there is", "location and description", alfa + "LDIFLocationURL: https://alfa.example/x.p7m\ndescription: primo\ndescription: secondo\n",
			with(func(p *pec.Provider) { p.LDIFLocation, p.Description = "https://alfa.example/x.p7m", "primo" })},
		{"no line end", "at the end", strings.TrimRight(alfa, "\n"), one},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := pec.ReadLDIF(strings.NewReader(test.file))
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("ReadLDIF(%s) = %+v, %v, want %+v (%s)", test.file, got, err, test.want, test.reason)
			}
		})
	}
}

// TestReadLDIFRefuses marks the line at fault with a ¶, which is taken out.
func TestReadLDIFRefuses(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(alfa, old, new, 1) }
	tests := []struct{ name, reason, file string }{
		{"before the first dn", "no record", "¶objectClass: provider\n" + alfa},
		{"version 2", "unknown", "¶version: 2\n" + alfa},
		{"no colon", "no attribute", replace("mailReceipt", "¶mail\nmailReceipt")},
		{"no name", "no attribute", replace("mailReceipt", "¶: x\nmailReceipt")},
		{"blank in a name", "no attribute", replace("mailReceipt", "¶mail x: y\nmailReceipt")},
		{"escape in the name of an attribute", "no attribute", replace("mailReceipt", "¶mail\x1b[2J: y\nmailReceipt")},
		{"fold of nothing", "after an empty line", replace("mailReceipt", "\n¶ x: y\nmailReceipt")},
		{"value by URL", "nothing is fetched", replace("mailReceipt: servizio@pec.alfa.example", "¶mailReceipt:< file:///etc/passwd")},
		{"change record", "not a directory", replace("objectClass", "¶changetype: delete\nobjectClass")},
		{"bad base64", "not a value", replace("providerName: Alfa", "¶providerName:: A*")},
		{"loose base64", "two texts for one value", replace("providerName: Alfa", "¶providerName:: QR==")},
		{"NUL in a name", "not a text", replace("providerName: Alfa", "¶providerName:: "+inBase64("a\x00b"))},
		{"escape in a name", "not a text", replace("providerName: Alfa", "¶providerName: \x1b[2J")},
		{"not UTF-8", "not a text", replace("providerName: Alfa", "¶providerName: \xe9")},
		{"name twice", "which one?", replace("mailReceipt", "¶providerName: Alfa\nmailReceipt")},
		{"empty name", "which one?", replace("providerName: Alfa", "¶providerName:")},
		{"service mailbox twice", "which one?", alfa + "¶mailReceipt: a@b.example\n"},
		{"service mailbox with a name", "an address", replace("mailReceipt: servizio", "¶mailReceipt: Alfa <servizio")},
		{"bad domain", "a domain", alfa + "¶managedDomains: pec..example\n"},
		{"wildcard domain", "a domain", alfa + "¶managedDomains: *.example\n"},
		{"international domain", "a domain", alfa + "¶managedDomains: città.example\n"},
		{"hash too short", "SHA-1", alfa + "¶providerCertificateHash: 00ff\n"},
		{"hash in other digits", "hexadecimal", alfa + "¶providerCertificateHash: " + strings.Repeat("0g", 20) + "\n"},
		{"certificate as text", "base64", alfa + "¶providerCertificate;binary: abc\n"},
		{"empty certificate", "base64", alfa + "¶providerCertificate;binary::\n"},
		{"hash of another certificate", "they disagree", strings.Replace(replace("providerCertificate;binary", "¶providerCertificate;binary"), hexHash("certificate"), hexHash("another"), 1)},
		{"certificate without hash", "it must have one", strings.Replace(replace("providerCertificate;binary", "¶providerCertificate;binary"), "providerCertificateHash: "+hexHash("certificate")+"\n", "", 1)},
		{"second certificate without hash", "it must have one", alfa + "¶providerCertificate;binary:: " + inBase64("new") + "\n"},
		{"no certificate", "a provider has one", "¶dn: x\nobjectClass: provider\nproviderName: Alfa\n" + alfa},
		{"no name at all", "a provider has one", "¶" + strings.Replace(alfa, "providerName: Alfa\n", "", 1)},
		{"secondary environment with a location", "RFC 6109, section 4.5.6", "¶" + alfa + "providerUnit: Due\nLDIFLocationURL: https://alfa.example/x\n"},
		{"long line", "bounded", alfa + "¶description: " + strings.Repeat("x", 64<<10)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, after, ok := strings.Cut(test.file, "¶")
			if !ok {
				t.Fatal("the test marks no line")
			}
			got, err := pec.ReadLDIF(strings.NewReader(before + after))
			var at *pec.LDIFError
			if got != nil || !errors.Is(err, pec.ErrLDIF) || !errors.As(err, &at) {
				t.Fatalf("ReadLDIF = %+v, %v, want an LDIFError (%s)", got, err, test.reason)
			}
			if want := 1 + strings.Count(before, "\n"); at.Line != want {
				t.Errorf("ReadLDIF: %v, want it on line %d (%s)", err, want, test.reason)
			}
			if strings.Contains(err.Error(), "example") {
				t.Errorf("error %q repeats the file", err)
			}
		})
	}
}

func TestReadLDIFLimits(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(alfa), repeat("# comment\n"))
	if _, err := pec.ReadLDIF(endless); !errors.Is(err, pec.ErrLDIF) {
		t.Errorf("ReadLDIF of an endless file: %v, want ErrLDIF", err)
	}
	if _, err := pec.ReadLDIF(io.MultiReader(strings.NewReader(strings.Repeat(alfa, 10_001)))); !errors.Is(err, pec.ErrLDIF) {
		t.Errorf("ReadLDIF of 10,001 records: %v, want ErrLDIF", err)
	}
	broken := errors.New("broken")
	if _, err := pec.ReadLDIF(io.MultiReader(strings.NewReader(alfa), iotest.ErrReader(broken))); !errors.Is(err, broken) || errors.Is(err, pec.ErrLDIF) {
		t.Errorf("ReadLDIF of a broken reader: %v, want its error", err)
	}
}

// repeat is a reader that repeats a text for ever.
type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for len(p)-n >= len(r) {
		n += copy(p[n:], r)
	}
	if n == 0 {
		n = copy(p, r)
	}
	return n, nil
}

func TestWriteLDIF(t *testing.T) {
	list := providers()
	list[0].Description = " blanks around: and a colon "
	var file bytes.Buffer
	if err := pec.WriteLDIF(&file, list); err != nil {
		t.Fatalf("WriteLDIF: %v", err)
	}
	back, err := pec.ReadLDIF(bytes.NewReader(file.Bytes()))
	if err != nil || !reflect.DeepEqual(back, list) {
		t.Errorf("ReadLDIF(%s) = %+v, %v, want %+v", &file, back, err, list)
	}
	for line := range strings.Lines(file.String()) {
		if len(line) > 77 {
			t.Errorf("line of %d bytes, want at most 76: %q", len(line)-1, line)
		}
	}
	for _, want := range []string{
		"version: 1\ndn: o=postacert\n",
		"\n\ndn: providerUnit=Secondario,providerName=Gestore Alfa S.p.A.,o=postacert\n",
		"\nproviderCertificateHash: " + strings.ToUpper(hexHash("certificate alfa 2")) + "\n",
		"\nproviderName:: " + inBase64("Gestore Beta, «così» + altri") + "\n",
	} {
		if !strings.Contains(file.String(), want) {
			t.Errorf("WriteLDIF wrote %s, want %q in it", &file, want)
		}
	}
	if dn := "dn:: " + inBase64(`providerName=Gestore Beta\, «così» \+ altri,o=postacert`); !strings.Contains(strings.ReplaceAll(file.String(), "\n ", ""), dn) {
		t.Errorf("WriteLDIF wrote %s, want the escaped name %q", &file, dn)
	}
}

func TestWriteLDIFRefuses(t *testing.T) {
	tests := []struct {
		name, reason string
		change       func(p *pec.Provider)
	}{
		{"no name", "required", func(p *pec.Provider) { p.Name = "" }},
		{"no certificate", "required", func(p *pec.Provider) { p.Certificates = nil }},
		{"empty certificate", "no certificate", func(p *pec.Provider) { p.Certificates = [][]byte{{}} }},
		{"bad domain", "not one", func(p *pec.Provider) { p.Domains = []string{"a b"} }},
		{"line end in a name", "two attributes", func(p *pec.Provider) { p.Name = "Alfa\nmailReceipt: x@y.example" }},
		{"secondary environment with a location", "RFC 6109, section 4.5.6", func(p *pec.Provider) { p.Unit = "Due" }},
	}
	for _, test := range tests {
		p := providers()[0]
		test.change(&p)
		var file bytes.Buffer
		var at *pec.LDIFError
		if err := pec.WriteLDIF(&file, []pec.Provider{p}); !errors.As(err, &at) || file.Len() > 0 {
			t.Errorf("%s: WriteLDIF wrote %q, error %v, want nothing and an LDIFError (%s)", test.name, &file, err, test.reason)
		}
	}
	broken := errors.New("broken")
	if err := pec.WriteLDIF(brokenWriter{broken}, providers()); !errors.Is(err, broken) {
		t.Errorf("WriteLDIF to a broken writer: %v, want its error", err)
	}
}

func FuzzLDIF(f *testing.F) {
	var file bytes.Buffer
	if err := pec.WriteLDIF(&file, providers()); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", alfa, file.String(), "version: 1\ndn: o=postacert\n", "dn:: b289cG9zdGFjZXJ0\n", "# x\n y\n", "dn: a\n b\n\n c: d\n",
		strings.ReplaceAll(alfa, "\n", "\r\n"), "dn: x\nobjectClass: provider\nproviderName: y\nproviderCertificateHash: " + hexHash("") + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := pec.ReadLDIF(bytes.NewReader(raw))
		if err != nil {
			var at *pec.LDIFError
			if list != nil || !errors.As(err, &at) || !errors.Is(err, pec.ErrLDIF) || at.Line > 1+bytes.Count(raw, []byte("\n")) {
				t.Errorf("ReadLDIF(%q) = %+v, %v", raw, list, err)
			}
			return
		}
		var file bytes.Buffer
		if err := pec.WriteLDIF(&file, list); err != nil {
			t.Fatalf("WriteLDIF(%+v), read from %q: %v", list, raw, err)
		}
		if back, err := pec.ReadLDIF(&file); err != nil || !reflect.DeepEqual(back, list) {
			t.Errorf("ReadLDIF(%q) = %+v, written and read again %+v, %v", raw, list, back, err)
		}
		directory := pec.NewDirectory(list)
		for i, p := range list {
			for _, domain := range p.Domains {
				if !slices.Contains(directory.ByDomain(strings.ToUpper(domain)), &list[i]) {
					t.Errorf("ByDomain(%q) does not find its provider", domain)
				}
			}
			for _, der := range p.Certificates {
				if !slices.Contains(directory.ByCertificate(der), &list[i]) {
					t.Errorf("ByCertificate(%q) does not find its provider", der)
				}
			}
		}
	})
}
