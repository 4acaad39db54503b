package pec_test

import (
	"regexp"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

func TestNewMessageID(t *testing.T) {
	shape := regexp.MustCompile(`^<[a-z0-9]{26,}@pec\.alfa\.example>$`)
	seen := make(map[string]bool)
	for range 1000 {
		id := pec.NewMessageID(pec.MustParseAddress("studio@PEC.alfa.example"))
		if !shape.MatchString(id) || seen[id] {
			t.Fatalf("NewMessageID = %q, want a fresh one like %s", id, shape)
		}
		seen[id] = true
	}
}

func TestSameMessageID(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       bool
	}{
		{"equal", "<a@b>", "<a@b>", true},
		{"brackets on one side", "<a@b>", "a@b", true},
		{"layout around", " <a@b>\r\n", "a@b", true},
		{"case", "<A@b>", "<a@b>", false},
		{"two pairs of brackets", "<<a@b>>", "<a@b>", false},
		{"half a pair", "<a@b", "a@b", false},
		{"other", "<a@b>", "<a@c>", false},
		{"part", "<a@b>", "<a@b.c>", false},
		{"none", "", "", false},
		{"empty brackets", "<>", "", false},
		{"one sign", "<", "<", true},
	}
	for _, test := range tests {
		if got := pec.SameMessageID(test.a, test.b); got != test.want {
			t.Errorf("%s: SameMessageID(%q, %q) = %v, want %v", test.name, test.a, test.b, got, test.want)
		}
	}
	if got := pec.BareMessageID(" <a@b> "); got != "a@b" {
		t.Errorf("BareMessageID = %q, want a@b", got)
	}
}
