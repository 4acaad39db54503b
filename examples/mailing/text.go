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

// count writes how many there are of something.
func count(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// trimPackage leaves out which package an error is from.
func trimPackage(err error) string { return strings.TrimPrefix(err.Error(), "dispatch: ") }

// stateTexts say what each state means, with the Italian term beside, and what a
// person can do about it, if anything.
var stateTexts = map[dispatch.State]struct{ short, long, colour, do string }{
	dispatch.Delivered: {"delivered", "in the recipient's mailbox (avvenuta consegna)", "#2e7d32", ""},
	dispatch.AcceptedOrdinary: {"sent to ordinary mail", "accepted; the address is not PEC, so nothing can certify the delivery (accettazione, posta ordinaria)", "#7cb342",
		"If the delivery must be certified, look for a PEC address of the recipient."},
	dispatch.Accepted:  {"accepted", "accepted by the sender's provider; delivery awaited (accettazione)", "#1976d2", "Start the program again later, to read the receipts."},
	dispatch.Submitted: {"submitted", "handed to the provider; acceptance awaited", "#64b5f6", "Start the program again later, to read the receipts."},
	dispatch.Delayed: {"delayed", "not delivered in 12 hours; may still be (preavviso di mancata consegna)", "#f9a825",
		"Wait: the last word comes within a day of the acceptance."},
	dispatch.TimedOut: {"timed out", "not delivered in 24 hours (mancata consegna per superamento dei tempi massimi)", "#ef6c00", "It may pass later; if it is urgent, use another way."},
	dispatch.Failed:   {"failed", "could not be delivered (mancata consegna)", "#c62828", "See the provider's words."},
	dispatch.NotAccepted: {"not accepted", "refused by the sender's provider (non accettazione)", "#ad1457",
		"See the provider's words."},
	dispatch.Refused: {"refused", "refused by the sender's provider in SMTP; not sent", "#6a1b9a", "See the provider's words."},
	dispatch.Unknown: {"unknown", "may have been sent: no reply came, and no receipt so far; a person must decide", "#455a64",
		"Look for it in the provider's webmail, or ask the provider. It is never sent again by itself: a second message is a second legal act."},
	dispatch.Conflict: {"conflict", "genuine receipts contradict each other; a person must look", "#000000", "Look at the receipts, and ask the provider."},
	dispatch.Canceled: {"canceled", "taken back before it left", "#9e9e9e", ""},
	dispatch.Prepared: {"waiting", "not sent yet", "#bdbdbd", "Start the program again with the same flags, to send what has not left."},
}

// retryTexts say what sending the same message again would do.
var retryTexts = map[receipt.Retry]string{
	receipt.RetryNever:       "Sending it again will fail again.",
	receipt.RetryAfterChange: "Sending it again will fail until that is mended.",
	receipt.RetryLater:       "It may pass later: send it again in a batch of its own; if it is urgent, use another way.",
	receipt.RetryWait:        "It may still be delivered: wait.",
}

// faultTexts say on whose side a cause lies.
var faultTexts = map[receipt.Fault]string{
	receipt.FaultSender:    "The cause lies with us, the sender.",
	receipt.FaultRecipient: "The cause lies with the recipient.",
	receipt.FaultProvider:  "The cause lies with a provider.",
	receipt.FaultUnknown:   "Nothing tells with whom the cause lies.",
}

// flagTexts say what there is to know beside the state.
var flagTexts = map[dispatch.Flag]string{
	dispatch.FlagAcceptanceMissing: "no acceptance was found",
	dispatch.FlagLate:              "delivered after the notice of hour 24",
	dispatch.FlagContradicted:      "another genuine receipt says otherwise",
	dispatch.FlagOtherTransmission: "a receipt is about another transmission with the same Message-ID",
	dispatch.FlagTwice:             "two messages were accepted",
	dispatch.FlagNotListed:         "the acceptance does not list the recipient",
	dispatch.FlagTimeoutUnclear:    "a notice does not say clearly whether 12 or 24 hours have passed",
	dispatch.FlagBounced:           "an ordinary mail system reported a failure, which nobody certified",
	dispatch.FlagContentDiffers:    "what was delivered is not what was sent",
	dispatch.FlagClaimed:           "a message claims something of it and could not be verified",
}

// shown are the states in the order in which people are told of them.
var shown = []dispatch.State{
	dispatch.Delivered, dispatch.AcceptedOrdinary, dispatch.Failed, dispatch.TimedOut, dispatch.NotAccepted, dispatch.Refused,
	dispatch.Conflict, dispatch.Unknown, dispatch.Delayed, dispatch.Accepted, dispatch.Submitted, dispatch.Prepared, dispatch.Canceled,
}

var proofTexts = map[receipt.ProofResult]string{
	receipt.Proven:    "✓ what was delivered is what was sent",
	receipt.Disproven: "✗ what was delivered differs from what was sent",
	receipt.NoProof:   "the receipt does not hold the content",
}
