package smime

import (
	"bytes"
	"io"
)

// crlfWriter writes every line end as CRLF, whatever it was: mail stores often
// keep LF, signers always sign CRLF (RFC 8551, section 3.1.1). A CR that ends no
// line stays as it is.
type crlfWriter struct {
	w      io.Writer
	lastCR bool // the last byte written was a CR
	eol    [2]byte
}

func (c *crlfWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return n, c.pass(b)
		}
		hasCR := i > 0 && b[i-1] == '\r' || i == 0 && c.lastCR
		line := b[:i+1]
		b = b[i+1:]
		if hasCR {
			if err := c.pass(line); err != nil {
				return 0, err
			}
			continue
		}
		if err := c.pass(line[:i]); err != nil {
			return 0, err
		}
		c.eol = [2]byte{'\r', '\n'}
		if err := c.pass(c.eol[:]); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// pass writes b as it is.
func (c *crlfWriter) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c.lastCR = b[len(b)-1] == '\r'
	_, err := c.w.Write(b)
	return err
}
