package smime

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Constraints are the names that an authority may vouch for (RFC 5280, section
// 4.2.1.10). crypto/x509 is not asked: it takes sub-domains where the RFC has
// the host alone, and passes over directory names unless they are critical.
type Constraints struct {
	// Mail are the permitted mail domains, each a host name such as
	// "pec.example.it", which permits that host alone; with a dot in front, which
	// permits the hosts below it; or one whole address. Empty permits all.
	Mail []string
	// ExcludedMail are forbidden, in the same forms.
	ExcludedMail []string

	directory, excludedDirectory []pkix.RDNSequence
}

// check judges the names of a certificate.
func (c *Constraints) check(cert *x509.Certificate) error {
	if c == nil {
		return nil
	}
	for _, address := range addresses(cert) {
		if len(c.Mail) > 0 && !slices.ContainsFunc(c.Mail, func(m string) bool { return mailMatches(address, m) }) {
			return errors.New("its mail domain is not one that its issuer may vouch for")
		}
		if slices.ContainsFunc(c.ExcludedMail, func(m string) bool { return mailMatches(address, m) }) {
			return errors.New("its mail domain is one that its issuer must not vouch for")
		}
	}
	if len(c.directory) == 0 && len(c.excludedDirectory) == 0 {
		return nil
	}
	subject, err := readName(cert.RawSubject)
	if err != nil {
		return err
	}
	if len(subject) == 0 {
		return nil
	}
	below := func(base pkix.RDNSequence) bool { return isBelow(subject, base) }
	if len(c.directory) > 0 && !slices.ContainsFunc(c.directory, below) {
		return errors.New("its subject is not one that its issuer may vouch for")
	}
	if slices.ContainsFunc(c.excludedDirectory, below) {
		return errors.New("its subject is one that its issuer must not vouch for")
	}
	return nil
}

var oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// addresses returns the mail addresses that a certificate names, also in its
// subject, where old ones have them.
func addresses(cert *x509.Certificate) []string {
	all := slices.Clone(cert.EmailAddresses)
	for _, name := range cert.Subject.Names {
		if name.Type.Equal(oidEmailAddress) {
			all = append(all, fmt.Sprint(name.Value))
		}
	}
	return all
}

func mailMatches(address, constraint string) bool {
	if strings.Contains(constraint, "@") {
		return strings.EqualFold(address, constraint)
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false
	}
	host := address[at+1:]
	if strings.HasPrefix(constraint, ".") {
		return len(host) > len(constraint) && strings.EqualFold(host[len(host)-len(constraint):], constraint)
	}
	return strings.EqualFold(host, constraint)
}

// isBelow reports whether name begins with all of base.
func isBelow(name, base pkix.RDNSequence) bool {
	if len(base) > len(name) {
		return false
	}
	for i, set := range base {
		if len(set) != len(name[i]) {
			return false
		}
		for _, want := range set {
			if !slices.ContainsFunc(name[i], func(got pkix.AttributeTypeAndValue) bool {
				return got.Type.Equal(want.Type) && foldName(got.Value) == foldName(want.Value)
			}) {
				return false
			}
		}
	}
	return true
}

// readName reads a distinguished name, all of it text.
func readName(der []byte) (pkix.RDNSequence, error) {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return nil, errBadName
	}
	for _, set := range name {
		for _, a := range set {
			if _, ok := a.Value.(string); !ok {
				return nil, errBadName
			}
		}
	}
	return name, nil
}

var errBadName = errors.New("a name that can't be read")

// foldName brings text into a form that compares without regard to case and to how much blank stands
// between words (RFC 5280, section 7.1).
func foldName(text any) string {
	return strings.ToLower(strings.Join(strings.Fields(fmt.Sprint(text)), " "))
}

var oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// constraintsOf takes the constraints from the certificate of an authority. Only
// names of mail and directory are looked at, as only they name mail signers. A
// constraint that can't be read is an error.
func constraintsOf(cert *x509.Certificate) (*Constraints, error) {
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
	if i < 0 {
		return nil, nil
	}
	in := cryptobyte.String(cert.Extensions[i].Value)
	var seq, permitted, excluded cryptobyte.String
	var hasPermitted, hasExcluded bool
	context := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) ||
		!seq.ReadOptionalASN1(&permitted, &hasPermitted, context(0)) ||
		!seq.ReadOptionalASN1(&excluded, &hasExcluded, context(1)) ||
		!seq.Empty() || !in.Empty() ||
		hasPermitted && permitted.Empty() || hasExcluded && excluded.Empty() {
		return nil, errBadConstraints
	}
	c := &Constraints{}
	var err error
	if c.Mail, c.directory, err = readSubtrees(permitted); err != nil {
		return nil, err
	}
	if c.ExcludedMail, c.excludedDirectory, err = readSubtrees(excluded); err != nil {
		return nil, err
	}
	return c, nil
}

var errBadConstraints = errors.New("name constraints that can't be read")

// readSubtrees reads GeneralSubtrees, whose minimum and maximum are never used
// (RFC 5280, section 4.2.1.10).
func readSubtrees(in cryptobyte.String) (mail []string, directory []pkix.RDNSequence, err error) {
	for !in.Empty() {
		var subtree, name cryptobyte.String
		var tag cbasn1.Tag
		if !in.ReadASN1(&subtree, cbasn1.SEQUENCE) || !subtree.ReadAnyASN1(&name, &tag) || !subtree.Empty() {
			return nil, nil, errBadConstraints
		}
		switch tag {
		case cbasn1.Tag(1).ContextSpecific():
			if len(name) == 0 { // everything for some readers, nothing for others
				return nil, nil, errBadConstraints
			}
			mail = append(mail, string(name))
		case cbasn1.Tag(4).ContextSpecific().Constructed():
			base, err := readName(name)
			if err != nil {
				return nil, nil, errBadConstraints
			}
			directory = append(directory, base)
		}
	}
	return mail, directory, nil
}
