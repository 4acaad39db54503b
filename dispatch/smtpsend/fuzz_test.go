package smtpsend

import (
	"bufio"
	"bytes"
	"slices"
	"testing"
)

// FuzzReply: whatever a server says is read within bounds, and what the library
// is given says the same.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"250 ok\r\n", "250\r\n", "250-a\r\n250 b\r\n", "250-a\r\n550 b\r\n", "250-a\r\n", "999 x\r\n", "25", "", "354 go\n", "* OK\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		first := readReply(bufio.NewReaderSize(bytes.NewReader(said), maxReplyLine))
		if first.err != nil {
			return
		}
		wire := first.wire()
		if len(first.lines) > maxReplyLines || len(wire) > maxReplyLines*(maxLineText+6) {
			t.Errorf("%d lines, %d bytes", len(first.lines), len(wire))
		}
		second := readReply(bufio.NewReaderSize(bytes.NewReader(wire), maxReplyLine))
		if second.err != nil || second.code != first.code || len(second.lines) != len(first.lines) {
			t.Errorf("%q is read as %d, %q; and that as %d, %q, %v", said, first.code, first.lines, second.code, second.lines, second.err)
		}
	})
}

// FuzzCanonical compares the check of a message, byte by byte and in two pieces,
// with one that looks at the whole.
func FuzzCanonical(f *testing.F) {
	long := bytes.Repeat([]byte("a"), maxLine)
	for _, seed := range [][]byte{
		[]byte("a: b\r\n\r\nc\r\n"), []byte("a\nb\r\n"), []byte("a\r\r\n"), []byte("a\r"), nil, []byte("\xe0\r\n"), {0, '\r', '\n'},
		append(slices.Clone(long), "\r\n"...), append(slices.Clone(long), "a\r\n"...),
		append(bytes.Repeat([]byte("\t"), maxLine+1), "\r\n"...),
	} {
		f.Add(seed, 1)
	}
	f.Fuzz(func(t *testing.T, message []byte, at int) {
		at = min(max(at, 0), len(message))
		var form canonical
		err := form.add(message[:at])
		if err == nil {
			err = form.add(message[at:])
		}
		if err == nil {
			err = form.end()
		}
		if (err == nil) != isCanonical(message) {
			t.Errorf("message %q, cut at %d: %v; want fit to be sent: %t", message, at, err, isCanonical(message))
		}
	})
}

func isCanonical(message []byte) bool {
	text, ends := bytes.CutSuffix(message, []byte("\r\n"))
	for line := range bytes.SplitSeq(text, []byte("\r\n")) {
		if len(line) > maxLine || bytes.ContainsAny(line, "\r\n\x00") || bytes.ContainsFunc(line, func(r rune) bool { return r > 127 }) {
			return false
		}
	}
	return ends
}
