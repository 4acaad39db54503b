package pectest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/pec"
)

// Compose writes the message m, signed by the provider, in one pass and constant
// memory. What stands on top of a message once it was delivered (Return-Path,
// Received) is not written, except what envelopes inherit from the original.
func (p *Provider) Compose(w io.Writer, m Message) error {
	if err := p.compose(w, m); err != nil {
		return fmt.Errorf("pectest: composing: %w", err)
	}
	return nil
}

func (p *Provider) compose(w io.Writer, m Message) error {
	out := outputs.Get().(*bufio.Writer)
	out.Reset(w)
	defer func() {
		out.Reset(nil)
		outputs.Put(out)
	}()
	c := &composer{provider: p, dialect: &p.config.Dialect, Message: m, out: out}
	if err := c.prepare(); err != nil {
		return err
	}
	for _, f := range c.header() {
		fmt.Fprintf(c.out, "%s: %s\r\n", f.Name, f.Value)
	}
	if c.tamper.Unsigned {
		c.signed = c.out
		if err := c.entity(); err != nil {
			return err
		}
		return c.out.Flush()
	}
	if err := c.signedMultipart(); err != nil {
		return err
	}
	return c.out.Flush()
}

// outputs are lent to those who compose.
var outputs = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 32<<10) }}

// composer writes one message.
type composer struct {
	Message
	provider *Provider
	dialect  *Dialect
	tamper   Tamper
	certData []byte
	original *original

	out    *bufio.Writer
	digest hash.Hash
	signed io.Writer // takes what is signed: out and digest
}

// prepare checks the message and makes what does not stream.
func (c *composer) prepare() error {
	if c.Tamper != nil {
		c.tamper = *c.Tamper
	}
	d := &c.Data
	switch {
	case !d.Kind.Known():
		return errors.New("unknown kind of message")
	case d.Time.IsZero():
		return errors.New("no time")
	case d.Sender.IsZero() && d.Kind != pec.KindAnomaly:
		return errors.New("no sender")
	case c.holdsOriginal() && c.Original == nil:
		return errors.New("no original message")
	}
	if d.Issuer == "" {
		d.Issuer = c.provider.Name()
	}
	if c.To.IsZero() {
		c.To = d.Sender
	}
	if err := c.makeCertData(); err != nil {
		return err
	}
	if !c.holdsOriginal() {
		return nil
	}
	var err error
	if c.original, err = openOriginal(c.Original); err != nil {
		return err
	}
	return nil
}

// holdsOriginal reports whether the message carries the original, whole or not.
func (c *composer) holdsOriginal() bool {
	switch c.Data.Kind {
	case pec.KindTransport, pec.KindAnomaly:
		return true
	case pec.KindDelivery:
		return c.form() != pec.ReceiptConcise
	}
	return false
}

func (c *composer) form() pec.ReceiptType {
	for _, form := range []pec.ReceiptType{c.Form, c.Data.ReceiptType} {
		if form != "" {
			return form
		}
	}
	return pec.ReceiptComplete
}

func (c *composer) makeCertData() error {
	if c.Data.Kind == pec.KindAnomaly {
		return nil
	}
	var b bytes.Buffer
	if _, err := c.Data.WriteTo(&b); err != nil {
		return err
	}
	c.certData = b.Bytes()
	if c.tamper.CertData != nil {
		c.certData = c.tamper.CertData(c.certData)
	}
	return nil
}

// signedMultipart writes the multipart/signed, from its header fields on.
func (c *composer) signedMultipart() error {
	d := c.dialect
	boundary := c.boundary()
	fmt.Fprintf(c.out, "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"%s\"; micalg=%s;\r\n\tboundary=\"%s\"\r\n\r\n",
		d.signatureType(), d.micalg(), boundary)
	io.WriteString(c.out, "This is an S/MIME signed message\r\n\r\n")
	fmt.Fprintf(c.out, "--%s\r\n", boundary)
	c.digest = d.Digest.New()
	c.signed = io.MultiWriter(c.out, c.digest)
	if err := c.signedEntity(); err != nil {
		return err
	}
	signature, err := c.signature()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\r\n--%s\r\nContent-Type: %s; name=\"smime.p7s\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n", boundary, d.signatureType())
	writeBase64(c.out, signature)
	_, err = fmt.Fprintf(c.out, "\r\n--%s--\r\n", boundary)
	return err
}

