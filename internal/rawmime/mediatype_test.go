package rawmime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/limit"
	"github.com/ceralacca/go-pec/internal/rawmime"
)

// mediaCases are values of Content-Type; want is the type and then "name=value"
// of the parameters to look for; "" means that the value is refused.
var mediaCases = []struct {
	name, value string
	want        []string
	reason      string
}{
	{"type only", "text/plain", []string{"text/plain"}, "the normal case"},
	{"upper case", "Multipart/SIGNED; MicAlg=SHA1", []string{"multipart/signed", "micalg=SHA1"}, "names have no case, values do"},
	{"disposition", `inline; filename="daticert.xml"`, []string{"inline", "filename=daticert.xml"}, "the same form"},
	{"white space", "a/b \t;\tc \t=  d ; e=f", []string{"a/b", "c=d", "e=f"}, "folding leaves it behind"},
	{"quoted", `a/b; c="d;e=\"f\"\\ "`, []string{"a/b", `c=d;e="f"\ `}, "RFC 5322, section 3.2.4"},
	{"empty quoted", `a/b; c=""`, []string{"a/b", "c="}, "that is a value"},
	{"semicolon at the end", "a/b; c=d;", []string{"a/b", "c=d"}, "mailers write it"},
	{"unquoted boundary", "a/b; boundary=--=_Part?1/2:3", []string{"a/b", "boundary=--=_Part?1/2:3"}, "mailers write it"},
	{"charset'language'text", "a/b; name*=utf-8'it'dati%63ert.xml", []string{"a/b", "name=daticert.xml"}, "RFC 2231, section 4"},
	{"ISO charset", "a/b; name*=iso-8859-1''perch%E9", []string{"a/b", "name=perch\xe9"}, "the standard library drops it"},
	{"charset of Windows", "a/b; name*=Windows-1252''a%93", []string{"a/b", "name=a\x93"}, "ASCII looks the same in it"},
	{"no charset named", "a/b; name*=''a", []string{"a/b", "name=a"}, "RFC 2231 allows that"},
	{"quoted extended", `a/b; name*="utf-8''a%20b"`, []string{"a/b", "name=a b"}, "mailers write it"},
	{"pieces", `a/b; name*0=dati; name*1="cert"; name*2=.xml`, []string{"a/b", "name=daticert.xml"}, "RFC 2231, section 3"},
	{"pieces in any order", "a/b; name*1=2; name*0=1", []string{"a/b", "name=12"}, "the numbers count"},
	{"encoded pieces", "a/b; name*0*=utf-8''da%74i; name*1=%74; name*2*=cert%2exml", []string{"a/b", "name=dati%74cert.xml"}, "RFC 2231, section 4.1"},
	{"twice, but the same", "a/b; name=daticert.xml; name*=utf-8''daticert.xml", []string{"a/b", "name=daticert.xml"}, "mailers write both for old readers"},
	{"32 parameters", "a/b" + params(32), []string{"a/b", "p31=v"}, "as many as allowed"},
	{"32 pieces", "a/b" + pieces(32), []string{"a/b", "name=" + strings.Repeat("x", 32)}, "as many as allowed"},

	{"nothing", "", nil, "no type"},
	{"no type", "; a=b", nil, "no type"},
	{"text after the type", "a/b c", nil, "not a type"},
	{"comment", "a/b (comment)", nil, "readers differ"},
	{"8 bits", "a/b; name=à", nil, "not a token"},
	{"no value", "a/b; c", nil, "not a parameter"},
	{"empty value", "a/b; c=; d=e", nil, "not a parameter"},
	{"no name", "a/b; =c", nil, "not a parameter"},
	{"two semicolons", "a/b;; c=d", nil, "readers stop there or go on"},
	{"no semicolon", "a/b; c=d e=f", nil, "two parameters, or one, or none"},
	{"text after quotes", `a/b; c="d"e`, nil, "the same"},
	{"quotes without end", `a/b; c="d`, nil, "the value has no end"},
	{"backslash at the end", `a/b; c="d\`, nil, "the value has no end"},
	{"escape that is not needed", `a/b; c="d\e"`, nil, "readers undo it or not"},
	{"escape in a boundary", `a/b; boundary="d\"e"`, nil, "readers undo it or not"},
	{"escape in a piece of a boundary", `a/b; boundary*0="d\\e"`, nil, "readers undo it or not"},
	{"twice", "a/b; c=d; C=d", nil, "readers differ in which one counts"},
	{"twice, once extended", "a/b; name=a.xml; name*=utf-8''b.xml", nil, "the same"},
	{"twice, once in pieces", "a/b; name=a; name*0=b", nil, "the same"},
	{"twice, extended first", "a/b; name*=utf-8''b.xml; name=a.xml", nil, "the same"},
	{"piece twice", "a/b; name*0=a; name*0*=utf-8''b", nil, "the same"},
	{"later piece twice", "a/b; name*0=a; name*1=b; name*1*=c", nil, "the same"},
	{"piece missing", "a/b; name*0=a; name*2=b", nil, "readers join it or not"},
	{"first piece missing", "a/b; name*1=a", nil, "the same"},
	{"only a far piece", "a/b; name*31=a", nil, "the same"},
	{"piece with zeros", "a/b; name*0=a; name*01=b", nil, "RFC 2231, section 3, forbids them"},
	{"piece without number", "a/b; name*x=a", nil, "no such thing"},
	{"extended without name", "a/b; *=utf-8''x", nil, "not a parameter"},
	{"no charset", "a/b; name*=daticert.xml", nil, "readers show it or drop it"},
	{"no language", "a/b; name*=utf-8'daticert.xml", nil, "the same"},
	{"charset that hides ASCII", "a/b; name*=UTF-7''+AGQ-aticert.xml", nil, "one reader sees daticert.xml"},
	{"another", "a/b; name*0*=utf-16''d%00a; name*1=b", nil, "the same"},
	{"EBCDIC", "a/b; name*=IBM037''%84%81", nil, "the same"},
	{"unknown charset", "a/b; name*=x-own''a", nil, "nobody can tell what is in it"},
	{"bad escape", "a/b; name*=utf-8''a%2", nil, "cut short"},
	{"another bad escape", "a/b; name*=utf-8''a%zz", nil, "not hexadecimal"},
	{"bad escape in a piece", "a/b; name*0=a; name*1*=%z0", nil, "not hexadecimal"},
	{"NUL", "a/b; name*=utf-8''daticert.xml%00.txt", nil, "the name ends here for some readers"},
	{"line end", "a/b; name*=utf-8''a%0d%0ab", nil, "no name holds one"},
	{"33 parameters", "a/b" + params(33), nil, "one more"},
	{"33 pieces", "a/b" + pieces(33), nil, "one more"},
}

func params(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "; p%d=v", i)
	}
	return b.String()
}

func pieces(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "; name*%d=x", i)
	}
	return b.String()
}

func TestParseMediaType(t *testing.T) {
	for _, c := range mediaCases {
		t.Run(c.name, func(t *testing.T) {
			mt, err := rawmime.ParseMediaType(c.value)
			if c.want == nil {
				if !errors.Is(err, rawmime.ErrMediaType) || mt != nil {
					t.Errorf("ParseMediaType(%q) = %v, %v, want ErrMediaType (%s)", c.value, mt, err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatalf("ParseMediaType(%q): %v (%s)", c.value, err, c.reason)
			}
			if mt.Type != c.want[0] {
				t.Errorf("ParseMediaType(%q): type %q, want %q", c.value, mt.Type, c.want[0])
			}
			for _, p := range c.want[1:] {
				name, want, _ := strings.Cut(p, "=")
				if got, ok := mt.Param(name); !ok || got != want {
					t.Errorf("ParseMediaType(%q): %s = %q, %v, want %q (%s)", c.value, name, got, ok, want, c.reason)
				}
			}
			if got, ok := mt.Param("none"); ok {
				t.Errorf("ParseMediaType(%q): a parameter that is not there = %q", c.value, got)
			}
		})
	}
}

func TestMediaTypeLimit(t *testing.T) {
	_, err := rawmime.ParseMediaType("a/b" + params(33))
	var passed *limit.Error
	if !errors.As(err, &passed) || passed.Max != 32 {
		t.Errorf("33 parameters: %v, want a limit of 32", err)
	}
}

func FuzzMediaType(f *testing.F) {
	for _, c := range mediaCases {
		f.Add(c.value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		mt, err := rawmime.ParseMediaType(value)
		if err != nil {
			if !errors.Is(err, rawmime.ErrMediaType) {
				t.Errorf("ParseMediaType(%q): %v is not ErrMediaType", value, err)
			}
			return
		}
		if mt.Type == "" || mt.Type != strings.ToLower(mt.Type) {
			t.Errorf("ParseMediaType(%q): type %q", value, mt.Type)
		}
		// A second parameter of the same name is always found out.
		if _, ok := mt.Param("boundary"); ok {
			if _, err := rawmime.ParseMediaType(strings.TrimRight(value, "; \t") + "; boundary=other-than-any"); err == nil {
				t.Errorf("ParseMediaType(%q) with another boundary is accepted", value)
			}
		}
	})
}
