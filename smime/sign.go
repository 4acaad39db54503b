package smime

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/internal/cms"
)

// SignOptions say who signs, and how.
type SignOptions struct {
	// Certificate and Key are the signer's; both are required. The key is RSA or
	// ECDSA and may live in a hardware module.
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Chain goes along with the signature, the issuer's certificate first.
	Chain []*x509.Certificate
	// Digest is SHA-256 if zero; SHA-384, SHA-512 and SHA-1 are possible.
	Digest crypto.Hash
	// Time is the signing time that the signature claims. Zero means now.
	Time time.Time
}

// Sign reads a MIME entity (header fields, empty line, body) from r and writes it
// to w as a message of type multipart/signed, beginning with the header fields
// MIME-Version and Content-Type: other header fields go before.
//
// It takes one pass and constant memory. Line ends become CRLF, and the line end
// that a delimiter needs is added after the entity.
func Sign(w io.Writer, r io.Reader, opts SignOptions) error {
	if opts.Certificate == nil || opts.Key == nil {
		return errors.New("smime: signing needs a certificate and its key")
	}
	if opts.Digest == 0 {
		opts.Digest = crypto.SHA256
	}
	if opts.Time.IsZero() {
		opts.Time = time.Now()
	}
	micalg, ok := micalgNames[opts.Digest]
	if !ok {
		return fmt.Errorf("smime: signing: %w: digest", cms.ErrAlgorithm)
	}
	boundary := "signed-" + rand.Text()
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "MIME-Version: 1.0\r\n"+
		"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n"+
		"\tmicalg=%s; boundary=\"%s\"\r\n\r\n--%s\r\n", micalg, boundary, boundary)
	digest := opts.Digest.New()
	if _, err := io.Copy(&crlfWriter{w: io.MultiWriter(out, digest)}, r); err != nil {
		return fmt.Errorf("smime: copying what to sign: %w", err)
	}
	signature, err := cms.Sign(cms.SignRequest{
		Certificate:   opts.Certificate,
		Chain:         opts.Chain,
		Key:           opts.Key,
		Digest:        opts.Digest,
		MessageDigest: digest.Sum(nil),
		SigningTime:   opts.Time,
	})
	if err != nil {
		return fmt.Errorf("smime: signing: %w", err)
	}
	fmt.Fprintf(out, "\r\n--%s\r\n"+
		"Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n", boundary)
	writeBase64(out, signature)
	fmt.Fprintf(out, "--%s--\r\n", boundary)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("smime: writing the signed message: %w", err)
	}
	return nil
}

// micalgNames are those of RFC 8551, section 3.5.3.2.
var micalgNames = map[crypto.Hash]string{
	crypto.SHA1:   "sha-1",
	crypto.SHA256: "sha-256",
	crypto.SHA384: "sha-384",
	crypto.SHA512: "sha-512",
}

// writeBase64 writes lines of 76 characters.
func writeBase64(w io.Writer, b []byte) {
	const perLine = 57
	var lines strings.Builder
	for len(b) > 0 {
		n := min(perLine, len(b))
		lines.WriteString(base64.StdEncoding.EncodeToString(b[:n]))
		lines.WriteString("\r\n")
		b = b[n:]
	}
	io.WriteString(w, lines.String())
}