// signedEntity writes what is signed, or what Tamper.Entity makes of it.
func (c *composer) signedEntity() error {
	if c.tamper.Entity == nil {
		return c.entity()
	}
	signed := c.signed
	var b bytes.Buffer
	c.signed = &b
	if err := c.entity(); err != nil {
		return err
	}
	_, err := signed.Write(c.tamper.Entity(b.Bytes()))
	return err
}

func (c *composer) signature() ([]byte, error) {
	d := c.dialect
	at := c.Data.Time
	if !c.tamper.SigningTime.IsZero() {
		at = c.tamper.SigningTime
	}
	signature, err := cms.Sign(cms.SignRequest{
		Certificate:   c.provider.cert,
		Chain:         c.provider.chain,
		Key:           c.provider.key,
		Digest:        d.Digest,
		MessageDigest: c.digest.Sum(nil),
		SigningTime:   at,
		Indefinite:    d.Indefinite,
		PlainRSA:      !d.Protection,
		NoProtection:  !d.Protection,
		Capabilities:  !d.Protection,
	})
	if err == nil && c.tamper.Signature != nil {
		signature = c.tamper.Signature(signature)
	}
	return signature, err
}

// entity writes what is signed: a multipart/mixed of text, certification data
// and original. RFC 6109, section 4.3.
func (c *composer) entity() error {
	boundary := c.boundary()
	head := "Content-Type: multipart/mixed;\r\n\tboundary=\"" + boundary + "\"\r\n" + c.dialect.multipartFields()
	if c.dialect.Binary || c.tamper.Unsigned {
		head += "MIME-Version: 1.0\r\n"
	}
	io.WriteString(c.signed, head+"\r\n")
	open := func() { fmt.Fprintf(c.signed, "--%s\r\n", boundary) }

	open()
	io.WriteString(c.signed, c.text())
	if c.certData != nil {
		fmt.Fprint(c.signed, "\r\n")
		open()
		c.writeCertData()
	}
	if c.original != nil {
		fmt.Fprint(c.signed, "\r\n")
		open()
		if err := c.writeOriginal(); err != nil {
			return err
		}
	}
	for _, part := range c.tamper.Parts {
		fmt.Fprint(c.signed, "\r\n")
		open()
		io.WriteString(c.signed, part)
	}
	_, err := fmt.Fprintf(c.signed, "\r\n--%s--\r\n", boundary)
	return err
}

func (c *composer) writeCertData() {
	io.WriteString(c.signed, "Content-Type: application/xml; name=\"daticert.xml\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: inline; filename=\"daticert.xml\"\r\n\r\n")
	if c.tamper.Altered == nil || c.digest == nil {
		writeBase64(c.signed, c.certData)
		return
	}
	writeBase64(c.digest, c.certData)
	writeBase64(c.out, c.tamper.Altered(c.certData))
}

// writeOriginal writes the part postacert.eml. The label says 7bit, as providers'
// do: a message can't be encoded, so its sender must have seen to it (RFC 2046,
// section 5.2.1).
func (c *composer) writeOriginal() error {
	io.WriteString(c.signed, "Content-Type: message/rfc822; name=\"postacert.eml\"\r\n"+
		"Content-Transfer-Encoding: 7bit\r\n"+
		"Content-Disposition: inline; filename=\"postacert.eml\"\r\n\r\n")
	if c.Data.Kind != pec.KindAnomaly {
		c.original.stamp(c.Data.ID, c.Data.MessageID)
	}
	if c.Data.Kind == pec.KindDelivery && c.form() == pec.ReceiptBrief {
		b := briefWriter{out: c.signed, reading: c.provider.config.HashOf, hash: c.provider.config.Hash}
		return b.write(c.original)
	}
	if _, err := c.signed.Write(c.original.head()); err != nil {
		return err
	}
	if _, err := copyAll(c.signed, c.original.body); err != nil {
		return fmt.Errorf("copying the original: %w", err)
	}
	return nil
}

// boundary returns a fresh delimiter in the style of the dialect. Nobody can
// guess it and put it into an original.
func (c *composer) boundary() string {
	if !c.dialect.Binary {
		return "----=_Part_" + rand.Text()
	}
	b := make([]byte, 16)
	rand.Read(b)
	return "----" + strings.ToUpper(hex.EncodeToString(b))
}

// writeBase64 writes lines of 76 characters.
func writeBase64(w io.Writer, b []byte) {
	const perLine = 57
	lines := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2*(len(b)/perLine+1))
	for len(b) > 0 {
		n := min(perLine, len(b))
		lines = base64.StdEncoding.AppendEncode(lines, b[:n])
		lines = append(lines, "\r\n"...)
		b = b[n:]
	}
	w.Write(lines)
}
