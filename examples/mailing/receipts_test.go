package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

// TestReceipts disturbs the receipts of some messages, each in another way, among
// many others. What is genuine counts, late, doubled and in any order; what is not
// changes nothing; and none of it stops the others.
func TestReceipts(t *testing.T) {
	t.Parallel()
	const delivery, acceptance = `"avvenuta-consegna"`, `"accettazione"`
	tests := []struct {
		name, rule string
		want       dispatch.State
		flags      []dispatch.Flag
	}{
		{"late", `"receipt-late", "delay": "90s", "kind": ` + delivery, dispatch.Delivered, nil},
		{"acceptance after delivery", `"receipt-late", "delay": "90s", "kind": ` + acceptance, dispatch.Delivered, nil},
		{"doubled", `"receipt-doubled"`, dispatch.Delivered, nil},
		{"reordered", `"receipt-reordered", "kind": ` + delivery, dispatch.Delivered, nil},
		{"no acceptance", `"receipt-lost", "kind": ` + acceptance, dispatch.Delivered, []dispatch.Flag{dispatch.FlagAcceptanceMissing}},
		{"no delivery", `"receipt-lost", "kind": ` + delivery, dispatch.Accepted, nil},
		{"forged", `"receipt-forged", "kind": ` + delivery, dispatch.Accepted, []dispatch.Flag{dispatch.FlagClaimed}},
		{"altered", `"receipt-altered", "kind": ` + delivery, dispatch.Accepted, []dispatch.Flag{dispatch.FlagClaimed}},
		{"replayed", `"receipt-replayed", "kind": ` + delivery, dispatch.Accepted, []dispatch.Flag{dispatch.FlagClaimed}},
		{"unsigned", `"receipt-unsigned", "kind": ` + delivery, dispatch.Accepted, []dispatch.Flag{dispatch.FlagClaimed}},
		{"forged, then genuine", `"receipt-forged", "also": true`, dispatch.Delivered, []dispatch.Flag{dispatch.FlagClaimed}},
		{"altered, then genuine", `"receipt-altered", "also": true`, dispatch.Delivered, []dispatch.Flag{dispatch.FlagClaimed}},
		{"replayed, then genuine", `"receipt-replayed", "also": true, "kind": ` + delivery, dispatch.Delivered, []dispatch.Flag{dispatch.FlagClaimed}},
		{"unsigned, then genuine", `"receipt-unsigned", "also": true`, dispatch.Delivered, []dispatch.Flag{dispatch.FlagClaimed}},
		{"forged failure", `"receipt-forged", "also": true, "kind": "errore-consegna"`, dispatch.Delivered, nil},
	}
	var rules []string
	for i, tt := range tests {
		rules = append(rules, fmt.Sprintf(`{"recipient": %q, "fault": %s}`, madeUpRecipient(i), tt.rule))
		if strings.Contains(tt.rule, "replayed") { // it comes last, when there are others to replay
			rules = append(rules, fmt.Sprintf(`{"recipient": %q, "fault": "smtp-reply", "stage": "rcpt", "code": 450, "times": 3}`, madeUpRecipient(i)))
		}
	}
	n := startNetwork(t, `{"rules": [`+strings.Join(rules, ",\n")+`]}`, "-speed", "100")
	rows := 2*len(tests) + 40
	m := n.mailer(t, "-generate", strconv.Itoa(rows), "-wait", "3s")
	want := map[dispatch.State]int64{dispatch.Delivered: int64(rows - len(tests))}
	for _, tt := range tests {
		want[tt.want]++
	}
	// What is wrong with each, if anything.
	wrong := func() (list []string) {
		byRecipient := make(map[string]dispatch.Status)
		for _, s := range m.statuses(t) {
			byRecipient[s.Send.Recipient.String()] = s.Status
		}
		for i, tt := range tests {
			s := byRecipient[madeUpRecipient(i)]
			if s.State != tt.want || !slices.Equal(s.Flags, tt.flags) {
				list = append(list, fmt.Sprintf("%s: %s %q, want %s %q", tt.name, s.State, s.Flags, tt.want, tt.flags))
			}
		}
		return list
	}
	o := m.runUntil(t, func(outcome) bool { return len(wrong()) == 0 })
	for _, text := range wrong() {
		t.Error(text)
	}
	o.want(t, exitOpen, want)
	checkOnce(t, n, m)
}

// madeUpRecipient is the i-th recipient, from 0, of those that -generate makes up
// at the provider that is not the sender's.
func madeUpRecipient(i int) string {
	return fmt.Sprintf("destinatario%07d@pec.beta.example", 2*i+1)
}
