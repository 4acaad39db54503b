package pec_test

import (
	"bytes"
	"encoding/json"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// fields returns the fields of a profile that are known, by their JSON names.
func fields(t *testing.T, p pec.Profile) map[string]json.RawMessage {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestProfilesHaveSources holds the data to its promise: a dated source for each
// fact, and none for what is not there.
func TestProfilesHaveSources(t *testing.T) {
	profiles := pec.Profiles()
	if len(profiles) == 0 {
		t.Fatal("Profiles() is empty")
	}
	names, domains := make(map[string]bool), make(map[string]bool)
	for _, p := range profiles {
		if p.Name == "" || names[p.Name] {
			t.Errorf("profile %q: the name is empty or stands twice", p.Name)
		}
		names[p.Name] = true
		known := fields(t, p)
		for name := range known {
			if name == "name" || name == "sources" {
				continue
			}
			source, ok := p.Sources[name]
			if !ok || source.From == "" {
				t.Errorf("%s: %s has no source", p.Name, name)
			}
			if _, err := time.Parse(time.DateOnly, source.Read); err != nil {
				t.Errorf("%s: %s was read on %q, want a date", p.Name, name, source.Read)
			}
		}
		for name := range p.Sources {
			if known[name] == nil {
				t.Errorf("%s: a source for %s, which is not known", p.Name, name)
			}
		}
		for _, domain := range p.Domains {
			if domain != strings.ToLower(domain) || domains[domain] {
				t.Errorf("%s: domain %q is not in lower case or stands twice", p.Name, domain)
			}
			domains[domain] = true
			if got, ok := pec.ProfileForDomain(strings.ToUpper(domain)); !ok || got.Name != p.Name {
				t.Errorf("ProfileForDomain(%q) = %q, %v, want %q", domain, got.Name, ok, p.Name)
			}
		}
		for _, extension := range p.BlockedExtensions {
			if !regexp.MustCompile(`^\.[a-z0-9]+$`).MatchString(extension) {
				t.Errorf("%s: blocked extension %q, want a dot and lower case", p.Name, extension)
			}
		}
		for _, hostport := range []string{p.SMTP, p.IMAP} {
			if host, port, err := net.SplitHostPort(hostport); hostport != "" && (err != nil || host == "" || port != "465" && port != "993") {
				t.Errorf("%s: %q is not a host and a port for TLS", p.Name, hostport)
			}
		}
	}
}

func TestProfilesStrictJSON(t *testing.T) {
	text, err := json.Marshal(pec.Profiles())
	if err != nil {
		t.Fatal(err)
	}
	var back []pec.Profile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(back); !bytes.Equal(text, again) {
		t.Errorf("profiles as JSON, read and written again:\n%s\nwant\n%s", again, text)
	}
	if err := json.Unmarshal([]byte(`{"throttlePatterns": ["("]}`), new(pec.Profile)); err == nil {
		t.Error("a pattern that is no regular expression was read")
	}
}

func TestProfilesAreCopies(t *testing.T) {
	pec.Profiles()[0].Domains[0] = "changed.example"
	if _, ok := pec.ProfileForDomain("changed.example"); ok {
		t.Error("changing what Profiles returned changed the profiles")
	}
}

func TestProfileForDomain(t *testing.T) {
	for domain, want := range map[string]string{
		"pec.it": "Aruba PEC", "PEC.aruba.it": "Aruba PEC", "legalmail.it": "InfoCert Legalmail", "postecert.it": "Poste Italiane",
		"x.pec.it": "", "it": "", "": "", "pec.alfa.example": "", "notpec.it": "",
	} {
		if p, ok := pec.ProfileForDomain(domain); p.Name != want || ok != (want != "") {
			t.Errorf("ProfileForDomain(%q) = %q, %v, want %q", domain, p.Name, ok, want)
		}
	}
}

func TestThrottlePatterns(t *testing.T) {
	p, _ := pec.ProfileForDomain("legalmail.it")
	throttled := func(reply string) bool {
		return slices.ContainsFunc(p.ThrottlePatterns, func(r *regexp.Regexp) bool { return r.MatchString(reply) })
	}
	for reply, want := range map[string]bool{
		`550 MAIL from: <a@b.example> blocked "Class Of Service" - Too much traffic from this sender`: true,
		"550 too much traffic from this sender":                                                       true,
		"550 5.1.1 user unknown":                                                                      false,
		"":                                                                                            false,
	} {
		if got := throttled(reply); got != want {
			t.Errorf("%q: throttled = %v, want %v", reply, got, want)
		}
	}
}

func TestProfileOrDefault(t *testing.T) {
	def := pec.DefaultProfile()
	if def.MaxRecipients != 1 || def.MaxTotalBytes != 30_000_000 || def.PerMinute != 6 || def.Connections != 1 || !def.SenderMustEqualLogin {
		t.Errorf("DefaultProfile() = %+v, want the careful values", def)
	}
	if got := (pec.Profile{}).OrDefault(); !reflect.DeepEqual(got, def) {
		t.Errorf("the zero profile gives %+v, want %+v", got, def)
	}
	if got := (pec.Profile{MaxRecipients: -1, MaxTotalBytes: -1}).OrDefault(); got.MaxRecipients != 1 || got.MaxTotalBytes != 30_000_000 {
		t.Errorf("negative limits give %+v, want the careful values", got)
	}
	aruba, _ := pec.ProfileForDomain("pec.it")
	got := aruba.OrDefault()
	if got.Name != "Aruba PEC" || got.MaxRecipients != 500 || got.MaxTotalBytes != 100_000_000 || got.PerMinute != 6 || got.PerDay != 0 {
		t.Errorf("OrDefault() = %+v, want what is known, and careful values for the rest", got)
	}
}
