// Package pectest simulates the network of Italian certified mail (PEC), for
// tests and for people who want to see what happens. Every message sent by real
// PEC is a legal act; here it is a message on loopback.
//
// [New] starts a [Network]: two providers and an ordinary mail host, with
// submission by SMTP, relay between them, and mailboxes by IMAP, all on ports of
// this machine and closed at the end of the test. One line gives an account:
//
//	network := pectest.New(t, pectest.Config{})
//	studio := network.Account("studio@pec.alfa.example")
//
// and [Network.VerifyOptions] what verifies its receipts. Any address at
// pec.alfa.example and pec.beta.example can receive, and at mail.example, which
// is ordinary. [Start] does the same outside of a test.
//
// # What goes wrong
//
// All goes well unless a [Scenario] says otherwise: to whom, at which stage, how
// often, or with what probability. It is written in Go or in JSON.
//
//	pectest.Scenario{Rules: []pectest.Rule{
//		{Fault: pectest.FaultFull, Recipient: "archivio@pec.beta.example"},
//		{Fault: pectest.FaultCut, Stage: pectest.StageAccepted, Skip: 10, Times: 1},
//		{Fault: pectest.FaultLost, Kind: pec.KindDelivery, Probability: 0.01},
//	}}
//
// # Time
//
// The network has a clock of its own. With Config.Frozen it stands still until
// [Network.Advance] moves it, and the notices of hour 12 and of hour 24 come at
// once. Give [Network.Now] to whatever asks for the present. Sockets are real, so
// that package testing/synctest does not help here.
//
// # What happened
//
// [Network.Settle] waits until the mail has arrived. The journal tells of each
// submission, decision, delivery, receipt and notice, with the digest of what was
// submitted: a test counts in [Network.Events] that a message was delivered
// exactly once. [Network.Messages] is what lies in a mailbox.
//
// # Single messages
//
// The parts can be had alone. An [Authority] stands for the certification
// authority of the providers, with certificates of the form of the real ones. A
// [Provider] is a PEC provider (gestore): its [Provider.Compose] writes, and
// signs, each of the messages that providers issue, from the receipt of
// acceptance to the anomaly envelope, in one of the two dialects that are known,
// [OPEC] and [JPEC]. [Tamper] makes messages that no honest provider would.
//
// The network follows the rules of RFC 6109 and the ways of deployed providers;
// it is not made to please this module, and its messages verify under "openssl
// cms -verify" too. Program examples/network leaves one running.
//
// Nothing of this is secret or safe: the keys live in memory, for one process.
package pectest
