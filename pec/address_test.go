package pec_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("x", 300) + "@" + strings.Repeat("y", 19)
	for _, in := range []string{
		"a@b", "studio.alfa@pec.alfa.example", "a+b_c-d!#$%&'*/=?^`{|}~@x-y_z.example", "A@B.example", " \t\r\na@b.example\r\n ", long,
	} {
		a, err := pec.ParseAddress(in)
		if want := strings.TrimSpace(in); err != nil || a.String() != want || a.IsZero() {
			t.Errorf("ParseAddress(%q) = %q, %v, want %q", in, a, err, want)
		}
	}
	tests := []struct{ name, in string }{
		{"empty", ""}, {"no @", "a.b.example"}, {"two @", "a@b@c.example"}, {"no local part", "@b.example"}, {"no domain", "a@"},
		{"blank inside", "a b@c.example"}, {"blank at the @", "a @b.example"}, {"dot first", ".a@b.example"}, {"dot last", "a.@b.example"},
		{"two dots", "a..b@c.example"}, {"domain ends in a dot", "a@b.example."}, {"quoted", `"a"@b.example`}, {"brackets", "<a@b.example>"},
		{"name", "A <a@b.example>"}, {"comment", "a@b.example(x)"}, {"literal", "a@[1.2.3.4]"}, {"two", "a@b.example,c@d.example"},
		{"international", "a@città.example"}, {"line end", "a@b.example\r\nBcc: c@d.example"}, {"NUL", "a@b.example\x00"}, {"DEL", "a\x7f@b.example"},
		{"apostrophe in the domain", "a@b'c.example"}, {"321 bytes", long + "y"},
	}
	for _, test := range tests {
		a, err := pec.ParseAddress(test.in)
		if !errors.Is(err, pec.ErrAddress) || !a.IsZero() {
			t.Errorf("%s: ParseAddress(%q) = %q, %v, want ErrAddress", test.name, test.in, a, err)
		} else if strings.Contains(err.Error(), "example") {
			t.Errorf("%s: error %q repeats the address", test.name, err)
		}
	}
}

func TestAddressParts(t *testing.T) {
	a := pec.MustParseAddress("Studio.Alfa@PEC.Alfa.example")
	if a.Local() != "Studio.Alfa" || a.Domain() != "pec.alfa.example" || a.Key() != "studio.alfa@pec.alfa.example" {
		t.Errorf("Local, Domain, Key = %q, %q, %q", a.Local(), a.Domain(), a.Key())
	}
	var zero pec.Address
	if zero.Local() != "" || zero.Domain() != "" || zero.Key() != "" || zero.String() != "" || !zero.IsZero() {
		t.Errorf("the zero Address has parts: %q, %q", zero.Local(), zero.Domain())
	}
}

func TestAddressEqual(t *testing.T) {
	a := pec.MustParseAddress("studio@pec.alfa.example")
	for other, want := range map[string]bool{
		"studio@pec.alfa.example": true, "STUDIO@PEC.alfa.Example": true, "studio@alfa.example": false, "st.udio@pec.alfa.example": false,
		"studio+x@pec.alfa.example": false, "studi0@pec.alfa.example": false,
	} {
		b := pec.MustParseAddress(other)
		if a.Equal(b) != want || b.Equal(a) != want || (a.Key() == b.Key()) != want {
			t.Errorf("%q and %q: Equal = %v, want %v", a, b, a.Equal(b), want)
		}
	}
	// Folding is for letters alone: these differ by the bit that tells A from a.
	if pec.MustParseAddress("`@x.example").Equal(pec.MustParseAddress("'@x.example")) || pec.MustParseAddress("{@x.example").Equal(pec.MustParseAddress("}@x.example")) {
		t.Error("signs are folded")
	}
	if a.Equal(pec.Address{}) {
		t.Error("an address equals none")
	}
}

func TestAddressJSON(t *testing.T) {
	type record struct{ A, Z pec.Address }
	text, err := json.Marshal(record{A: pec.MustParseAddress("a@b.example")})
	if want := `{"A":"a@b.example","Z":""}`; err != nil || string(text) != want {
		t.Fatalf("Marshal = %s, %v, want %s", text, err, want)
	}
	var back record
	if err := json.Unmarshal(text, &back); err != nil || back.A.String() != "a@b.example" || back.A.Domain() != "b.example" || !back.Z.IsZero() {
		t.Errorf("Unmarshal(%s) = %+v, %v", text, back, err)
	}
	if err := json.Unmarshal([]byte(`{"A":"no address"}`), &back); !errors.Is(err, pec.ErrAddress) {
		t.Errorf("Unmarshal of no address: %v, want ErrAddress", err)
	}
}

func TestMustParseAddressPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("MustParseAddress of no address did not panic")
		}
	}()
	pec.MustParseAddress("no address")
}
