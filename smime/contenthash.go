package smime

import (
	"bytes"
	"crypto"
	"hash"
	"maps"
	"slices"
	"strings"
)

// contentHash digests content with every line end as CRLF, and counts its bytes.
// Nothing else is changed.
type contentHash struct {
	hashes map[crypto.Hash]hash.Hash
	all    []hash.Hash // the same, to go through for every piece
	crlf   crlfWriter
	size   int64  // as digested
	first  []byte // of it, at most maxSetHeader
}

// newContentHash prepares the digest that a micalg parameter announces, and all
// that are accepted if it announces none of them. SHA-256 is always among them.
func newContentHash(micalg string) *contentHash {
	hashes := map[crypto.Hash]hash.Hash{crypto.SHA256: crypto.SHA256.New()}
	announced := false
	for name := range strings.SplitSeq(strings.ToLower(micalg), ",") {
		h, ok := micalgs[strings.Trim(name, " \t")]
		if ok && hashes[h] == nil {
			hashes[h] = h.New()
		}
		announced = announced || ok
	}
	if !announced {
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA384, crypto.SHA512} {
			hashes[h] = h.New()
		}
	}
	return hashContent(hashes)
}

func hashContent(hashes map[crypto.Hash]hash.Hash) *contentHash {
	c := &contentHash{hashes: hashes, all: slices.Collect(maps.Values(hashes))}
	c.crlf.w = digester{c}
	return c
}

// micalgs are the names in use: those of RFC 8551, section 3.5.3.2, and those
// before it.
var micalgs = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha-1": crypto.SHA1,
	"sha256": crypto.SHA256, "sha-256": crypto.SHA256,
	"sha384": crypto.SHA384, "sha-384": crypto.SHA384,
	"sha512": crypto.SHA512, "sha-512": crypto.SHA512,
}

func hasBareLF(b []byte) bool {
	return bytes.Count(b, []byte("\n")) != bytes.Count(b, []byte("\r\n"))
}

// Write implements io.Writer for content whose line ends are not known.
func (c *contentHash) Write(b []byte) (int, error) { return c.crlf.Write(b) }

// add takes the next bytes; bareLF says that a line end among them is a lone LF.
func (c *contentHash) add(b []byte, bareLF bool) {
	if bareLF {
		c.crlf.Write(b)
	} else {
		c.crlf.pass(b)
	}
}

// digester gives bytes to every hash. Hashes never fail.
type digester struct{ c *contentHash }

func (d digester) Write(b []byte) (int, error) {
	for _, h := range d.c.all {
		h.Write(b)
	}
	d.c.size += int64(len(b))
	if missing := maxSetHeader - len(d.c.first); missing > 0 {
		d.c.first = append(d.c.first, b[:min(missing, len(b))]...)
	}
	return len(b), nil
}

// sums adds the digests to m.
func (c *contentHash) sums(m map[crypto.Hash][]byte) {
	for id, h := range c.hashes {
		m[id] = h.Sum(nil)
	}
}
