package dispatch

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/pec"
)

// Messages are written here and not with go-message, which reads them in the
// tests: its writer takes random boundaries unless told otherwise, copies
// attachments where a piece of a message must stay a reference to a blob, writes
// text that looks like an encoded word as it is, so that receivers decode it,
// and breaks a line after "Subject:" where the first encoded word is long.

const (
	crlf = "\r\n"
	// maxHeadLine is how long lines of a head are that could be broken; those that
	// hold an encoded word may not be longer. RFC 2047, section 2.
	maxHeadLine = 76
	// maxEncodedWord is the most characters of an encoded word. RFC 2047, section 2.
	maxEncodedWord = 75
)

// headWriter writes fields of a head.
type headWriter struct {
	bytes.Buffer
}

// plain writes a field whose value needs no encoding and stays on one line.
func (w *headWriter) plain(name, value string) {
	w.WriteString(name + ": " + value + crlf)
}

// text writes a field of unstructured text.
func (w *headWriter) text(name, value string) {
	w.WriteString(name + ":")
	if column := len(name) + 1; isPlainText(value) {
		w.words(column, strings.Split(value, " "))
	} else {
		w.words(column, encodedWords(value, maxHeadLine-column-1))
	}
	w.WriteString(crlf)
}

// mailbox writes a field with one address.
func (w *headWriter) mailbox(name string, m pec.Mailbox) {
	w.WriteString(name + ":")
	column := len(name) + 1
	var words []string
	switch {
	case m.Name == "":
		w.words(column, []string{m.Address.String()})
		w.WriteString(crlf)
		return
	case !isPlainText(m.Name):
		words = encodedWords(m.Name, maxHeadLine-column-1)
	case strings.IndexFunc(m.Name, isNotPhrase) < 0:
		words = strings.Split(m.Name, " ")
	default:
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(m.Name)
		words = strings.Split(`"`+quoted+`"`, " ")
	}
	w.words(column, append(words, "<"+m.Address.String()+">"))
	w.WriteString(crlf)
}

// isNotPhrase reports whether a printable ASCII character needs quotes in a
// display name. The dot does: RFC 5322, section 3.2.3.
func isNotPhrase(r rune) bool {
	return r != ' ' && !isWordByte(byte(r)) && strings.IndexByte("#$%&'=?^_`{|}~", byte(r)) < 0
}

// words writes words with a blank before each, or a line break and a blank where
// the line would be too long.
func (w *headWriter) words(column int, words []string) {
	for i, word := range words {
		if i > 0 && column+1+len(word) > maxHeadLine {
			w.WriteString(crlf)
			column = 0
		}
		w.WriteString(" " + word)
		column += 1 + len(word)
	}
}

// isPlainText reports whether text can stand in a head as it is, and is read
// again as it was: printable ASCII, no two blanks in a row, no blank at an end,
// no word that would make a line too long, and nothing that a reader could take
// for an encoded word.
func isPlainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	if strings.Contains(s, "=?") {
		return false
	}
	for word := range strings.SplitSeq(s, " ") {
		if word == "" || len(word) > 60 {
			return false
		}
	}
	return true
}

// isWordByte reports whether a character stands for itself in an encoded word,
// wherever the word is. RFC 2047, section 5, rule 3.
func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

// encodedWords returns text as encoded words, the first of at most so many
// characters. No character is cut in two. RFC 2047, sections 2 and 5.
func encodedWords(text string, first int) []string {
	const begin, end = "=?utf-8?Q?", "?="
	escaped := 0
	for i := range len(text) {
		if !isWordByte(text[i]) && text[i] != ' ' {
			escaped++
		}
	}
	// Whichever of the two is shorter: Q is readable, and long for other scripts.
	inBase64 := 2*escaped > len(text)/3
	var words []string
	most := first
	for len(text) > 0 {
		size, cut := 0, 0
		for cut < len(text) {
			_, n := utf8.DecodeRuneInString(text[cut:])
			size = encodedSize(text[:cut+n], size, n, inBase64)
			if len(begin)+size+len(end) > most {
				break
			}
			cut += n
		}
		if inBase64 {
			words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:cut]))+end)
		} else {
			words = append(words, begin+encodeQ(text[:cut])+end)
		}
		text = text[cut:]
		most = maxEncodedWord
	}
	return words
}

