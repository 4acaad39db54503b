package dispatch

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Charset says how the text of a table is encoded.
//
// Without one, [CSV] finds out: what begins with a byte order mark of UTF-16 is
// that; what begins with that of UTF-8, or is valid UTF-8 from beginning to end,
// is UTF-8; what is not, and has no character of UTF-8 beyond ASCII anywhere, is
// Windows-1252. A table that has both, characters of UTF-8 and bytes that are
// none, is read as UTF-8, and the rows with such bytes are faults: whoever
// guessed there would write wrong names.
type Charset string

const (
	// CharsetUTF8 is UTF-8, with byte order mark or without.
	CharsetUTF8 Charset = "utf-8"
	// CharsetWindows1252 is what spreadsheets in Italian wrote before UTF-8.
	CharsetWindows1252 Charset = "windows-1252"

	charsetUTF16 Charset = "utf-16"
)

var (
	bomUTF8    = []byte("\xef\xbb\xbf")
	bomUTF16LE = []byte("\xff\xfe")
	bomUTF16BE = []byte("\xfe\xff")
)

// detectCharset reads all of a table.
func detectCharset(r io.Reader) (Charset, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	begin, err := in.Peek(len(bomUTF8))
	if err != nil && err != io.EOF {
		return "", err
	}
	switch {
	case bytes.Equal(begin, bomUTF8):
		return CharsetUTF8, nil
	case bytes.HasPrefix(begin, bomUTF16LE), bytes.HasPrefix(begin, bomUTF16BE):
		return charsetUTF16, nil
	}
	other, wide, err := scanUTF8(in)
	if other && !wide {
		return CharsetWindows1252, err
	}
	return CharsetUTF8, err
}

// scanUTF8 reports whether there are bytes that are not UTF-8, and whether there
// are characters of UTF-8 beyond ASCII.
func scanUTF8(in *bufio.Reader) (other, wide bool, err error) {
	for {
		b, err := in.Peek(in.Size())
		if len(b) == 0 {
			if err == io.EOF {
				err = nil
			}
			return other, wide, err
		}
		n := 0
		for n < len(b) && !(other && wide) {
			if b[n] < utf8.RuneSelf {
				n++
				continue
			}
			if err == nil && !utf8.FullRune(b[n:]) {
				break
			}
			r, size := utf8.DecodeRune(b[n:])
			if r == utf8.RuneError && size == 1 {
				other = true
			} else {
				wide = true
			}
			n += size
		}
		if other && wide {
			return other, wide, nil
		}
		in.Discard(n)
	}
}

// decodeCells returns what a parser reads, and how the bytes of a cell become
// text. UTF-16 is converted as a whole: its separators are not single bytes.
func decodeCells(r io.Reader, charset Charset) (io.Reader, func([]byte) string) {
	asIs := func(b []byte) string { return string(b) }
	switch charset {
	case charsetUTF16:
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(r), asIs
	case CharsetWindows1252:
		return r, decodeWindows1252
	}
	return r, asIs
}

// decodeWindows1252 makes U+FFFD of the five bytes that mean nothing.
func decodeWindows1252(b []byte) string {
	text := make([]rune, len(b))
	for i, c := range b {
		text[i] = charmap.Windows1252.DecodeByte(c)
	}
	return string(text)
}
