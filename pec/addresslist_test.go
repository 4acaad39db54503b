package pec_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

func mailbox(name, address string) pec.Mailbox {
	return pec.Mailbox{Name: name, Address: pec.MustParseAddress(address)}
}

func TestParseMailbox(t *testing.T) {
	tests := []struct {
		name, reason, in string
		want             pec.Mailbox
	}{
		{"bare", "as receipts have it", "posta-certificata@pec.alfa.example", mailbox("", "posta-certificata@pec.alfa.example")},
		{"brackets", "without a name", " <a@b.example> ", mailbox("", "a@b.example")},
		{"blanks in brackets", "old mailers", "< a@b.example >", mailbox("", "a@b.example")},
		{"words", "an unquoted name, with layout", "Studio \t Alfa <a@b.example>", mailbox("Studio Alfa", "a@b.example")},
		{"dots", "written everywhere, though RFC 5322 wants quotes", "Alfa S.p.A. <a@b.example>", mailbox("Alfa S.p.A.", "a@b.example")},
		{"envelope", "as transport envelopes have it", `"Per conto di: a@b.example" <svc@pec.alfa.example>`, mailbox("Per conto di: a@b.example", "svc@pec.alfa.example")},
		{"escapes", "a quote and a backslash in quotes", `"a \"b\" \\c" <a@b.example>`, mailbox(`a "b" \c`, "a@b.example")},
		{"bracket in quotes", "not the address", `"<x@y.example>" <a@b.example>`, mailbox("<x@y.example>", "a@b.example")},
		{"quotes and words", "a phrase is both", `Studio "Alfa, Beta" srl <a@b.example>`, mailbox("Studio Alfa, Beta srl", "a@b.example")},
		{"empty quotes", "no name", `"" <a@b.example>`, mailbox("", "a@b.example")},
		{"encoded", "RFC 2047", "=?utf-8?q?Societ=C3=A0?= =?iso-8859-1?q?_perch=E9?= <a@b.example>", mailbox("Società perché", "a@b.example")},
		{"encoded in quotes", "stays as it is, RFC 2047, section 5", `"=?utf-8?q?x?=" <a@b.example>`, mailbox("=?utf-8?q?x?=", "a@b.example")},
		{"unknown charset", "stays as it is", "=?koi8-r?q?x?= <a@b.example>", mailbox("=?koi8-r?q?x?=", "a@b.example")},
		{"encoded rubbish", "not UTF-8 inside", "=?utf-8?q?=FF?= <a@b.example>", mailbox("\ufffd", "a@b.example")},
		{"UTF-8 name", "people type it", "Città <a@b.example>", mailbox("Città", "a@b.example")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := pec.ParseMailbox(test.in)
			if err != nil || got != test.want {
				t.Errorf("ParseMailbox(%q) = %+v, %v, want %+v (%s)", test.in, got, err, test.want, test.reason)
			}
		})
	}
}

// refusedMailboxes are refused in headers and in lists that people type.
var refusedMailboxes = []struct {
	name, reason, in string
	column           int
}{
	{"no @", "not an address", "  alfa", 3},
	{"two @", "not an address", "a@b@c.example", 1},
	{"group", "RFC 6109 asks for addresses", "Tutti: a@b.example", 6},
	{"route", "long dead", "<@x.example:a@b.example>", 12},
	{"comment", "readers disagree on what it hides", "a@b.example (Alfa)", 13},
	{"comment before", "the same", "(Alfa) a@b.example", 1},
	{"quoted local part", "can't be certified", `"a b"@b.example`, 1},
	{"quoted local part in brackets", "the same", `x <"a"@b.example>`, 4},
	{"domain literal", "not a PEC domain", "a@[127.0.0.1]", 3},
	{"international domain", "not ASCII", "a@città.example", 1},
	{"international local part", "not ASCII", "città@b.example", 1},
	{"name without brackets", "which part is the address?", "Alfa a@b.example", 1},
	{"@ in a name", "the classic of spoofing", "x@y.example <a@b.example>", 2},
	{"two in brackets", "which one?", "<x@y.example> <a@b.example>", 15},
	{"text after", "which one?", "<x@y.example> a@b.example", 14},
	{"bracket open", "cut off", "Alfa <a@b.example", 6},
	{"bracket closed", "no beginning", "a@b.example>", 1},
	{"empty brackets", "nothing", "Alfa <>", 7},
	{"quote open", "cut off", `Alfa "Beta <a@b.example>`, 6},
	{"escaped end", "the quote does not end", `"Alfa\" <a@b.example>`, 1},
	{"CR LF", "header injection", "a@b.example\r\nBcc: c@d.example", 12},
	{"LF", "header injection", "Alfa\n <a@b.example>", 5},
	{"NUL", "cut in C", "a@b.example\x00.evil", 12},
	{"CR in quotes", "header injection", "\"Al\rfa\" <a@b.example>", 4},
	{"encoded LF", "decoded, it would break lines", "=?utf-8?q?a=0Ab?= <a@b.example>", 1},
	{"not UTF-8", "unreadable", "Al\xfffa <a@b.example>", 3},
	{"backslash", "stands only in quotes", `Al\fa <a@b.example>`, 3},
}

