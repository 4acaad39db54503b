package pectest

import (
	"crypto"
	_ "crypto/sha1" // for signatures of the old form
	_ "crypto/sha256"
)

// Dialect is the way in which a provider writes what RFC 6109 leaves open. Start
// from [OPEC] or [JPEC] and change what a test needs.
type Dialect struct {
	// Name begins the identifiers that the provider gives: "opec".
	Name string
	// OldTypes writes application/x-pkcs7-signature instead of
	// application/pkcs7-signature.
	OldTypes bool
	// Digest is crypto.SHA1 or crypto.SHA256.
	Digest crypto.Hash
	// Indefinite writes the signature in BER with indefinite lengths, not in DER.
	Indefinite bool
	// Protection adds the attribute CMSAlgorithmProtection of RFC 6211 and names
	// the signature algorithm with its digest. Otherwise the signature has an
	// attribute SMIMECapabilities, and its algorithm is plain rsaEncryption.
	Protection bool
	// Binary labels multiparts "Content-Transfer-Encoding: binary" and repeats
	// MIME-Version inside.
	Binary bool
	// Bilingual writes texts in Italian and English, as plain text and as HTML;
	// otherwise they are plain text in Italian.
	Bilingual bool
	// EmptyReplyTo leaves the element risposte of what the provider certifies
	// empty if the original has no Reply-To; otherwise it holds the sender.
	EmptyReplyTo bool
}

// OPEC is the dialect that most providers wrote up to 2025, with SHA-256 in place
// of the SHA-1 of most of those years.
func OPEC() Dialect {
	return Dialect{Name: "opec", OldTypes: true, Digest: crypto.SHA256, Binary: true}
}

// JPEC is the dialect of the largest provider in 2026.
func JPEC() Dialect {
	return Dialect{
		Name: "jpec", Digest: crypto.SHA256, Indefinite: true, Protection: true,
		Bilingual: true, EmptyReplyTo: true,
	}
}

func (d *Dialect) signatureType() string {
	if d.OldTypes {
		return "application/x-pkcs7-signature"
	}
	return "application/pkcs7-signature"
}

func (d *Dialect) micalg() string {
	switch {
	case d.Digest == crypto.SHA256:
		return "sha-256"
	case d.OldTypes:
		return `"sha1"`
	}
	return "sha1"
}

// multipartFields are the fields that a multipart has besides its type.
func (d *Dialect) multipartFields() string {
	if d.Binary {
		return "Content-Transfer-Encoding: binary\r\n"
	}
	return ""
}
