package smime

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/ceralacca/go-pec/internal/cms"
	"github.com/ceralacca/go-pec/internal/rawmime"
)

// Header gives the fields of a message's top-level header. They are not signed:
// anyone may have written them.
type Header struct {
	head rawmime.Head
}

// Values returns the values of every field called name, in any case, unfolded.
func (h Header) Values(name string) []string { return h.head.Values(name) }

// ParseOptions are the options of [Parse]. The zero value works.
type ParseOptions struct {
	// Header, if not nil, is called with the top-level header once that was
	// read. An error of it ends the parsing and is returned as it is.
	Header func(Header) error
	// Content, if not nil, is given the signed entity, head and body, byte for
	// byte as received. None of it is proven until Verify succeeds. An error of
	// it ends the parsing and is returned as it is.
	Content io.Writer
	// Limits bound what the message may cost.
	Limits Limits
}

// Unverified is a signed message whose form is good. It proves nothing. Only
// [Parse] makes one; the zero value does not verify.
type Unverified struct {
	header        Header
	contentOffset int64
	contentSize   int64
	digests       map[crypto.Hash][]byte
	isDERSet      bool // the content could be the attributes of a signature
	data          *cms.SignedData
}

// Header returns the top-level header, which is not signed.
func (u *Unverified) Header() Header { return u.header }

// ContentOffset returns where in the input the signed entity begins.
func (u *Unverified) ContentOffset() int64 { return u.contentOffset }

// ContentSize returns the number of bytes of the signed entity, as received.
func (u *Unverified) ContentSize() int64 { return u.contentSize }

// Digest returns the digest of the signed entity with its line ends as CRLF, as
// the signer made it. SHA-256 is always there, as a name for the content; another
// may be nil unless the signature uses it.
func (u *Unverified) Digest(h crypto.Hash) []byte { return bytes.Clone(u.digests[h]) }

// Parse reads a message of type multipart/signed up to its close delimiter.
//
// It takes one pass and constant memory, whatever the size. The digest algorithm
// is known for sure only at the end, in the signature; Parse computes the one
// that the header announces, and should that be a lie, reads the content again
// if r is an [io.Seeker], and refuses the message otherwise.
//
// Errors are [*Error] values, errors of r, or errors of the options' own.
func Parse(r io.Reader, opts ParseOptions) (*Unverified, error) {
	start, canSeek := position(r)
	p := &parser{opts: opts, limits: opts.Limits.withDefaults()}
	if err := p.readAll(r); err != nil {
		return nil, err
	}
	u, err := p.finish()
	if err != nil {
		return nil, err
	}
	missing := u.missingDigests()
	if len(missing) == 0 {
		return u, nil
	}
	if !canSeek {
		return nil, refusef(ReasonAlgorithm, partSignature, "digest is not the one that the header announces, and the message can't be read again")
	}
	if err := u.readAgain(r, start, missing); err != nil {
		return nil, fmt.Errorf("smime: reading the message again: %w", err)
	}
	return u, nil
}

// readAgain computes the missing digests. What was given to the caller was read
// the first time, so the second must not differ.
func (u *Unverified) readAgain(r io.Reader, start int64, missing map[crypto.Hash]hash.Hash) error {
	if _, err := r.(io.Seeker).Seek(start+u.contentOffset, io.SeekStart); err != nil {
		return err
	}
	missing[crypto.SHA256] = crypto.SHA256.New()
	again := hashContent(missing)
	if _, err := io.CopyN(again, r, u.contentSize); err != nil {
		return err
	}
	before := u.digests[crypto.SHA256]
	again.sums(u.digests)
	if !bytes.Equal(before, u.digests[crypto.SHA256]) {
		return errors.New("it has changed")
	}
	return nil
}

func position(r io.Reader) (start int64, ok bool) {
	s, ok := r.(io.Seeker)
	if !ok {
		return 0, false
	}
	start, err := s.Seek(0, io.SeekCurrent)
	return start, err == nil
}

// missingDigests returns a hash for each digest that the signers use and that
// was not computed.
func (u *Unverified) missingDigests() map[crypto.Hash]hash.Hash {
	missing := make(map[crypto.Hash]hash.Hash)
	for _, s := range u.data.Signers {
		if u.digests[s.Digest] == nil {
			missing[s.Digest] = s.Digest.New()
		}
	}
	return missing
}