func TestParseMailboxRefuses(t *testing.T) {
	for _, test := range refusedMailboxes {
		t.Run(test.name, func(t *testing.T) {
			got, err := pec.ParseMailbox(test.in)
			checkListError(t, err, 1, test.column)
			if got != (pec.Mailbox{}) {
				t.Errorf("ParseMailbox(%q) = %+v with an error, want the zero value (%s)", test.in, got, test.reason)
			}
		})
	}
	for _, in := range []string{"", "   ", "a@b.example, c@d.example", "a@b.example;", ","} {
		if got, err := pec.ParseMailbox(in); !errors.Is(err, pec.ErrAddress) {
			t.Errorf("ParseMailbox(%q) = %+v, %v, want an ErrAddress: it is not one mailbox", in, got, err)
		}
	}
}

// checkListError checks where an error points, and that it repeats nothing.
func checkListError(t *testing.T, err error, item, column int) {
	t.Helper()
	var at *pec.AddressListError
	if !errors.As(err, &at) || !errors.Is(err, pec.ErrAddress) {
		t.Fatalf("got error %v, want an AddressListError that wraps ErrAddress", err)
	}
	if at.Item != item || at.Column != column {
		t.Errorf("got error %v, want it at address %d, column %d", err, item, column)
	}
	if strings.Contains(err.Error(), "example") {
		t.Errorf("error %q repeats an address", err)
	}
}

func TestParseAddressList(t *testing.T) {
	a, b, c := mailbox("", "a@x.example"), mailbox("", "b@x.example"), mailbox("C, D; E", "c@x.example")
	tests := []struct {
		name, reason, in string
		want             []pec.Mailbox
	}{
		{"one", "no separator", "a@x.example", []pec.Mailbox{a}},
		{"commas", "as in headers", "a@x.example, b@x.example", []pec.Mailbox{a, b}},
		{"semicolons", "as people are told to type", "a@x.example;b@x.example", []pec.Mailbox{a, b}},
		{"both", "they paste from everywhere", `a@x.example; b@x.example, "C, D; E" <c@x.example>`, []pec.Mailbox{a, b, c}},
		{"empty places", "skipped", " ; a@x.example;, ;b@x.example ,", []pec.Mailbox{a, b}},
		{"nothing", "no addresses, no error", "  ", nil},
		{"twice", "a list may repeat itself; an envelope may not", "a@x.example,a@x.example", []pec.Mailbox{a, a}},
		{"tabs", "pasted from a table", "a@x.example\t;\tb@x.example", []pec.Mailbox{a, b}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := pec.ParseAddressList(test.in)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("ParseAddressList(%q) = %v, %v, want %v (%s)", test.in, got, err, test.want, test.reason)
			}
		})
	}
}

func TestParseAddressListRefuses(t *testing.T) {
	for _, test := range refusedMailboxes {
		t.Run(test.name, func(t *testing.T) {
			// Put behind two good ones and an empty place, of 20 characters in all.
			const before = `"è" <a@x>; ;b@x.it, `
			_, err := pec.ParseAddressList(before + test.in)
			checkListError(t, err, 3, 20+test.column)
		})
	}
}

func FuzzAddressList(f *testing.F) {
	for _, seed := range []string{
		"", "a@b.example", `"x, y" <a@b.example>; c@d.example`, "A B <a@b.example>,,", "=?utf-8?q?x?= <a@b.c>", `"a\"b`,
		"x: a@b;", "<@a:b@c>", "a@b (c)", "a@b\r\n", "=?utf-8?b?Cg==?= <a@b>", "\xff", `"" "" <a@b>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := pec.ParseAddressList(s)
		if err != nil {
			var at *pec.AddressListError
			if !errors.As(err, &at) || at.Item < 1 || at.Column < 1 || at.Column > len(s)+1 {
				t.Errorf("ParseAddressList(%q): %v, want a position within the list", s, err)
			}
			if list != nil {
				t.Errorf("ParseAddressList(%q) = %v with an error", s, list)
			}
			return
		}
		if strings.ContainsAny(s, "\r\n\x00") {
			t.Errorf("ParseAddressList(%q) = %v, want an error for the line end or NUL", s, list)
		}
		for _, m := range list {
			if strings.ContainsAny(m.Name, "\r\n\x00") {
				t.Errorf("ParseAddressList(%q) gives the name %q", s, m.Name)
			}
			if !strings.Contains(s, m.Address.String()) {
				t.Errorf("ParseAddressList(%q) gives the address %q, which is not in it", s, m.Address)
			}
			if _, err := pec.ParseAddress(m.Address.String()); err != nil {
				t.Errorf("ParseAddressList(%q) gives the address %q: %v", s, m.Address, err)
			}
		}
	})
}
