// Package receipt reads and verifies the messages with which PEC providers
// answer: receipts (ricevute) and notices (avvisi), and the envelopes in which
// they wrap mail.
//
// A receipt is worth something in court because a provider signed it. So there
// are two ways in, and what they return cannot be mixed up:
//
//   - [Parse] gives an [Unverified]: what a message claims to be. To show or to
//     route it, never to prove anything.
//   - [Verify] gives a [*Receipt] only if everything holds: the content is what
//     was signed, a provider's certificate signed it, an authority that the
//     caller trusts issued that certificate and it was good at the certified
//     instant, and the certification data (daticert.xml) is in its place, in
//     order and at odds with nothing around it.
//
// In short:
//
//	trust, err := smime.NewTrust(receipt.Anchors())
//	...
//	rec, err := receipt.Verify(file, receipt.Options{Trust: trust})
//	if err != nil {
//		return err // says what is wrong, and where
//	}
//	fmt.Println(rec.Kind(), rec.Data().Delivery, rec.Data().Time)
//
// Every refusal is an [*Error] with a [Verdict] and a stable [Code]. What is odd
// but proves nothing against the receipt, such as a SHA-1 digest or a subject
// that somebody changed, is a [Remark].
//
// Of a receipt that was verified, [Receipt.Prove] says whether it proves what was
// delivered, and [Receipt.Cause] why something was not.
//
// Transport and anomaly envelopes are messages, not receipts; [VerifyMessage]
// judges them as what they are.
//
// That a receipt is genuine does not mean that it is about a message of yours:
// any user of PEC gets genuine receipts for messages of his own, with whatever
// Message-ID he likes. Compare sender, recipient, identifier and time with what
// was sent.
//
// Messages are read once and in constant memory, whatever their size, and never
// cost more than [Limits] allow. No function of this package uses the network.
// All may be called by many goroutines with the same arguments, readers aside.
package receipt