// encodedSize returns how long text is in an encoded word. before is how long it
// was without its last n bytes.
func encodedSize(text string, before, n int, inBase64 bool) int {
	if inBase64 {
		return base64.StdEncoding.EncodedLen(len(text))
	}
	return before + len(encodeQ(text[len(text)-n:]))
}

// encodeQ encodes text as RFC 2047, section 4.2, has it.
func encodeQ(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == ' ':
			b.WriteByte('_')
		case isWordByte(c):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// fileName returns the parameters that give a part its name, each beginning with
// a semicolon: name for Content-Type and filename for Content-Disposition. A name
// that is not plain ASCII is an encoded word in the first, for readers that know
// nothing else, and as RFC 2231 has it in the second.
func fileName(name string) (inType, inDisposition string) {
	if isPlainFileName(name) {
		return ";" + crlf + ` name="` + name + `"`, ";" + crlf + ` filename="` + name + `"`
	}
	const begin = ` name="`
	words := encodedWords(name, maxHeadLine-len(begin)-1)
	inType = ";" + crlf + begin + strings.Join(words, crlf+" ") + `"`
	pieces := percentPieces(name, 50)
	if len(pieces) == 1 {
		return inType, ";" + crlf + " filename*=utf-8''" + pieces[0]
	}
	for i, piece := range pieces {
		if i == 0 {
			piece = "utf-8''" + piece
		}
		inDisposition += fmt.Sprintf(";"+crlf+" filename*%d*=%s", i, piece)
	}
	return inType, inDisposition
}

// isPlainFileName reports whether a name can stand between quotes.
func isPlainFileName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isWordByte(c) && strings.IndexByte(" .,_#$&'()=@[]^`{}~", c) < 0 {
			return false
		}
	}
	return !strings.Contains(name, "  ")
}

// percentPieces returns text in the form of RFC 2231, section 4, in pieces of at
// most so many characters, none of which ends within a character.
func percentPieces(text string, most int) []string {
	var pieces []string
	var b strings.Builder
	for _, r := range text {
		var encoded string
		if r < utf8.RuneSelf && (isWordByte(byte(r)) && r != '*' && r != '/' || r == '.' || r == '_') {
			encoded = string(r)
		} else {
			encoded = fmt.Sprintf("% X", string(r))
			encoded = "%" + strings.ReplaceAll(encoded, " ", "%")
		}
		if b.Len()+len(encoded) > most {
			pieces = append(pieces, b.String())
			b.Reset()
		}
		b.WriteString(encoded)
	}
	return append(pieces, b.String())
}

// checkHeadText returns what makes a text unfit for a head. Encoding would carry
// line breaks too, but readers make of them what they like, and the certified
// subject stands in XML, which has no control characters.
func checkHeadText(s string) (FaultCode, error) {
	if code, err := cellFault(s); code != "" {
		return code, err
	}
	if i := strings.IndexFunc(s, isHeadControl); i >= 0 {
		return FaultControl, fmt.Errorf("character %d", 1+utf8.RuneCountInString(s[:i]))
	}
	return "", nil
}

func isHeadControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r&0xfffe == 0xfffe
}

// maxFileName is the most bytes of the name of an attachment, as in file systems.
const maxFileName = 255

// checkFileName returns why a name is unfit for an attachment. It never repeats
// the name.
func checkFileName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return errors.New("it is empty")
	case len(name) > maxFileName:
		return fmt.Errorf("longer than %d bytes", maxFileName)
	case !utf8.ValidString(name) || strings.ContainsRune(name, utf8.RuneError):
		return errors.New("not UTF-8")
	case strings.IndexFunc(name, isHeadControl) >= 0:
		return errors.New("a control character in it")
	case strings.IndexFunc(name, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }) >= 0:
		return errors.New("a character in it that turns the direction of writing")
	case strings.ContainsAny(name, `/\`):
		return errors.New("a slash or backslash in it")
	case strings.Contains(name, "=?"):
		return errors.New("it looks encoded")
	case strings.TrimSpace(name) != name:
		return errors.New("white space around it")
	}
	return nil
}
