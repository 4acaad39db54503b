package main

import (
	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// headline is a verdict in words, with its colour.
type headline struct{ words, colour string }

// headlines are what each verdict means.
var headlines = map[receipt.Verdict]headline{
	receipt.Verified:     {"VERIFIED", "\x1b[1;32m"},
	receipt.Rejected:     {"REJECTED, do not rely on it:", "\x1b[1;31m"},
	receipt.Inconclusive: {"NOT VERIFIED, it proves nothing:", "\x1b[1;33m"},
	receipt.Malformed:    {"UNREADABLE, it proves nothing:", "\x1b[1;31m"},
}

// anomalyHeadline is that of an envelope that certifies nothing.
var anomalyHeadline = headline{"VERIFIED, but only that a provider wrapped it:", "\x1b[1;33m"}

// meanings are what each kind of message is.
var meanings = map[pec.Kind]string{
	pec.KindAcceptance:       "Acceptance: the sender's provider took the message and forwards it.",
	pec.KindNonAcceptance:    "Refusal: the sender's provider did not take the message. Nothing was sent.",
	pec.KindServerAcceptance: "Taking charge, from provider to provider.",
	pec.KindDelivery:         "Delivery: the message is in the recipient's mailbox.",
	pec.KindDeliveryError:    "Failure: the message was not delivered.",
	pec.KindDeliveryTimeout:  "Delay: the delivery takes too long.",
	pec.KindVirusDetection:   "Malware found, from provider to provider.",
	pec.KindTransport:        "Somebody's message, as it arrived by PEC. It is not a receipt.",
	pec.KindAnomaly:          "Ordinary mail that a PEC provider wrapped. Nothing inside is certified, whatever it looks like.",
}

// contents are what a message holds.
var contents = map[pec.Kind]string{
	pec.KindDelivery:  "the message that was delivered",
	pec.KindTransport: "the message",
	pec.KindAnomaly:   "the mail as it came",
}

// concerns are how a kind relates to the one recipient that it is about.
var concerns = map[pec.Kind]string{
	pec.KindDelivery:        "delivered to",
	pec.KindDeliveryError:   "not delivered",
	pec.KindDeliveryTimeout: "no news of",
}

var recipientTypes = map[pec.RecipientType]string{
	pec.RecipientCertified: "PEC (posta certificata)",
	pec.RecipientOrdinary:  "ordinary mail (posta ordinaria): no receipt of delivery will come",
}

var retries = map[receipt.Retry]string{
	receipt.RetryNever:       "no: it would fail again",
	receipt.RetryAfterChange: "not before message, address or account are put right",
	receipt.RetryLater:       "later, perhaps; a second message is a second legal act",
	receipt.RetryWait:        "no: wait, this one may still be delivered",
}

var faults = map[receipt.Fault]string{
	receipt.FaultSender:    "the sender's",
	receipt.FaultRecipient: "the recipient's",
	receipt.FaultProvider:  "a provider's",
	receipt.FaultUnknown:   "not known",
}

// remarks are in plain words what package receipt remarks upon.
var remarks = map[receipt.RemarkCode]string{
	receipt.RemarkWeakDigest:    "SHA-1 was used, which is weak today: providers used it up to about 2024.",
	receipt.RemarkLegacy:        "The certificate is of the weaker kind in use up to early 2017, accepted because of -legacy.",
	receipt.RemarkTimeClaimed:   "The time is the provider's word: the certificate was good then, whether or not it is today.",
	receipt.RemarkNoSigningTime: "The signature does not say when it was made.",
	receipt.RemarkNoDirectory:   "No directory of providers was given (-directory), so it was not checked that this is the right provider.",
	receipt.RemarkNotChecked:    "No revocation list was given for that time (-crl).",
	receipt.RemarkRevokedLater:  "The certificate was revoked afterwards.",
	receipt.RemarkSubject:       "The subject shown in mail programs is not the certified one.",
	receipt.RemarkTo:            "The addressees shown in mail programs are not the certified ones.",
	receipt.RemarkDate:          "The date shown in mail programs is not the certified one.",
}

// explanations say in plain words what a refusal means, by its code.
var explanations = map[string]string{
	unreadable: "The file can't be read.",

	"not-pec":    "This is ordinary mail: nothing in it says PEC.",
	"rem":        "This is REM, the European successor of PEC, which is not verified yet.",
	"not-signed": "It says that it is PEC but carries no signature, so anyone could have written it.",
	"no-anchor":  "No authority to trust was given, so there is nobody to judge by.",

	"bad-head":  "Its header, or that of a part, could be read in two ways.",
	"bad-mime":  "The message is cut short or damaged.",
	"bad-cms":   "The signature is damaged.",
	"limit":     "It is larger, deeper or more complicated than any message should be.",
	"algorithm": "It was signed with a method that is not accepted.",

	"content-altered":            "What is inside is not what the provider signed: it was changed afterwards, perhaps only by a program that stored or forwarded it.",
	"bad-signature":              "The signature is not one of the certificate's owner.",
	"off-profile":                "It is signed, but not in the way of PEC.",
	"embedded-content":           "The signature carries a content of its own, which need not be the one shown.",
	"signed-attributes":          "The signature is not made in the way of PEC.",
	"weak-digest":                "SHA-1 was used, later than you allow.",
	"weak-key":                   "It was signed with a key that is too short.",
	"signer-certificate":         "It can't be told whose signature it is.",
	"several-signers":            "Several signed it, and a PEC message has one signer.",
	"untrusted-issuer":           "It is signed, but by nobody who is known to vouch for PEC providers. Name further authorities with -issuers.",
	"certificate-not-valid-then": "The signer's certificate was not valid at the certified time.",
	"certificate-usage":          "The signer's certificate is not one for signing mail.",
	"name-constraints":           "The signer's certificate is for a mail domain that its issuer may not vouch for.",
	"legacy-certificate":         "The signer's certificate is of the kind in use up to early 2017. Add -legacy to accept it, for messages of that time.",
	"revoked":                    "The signer's certificate had been revoked.",
	"signer-address":             "The signer's certificate does not name one plain mail address.",
	"signer-not-listed":          "The signer is not in the directory of PEC providers.",
	"provider-not-competent":     "A PEC provider signed it, but not the one that may certify this.",

	"from":                       "The sender shown in mail programs is not whoever signed.",
	"header-contradiction":       "The outside of the message says something else than what the provider signed.",
	"signing-time":               "It was signed days before or after the time that it certifies.",
	"future":                     "It claims a time that has not come yet. Check the clock, or -now.",
	"signed-entity":              "It is signed, but what is signed is not a PEC message.",
	"no-certification-data":      "It is signed, but certifies nothing: the part daticert.xml is missing.",
	"several-certification-data": "It is ambiguous: there are several parts called daticert.xml.",
	"bad-certification-data":     "What it certifies (daticert.xml) is not as it must be.",
	"several-originals":          "It is ambiguous: several parts could be the original message.",
	"anomaly-form":               "It is not an anomaly envelope as providers make them.",
}
