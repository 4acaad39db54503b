package main

import (
	"fmt"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/receipt"
)

// bytesText writes a size for people.
func bytesText(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// trimPackage leaves out which package an error is from.
func trimPackage(err error) string { return strings.TrimPrefix(err.Error(), "dispatch: ") }

// stateTexts say what each state means, with the Italian term beside.
var stateTexts = map[dispatch.State]struct{ short, long, colour string }{
	dispatch.Delivered:        {"delivered", "in the recipient's mailbox (avvenuta consegna)", "#2e7d32"},
	dispatch.AcceptedOrdinary: {"sent to ordinary mail", "accepted; the address is not PEC, so nothing can certify the delivery (accettazione, posta ordinaria)", "#7cb342"},
	dispatch.Accepted:         {"accepted", "accepted by the sender's provider; delivery awaited (accettazione)", "#1976d2"},
	dispatch.Submitted:        {"submitted", "handed to the provider; acceptance awaited", "#64b5f6"},
	dispatch.Delayed:          {"delayed", "not delivered in 12 hours; may still be (preavviso di mancata consegna)", "#f9a825"},
	dispatch.TimedOut:         {"timed out", "not delivered in 24 hours (mancata consegna per superamento dei tempi massimi)", "#ef6c00"},
	dispatch.Failed:           {"failed", "could not be delivered (mancata consegna)", "#c62828"},
	dispatch.NotAccepted:      {"not accepted", "refused by the sender's provider (non accettazione)", "#ad1457"},
	dispatch.Refused:          {"refused", "refused by the sender's provider in SMTP; not sent", "#6a1b9a"},
	dispatch.Unknown:          {"unknown", "may have been sent: no reply came, and no receipt so far; a person must decide", "#455a64"},
	dispatch.Conflict:         {"conflict", "genuine receipts contradict each other; a person must look", "#000000"},
	dispatch.Canceled:         {"canceled", "taken back before it left", "#9e9e9e"},
	dispatch.Prepared:         {"waiting", "not sent yet", "#bdbdbd"},
}

// shown are the states in the order in which people are told of them.
var shown = []dispatch.State{
	dispatch.Delivered, dispatch.AcceptedOrdinary, dispatch.Failed, dispatch.TimedOut, dispatch.NotAccepted, dispatch.Refused,
	dispatch.Conflict, dispatch.Unknown, dispatch.Delayed, dispatch.Accepted, dispatch.Submitted, dispatch.Prepared, dispatch.Canceled,
}

var proofTexts = map[receipt.ProofResult]string{
	receipt.Proven:    "the receipt proves that what was delivered is what was sent",
	receipt.Disproven: "what was delivered differs from what was sent",
	receipt.NoProof:   "the receipt does not hold the content",
}
