package pec_test

import (
	"crypto/sha1"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

// providers is a small directory. The certificates are not real ones: nothing
// here looks into them.
func providers() []pec.Provider {
	return []pec.Provider{
		{
			Name:           "Gestore Alfa S.p.A.",
			ServiceMailbox: pec.MustParseAddress("servizio@pec.alfa.example"),
			Domains:        []string{"pec.alfa.example", "comune.alfa.example"},
			Certificates:   [][]byte{[]byte("certificate alfa 1"), []byte("certificate alfa 2")},
			LDIFLocation:   "https://alfa.example/alfa.ldif.p7m",
			Description:    "Servizi di posta certificata",
		},
		{
			Name:           "Gestore Alfa S.p.A.",
			Unit:           "Secondario",
			ServiceMailbox: pec.MustParseAddress("servizio@secondario.alfa.example"),
			Domains:        []string{"secondario.alfa.example"},
			Certificates:   [][]byte{[]byte("certificate alfa 1")},
		},
		{
			Name:           "Gestore Beta, «così» + altri",
			ServiceMailbox: pec.MustParseAddress("servizio@pec.beta.example"),
			Domains:        []string{"pec.beta.example"},
			Hashes:         [][sha1.Size]byte{sha1.Sum([]byte("certificate beta"))},
		},
	}
}

// label tells the records of providers apart.
func label(found []*pec.Provider) string {
	s := ""
	for _, p := range found {
		s += "[" + p.Name + "/" + p.Unit + "]"
	}
	return s
}

func TestDirectoryByDomain(t *testing.T) {
	var d pec.Directory = pec.NewDirectory(providers())
	tests := []struct{ name, reason, domain, want string }{
		{"listed", "", "pec.alfa.example", "[Gestore Alfa S.p.A./]"},
		{"other case", "domains have none", "PEC.Alfa.example", "[Gestore Alfa S.p.A./]"},
		{"secondary", "a record of its own", "secondario.alfa.example", "[Gestore Alfa S.p.A./Secondario]"},
		{"sub-domain", "another domain", "x.pec.alfa.example", ""},
		{"parent", "another domain", "alfa.example", ""},
		{"suffix", "another domain", "evilpec.alfa.example", ""},
		{"with a dot", "another spelling is no match", "pec.alfa.example.", ""},
		{"nothing", "no domain", "", ""},
	}
	for _, test := range tests {
		if got := label(d.ByDomain(test.domain)); got != test.want {
			t.Errorf("%s: ByDomain(%q) = %s, want %s (%s)", test.name, test.domain, got, test.want, test.reason)
		}
	}
}

func TestDirectoryByCertificate(t *testing.T) {
	var d pec.Directory = pec.NewDirectory(providers())
	tests := []struct{ name, reason, der, want string }{
		{"in two records", "an environment may share the certificate", "certificate alfa 1", "[Gestore Alfa S.p.A./][Gestore Alfa S.p.A./Secondario]"},
		{"second of a record", "renewal: both are listed", "certificate alfa 2", "[Gestore Alfa S.p.A./]"},
		{"by hash", "the record has no more", "certificate beta", "[Gestore Beta, «così» + altri/]"},
		{"unknown", "not listed", "certificate gamma", ""},
		{"nothing", "no certificate", "", ""},
	}
	for _, test := range tests {
		if got := label(d.ByCertificate([]byte(test.der))); got != test.want {
			t.Errorf("%s: ByCertificate(%q) = %s, want %s (%s)", test.name, test.der, got, test.want, test.reason)
		}
	}
}

func TestDirectoryHoldsItsAnswers(t *testing.T) {
	list := providers()
	list[1].Domains = []string{"PEC.alfa.example", "pec.alfa.example"}
	d := pec.NewDirectory(list)
	found := d.ByDomain("pec.alfa.example")
	if got, want := label(found), "[Gestore Alfa S.p.A./][Gestore Alfa S.p.A./Secondario]"; got != want {
		t.Errorf("ByDomain = %s, want each record once: %s", got, want)
	}
	found[0] = nil
	if again := d.ByDomain("pec.alfa.example"); again[0] == nil {
		t.Error("changing an answer changed the directory")
	}
	var none pec.ProviderIndex
	if none.ByDomain("pec.alfa.example") != nil || none.ByCertificate([]byte("certificate alfa 1")) != nil {
		t.Error("the zero directory knows somebody")
	}
}

func TestProviderLists(t *testing.T) {
	p := providers()[0]
	if !p.Lists([]byte("certificate alfa 1")) || p.Lists([]byte("certificate alfa 3")) {
		t.Error("Lists does not tell a listed certificate from another")
	}
}
