package cms

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/ceralacca/go-pec/internal/limit"
)

// maxAttributes is the most attributes of one signer.
const maxAttributes = 64

// readAttributes checks the signed attributes: none twice, contentType and
// messageDigest once each with one value (RFC 5652, section 11).
func (s *Signer) readAttributes(der, digestOID, sigOID []byte) error {
	var seen [][]byte
	has := func(oid []byte) bool {
		return slices.ContainsFunc(seen, func(o []byte) bool { return bytes.Equal(o, oid) })
	}
	for rest := cryptobyte.String(der); !rest.Empty(); {
		var attr, oid, values cryptobyte.String
		if !rest.ReadASN1(&attr, asn1.SEQUENCE) || !attr.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
			!attr.ReadASN1(&values, asn1.SET) || !attr.Empty() || values.Empty() {
			return fmt.Errorf("%w: not a list of attributes", ErrAttributes)
		}
		if has(oid) {
			return fmt.Errorf("%w: one stands twice", ErrAttributes)
		}
		if len(seen) == maxAttributes {
			return fmt.Errorf("%w: %w", ErrAttributes, limit.Passed(maxAttributes, "signed attributes"))
		}
		seen = append(seen, oid)
		if err := s.readAttribute(oid, values, digestOID, sigOID); err != nil {
			return err
		}
	}
	switch {
	case len(seen) == 0:
		return ErrNoAttrs
	case !has(oidContentType):
		return fmt.Errorf("%w: no contentType", ErrAttributes)
	case !has(oidMessageDigest):
		return fmt.Errorf("%w: no messageDigest", ErrAttributes)
	}
	return nil
}

// readAttribute reads an attribute that is known, which has one value. The others
// mean nothing here.
func (s *Signer) readAttribute(oid, values cryptobyte.String, digestOID, sigOID []byte) error {
	var value cryptobyte.String
	var tag asn1.Tag
	if !values.ReadAnyASN1Element(&value, &tag) {
		return fmt.Errorf("%w: value that is not DER", ErrAttributes)
	}
	var err error
	switch {
	case bytes.Equal(oid, oidContentType):
		err = checkContentType(value)
	case bytes.Equal(oid, oidMessageDigest):
		err = s.readMessageDigest(value)
	case bytes.Equal(oid, oidSigningTime):
		err = s.readSigningTime(value)
	case bytes.Equal(oid, oidAlgorithmProtection):
		err = checkAlgorithmProtection(value, digestOID, sigOID)
	default:
		return nil
	}
	if err == nil && !values.Empty() {
		err = fmt.Errorf("%w: one has two values", ErrAttributes)
	}
	return err
}

func checkContentType(value cryptobyte.String) error {
	var oid cryptobyte.String
	if !value.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !bytes.Equal(oid, oidData) {
		return fmt.Errorf("%w: contentType is not data", ErrAttributes)
	}
	return nil
}

func (s *Signer) readMessageDigest(value cryptobyte.String) error {
	var digest cryptobyte.String
	if !value.ReadASN1(&digest, asn1.OCTET_STRING) || len(digest) != s.Digest.Size() {
		return fmt.Errorf("%w: messageDigest is not a digest", ErrAttributes)
	}
	s.MessageDigest = digest
	return nil
}

func (s *Signer) readSigningTime(value cryptobyte.String) error {
	ok := false
	switch {
	case value.PeekASN1Tag(asn1.UTCTime):
		ok = value.ReadASN1UTCTime(&s.SigningTime)
	case value.PeekASN1Tag(asn1.GeneralizedTime):
		ok = value.ReadASN1GeneralizedTime(&s.SigningTime)
	}
	if !ok {
		return fmt.Errorf("%w: signingTime is not a time", ErrAttributes)
	}
	s.SigningTime = s.SigningTime.UTC()
	return nil
}

// checkAlgorithmProtection compares the algorithms that the signer bound into
// the signature with those that the message names (RFC 6211).
func checkAlgorithmProtection(value cryptobyte.String, digestOID, sigOID []byte) error {
	var protection, digest, signature, oid cryptobyte.String
	ok := value.ReadASN1(&protection, asn1.SEQUENCE) &&
		protection.ReadASN1(&digest, asn1.SEQUENCE) &&
		digest.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) && bytes.Equal(oid, digestOID) &&
		protection.ReadASN1(&signature, asn1.Tag(1).ContextSpecific().Constructed()) &&
		signature.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) && bytes.Equal(oid, sigOID) &&
		protection.Empty()
	if !ok {
		return fmt.Errorf("%w: algorithms differ from those protected", ErrAttributes)
	}
	return nil
}
