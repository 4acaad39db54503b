// Package smime signs and verifies S/MIME messages of type multipart/signed
// (RFC 8551, section 3.5.3), streaming, and as strictly as evidence demands.
//
// [Parse] reads a message and gives an [Unverified]: its parts are sound, its
// signature is decoded, nothing is proven. Only [Unverified.Verify] gives a
// [Signature], the statement that the holder of a certificate signed the
// content, and that one of the caller's own issuers ([Trust]) vouched for that
// certificate at a time the caller names:
//
//	u, err := smime.Parse(file, smime.ParseOptions{Content: out})
//	...
//	sig, err := u.Verify(smime.VerifyOptions{Trust: trust, Time: when})
//
// What is written to Content while parsing is the signed entity, byte for byte
// as received; it counts only once Verify has succeeded.
//
// Trust is direct: the signer's certificate must have been issued by an
// [Anchor] itself. Certificates found in a message are looked at to find the
// signer's, and never extend trust. The system's root certificates play no
// part, no network is used, and nil trust trusts nobody.
//
// Refusals are [*Error] values with a stable [Reason].
package smime
