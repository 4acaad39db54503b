// Package pectest simulates the network of Italian certified mail (PEC), for
// tests and for people who want to see what happens. Every message sent by real
// PEC is a legal act; here it is a message on loopback.
//
// An [Authority] stands for the certification authority of the providers. It
// has certificates of the form of the real ones, and trusts nobody else. A
// [Provider] is a PEC provider (gestore): its [Provider.Compose] writes, and
// signs, each of the messages that providers issue, from the receipt of
// acceptance to the anomaly envelope:
//
//	authority, err := pectest.NewAuthority(pectest.AuthorityConfig{})
//	alfa, err := authority.NewProvider(pectest.ProviderConfig{
//		Name: "Gestore Alfa", Domain: "pec.alfa.example",
//	})
//	err = alfa.Compose(&b, pectest.Message{Data: pec.CertData{...}})
//	_, err = receipt.Verify(&b, receipt.Options{Trust: authority.Trust()})
//
// What is composed is true to RFC 6109 and to what deployed providers do, in two
// dialects ([OPEC] and [JPEC]). It is not made to please this module: it
// verifies under "openssl cms -verify" too. [Tamper] makes messages that no
// honest provider would.
//
// Nothing of this is secret or safe: the keys live in memory, for one process.
package pectest
