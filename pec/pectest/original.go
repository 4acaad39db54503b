package pectest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// original is the message that a sender submitted: its head, field by field as
// it was written, and its body, which is still to be read.
type original struct {
	fields []rawField
	body   io.Reader
}

// rawField is a header field with its line ends, as it was written.
type rawField struct {
	name string
	raw  []byte
}

// value returns the field's value, unfolded.
func (f rawField) value() string {
	_, value, _ := strings.Cut(string(f.raw), ":")
	value = strings.NewReplacer("\r\n", "", "\n", "").Replace(value)
	return strings.Trim(value, " \t")
}

// maxHead bounds the head of an original.
const maxHead = 256 << 10

var errHeadTooLong = errors.New("head too long")

// openOriginal reads a head, however odd, with its line ends turned to CRLF: a
// line without a name of its own belongs to the field before it. The empty line
// after it is not part of the body.
func openOriginal(r io.Reader) (*original, error) {
	in := bufio.NewReader(newCRLFReader(r))
	o := &original{body: in}
	for size := 0; ; {
		line, err := readLine(in, maxHead-size)
		size += len(line)
		switch {
		case len(line) > 0 && strings.Trim(string(line), "\r\n") == "":
			return o, nil
		case len(line) > 0:
			o.addLine(line)
		}
		if err == io.EOF {
			return o, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the head of the original: %w", err)
		}
	}
}

// readLine reads a line of at most limit bytes, with its line end.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		piece, err := in.ReadSlice('\n')
		line = append(line, piece...)
		if len(line) > limit {
			return nil, errHeadTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (o *original) addLine(line []byte) {
	name, _, named := strings.Cut(string(line), ":")
	if last := len(o.fields) - 1; last >= 0 && (line[0] == ' ' || line[0] == '\t' || !named) {
		o.fields[last].raw = append(o.fields[last].raw, line...)
		return
	}
	o.fields = append(o.fields, rawField{strings.TrimRight(name, " \t\r\n"), line})
}

// get returns the value of the first field of a name, or "".
func (o *original) get(name string) string {
	for _, f := range o.fields {
		if strings.EqualFold(f.name, name) {
			return f.value()
		}
	}
	return ""
}

// stamp makes of the head what the sender's provider makes of it: its identifier
// in place of the Message-ID, and the Message-ID, if there was one, in a last
// field of its own. Done twice, it changes nothing more. RFC 6109, section 2.2.1.
func (o *original) stamp(id, messageID string) {
	var fields []rawField
	own := rawField{"Message-ID", []byte("Message-ID: <" + id + ">\r\n")}
	found := false
	for _, f := range o.fields {
		switch {
		case strings.EqualFold(f.name, pec.HeaderReference):
			continue
		case strings.EqualFold(f.name, "Message-ID"):
			if found {
				continue
			}
			f, found = own, true
		}
		fields = append(fields, f)
	}
	if !found {
		fields = append(fields, own)
	}
	if messageID != "" {
		fields = append(fields, rawField{pec.HeaderReference, []byte(pec.HeaderReference + ": " + messageID + "\r\n")})
	}
	o.fields = fields
}

// head returns the head with the empty line after it.
func (o *original) head() []byte {
	var b bytes.Buffer
	for _, f := range o.fields {
		b.Write(f.raw)
		if !bytes.HasSuffix(f.raw, []byte("\n")) {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// crlfReader gives every line end as CRLF. A CR that ends no line stays.
type crlfReader struct {
	in     *bufio.Reader
	lastCR bool // the last byte given was a CR
	needLF bool // a CR was given for a lone LF, which is still to come
}

func newCRLFReader(r io.Reader) *crlfReader { return &crlfReader{in: bufio.NewReader(r)} }

// Read gives what is buffered up to the next lone LF.
func (c *crlfReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if c.needLF {
		c.needLF, c.lastCR = false, false
		p[0] = '\n'
		return 1, nil
	}
	if _, err := c.in.Peek(1); err != nil {
		return 0, err
	}
	buffered, _ := c.in.Peek(min(c.in.Buffered(), len(p)))
	n := c.clean(buffered)
	if n == 0 {
		c.in.Discard(1)
		c.needLF = true
		p[0] = '\r'
		return 1, nil
	}
	copy(p, buffered[:n])
	c.lastCR = buffered[n-1] == '\r'
	c.in.Discard(n)
	return n, nil
}

// clean returns how many bytes of b come before a lone LF.
func (c *crlfReader) clean(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return len(b)
		}
		i += from
		if i == 0 && !c.lastCR || i > 0 && b[i-1] != '\r' {
			return i
		}
		from = i + 1
	}
}
