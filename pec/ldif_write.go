package pec

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteLDIF writes a providers' directory that [ReadLDIF] reads as the same: the
// root and one record for each provider, in the order given, with the hash of
// each certificate beside it. The root does not say where the file is published, and
// need not (RFC 6109, sections 4.5.6 and 4.5.8). The file is read back before anything
// is written: what a reader would refuse, or take for something else, is an
// [*LDIFError] whose line is that of the file.
func WriteLDIF(w io.Writer, providers []Provider) error {
	file := formatLDIF(providers)
	back, err := ReadLDIF(bytes.NewReader(file))
	if err != nil {
		return err
	}
	if !bytes.Equal(file, formatLDIF(back)) {
		return ldifError(0, errors.New("a value that a reader would take for another"))
	}
	_, err = w.Write(file)
	return err
}

// formatLDIF returns the file of some providers, whatever they hold.
func formatLDIF(providers []Provider) []byte {
	var p ldifPrinter
	p.attribute("version", "1")
	p.attribute("dn", ldifRoot)
	p.values("objectClass", "top", "organization")
	p.attribute("o", "postacert")
	for i := range providers {
		p.out = append(p.out, '\n')
		p.provider(&providers[i])
	}
	return p.out
}

// ldifRoot is the distinguished name of the root. RFC 6109, section 4.5.
const ldifRoot = "o=postacert"

// ldifPrinter writes attributes.
type ldifPrinter struct{ out []byte }

func (p *ldifPrinter) provider(v *Provider) {
	dn := "providerName=" + escapeDN(v.Name) + "," + ldifRoot
	if v.Unit != "" {
		dn = "providerUnit=" + escapeDN(v.Unit) + "," + dn
	}
	p.attribute("dn", dn)
	p.values("objectClass", "top", "provider")
	p.attribute("providerName", v.Name)
	p.optional("providerUnit", v.Unit)
	listed := make(map[[sha1.Size]byte]bool)
	for _, der := range v.Certificates {
		hash := sha1.Sum(der)
		p.hash(hash, listed)
		p.binary("providerCertificate;binary", der)
	}
	for _, hash := range v.Hashes {
		p.hash(hash, listed)
	}
	p.optional("mailReceipt", v.ServiceMailbox.String())
	for _, domain := range v.Domains {
		p.attribute("managedDomains", lowerASCII(domain))
	}
	p.optional("LDIFLocationURL", v.LDIFLocation)
	p.optional("description", v.Description)
}

// hash writes a hash that does not stand in the record yet.
func (p *ldifPrinter) hash(hash [sha1.Size]byte, listed map[[sha1.Size]byte]bool) {
	if !listed[hash] {
		listed[hash] = true
		p.attribute("providerCertificateHash", strings.ToUpper(hex.EncodeToString(hash[:])))
	}
}

func (p *ldifPrinter) values(name string, values ...string) {
	for _, value := range values {
		p.attribute(name, value)
	}
}

func (p *ldifPrinter) optional(name, value string) {
	if value != "" {
		p.attribute(name, value)
	}
}

// attribute writes a text, in base64 if RFC 2849 asks for it.
func (p *ldifPrinter) attribute(name, value string) {
	if isSafeLDIF(value) {
		p.fold(name + ": " + value)
	} else {
		p.binary(name, []byte(value))
	}
}

func (p *ldifPrinter) binary(name string, value []byte) {
	p.fold(name + ":: " + base64.StdEncoding.EncodeToString(value))
}

// fold writes a line in pieces of at most 76 bytes.
func (p *ldifPrinter) fold(line string) {
	const width = 76
	for first := true; first || line != ""; first = false {
		room := width
		if !first {
			p.out = append(p.out, ' ')
			room--
		}
		n := min(len(line), room)
		p.out = append(p.out, line[:n]...)
		p.out = append(p.out, '\n')
		line = line[n:]
	}
}

// isSafeLDIF reports whether a value can be written as it is. RFC 2849, SAFE-STRING.
func isSafeLDIF(s string) bool {
	if s == "" {
		return true
	}
	if strings.IndexByte(" :<", s[0]) >= 0 || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// escapeDN escapes a value for a distinguished name. RFC 4514, section 2.4.
func escapeDN(s string) string {
	var b strings.Builder
	for i := range len(s) {
		first, last := i == 0, i == len(s)-1
		if strings.IndexByte(`",+;<>\=`, s[i]) >= 0 || first && s[i] == '#' || (first || last) && s[i] == ' ' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
