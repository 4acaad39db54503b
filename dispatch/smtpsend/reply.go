package smtpsend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/internal/limit"
	"github.com/ceralacca/go-pec/internal/plain"
)

// Bounds of replies. RFC 5321, section 4.5.3.1.5 allows lines of 512 bytes.
const (
	maxReplyLine  = 4 << 10
	maxReplyLines = 128
	// maxLineText is what is kept of the text of a line: the library takes lines
	// of no more than 2,000 bytes.
	maxLineText = 1900
	// maxReplyText is what is kept of the text of a reply.
	maxReplyText = 1000
)

// ReplyError says that the server refused something. Its text leaves the words
// of the server out: they repeat addresses, and errors get logged.
type ReplyError struct {
	// Command is what was refused: EHLO, AUTH, MAIL.
	Command string
	// Code is the SMTP reply code, such as 535.
	Code int
	// Reply is what the server says, on one line, harmless to show, at most 1,000
	// bytes long. It may begin with an enhanced status code.
	Reply string
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("server answered %d to %s", e.Code, e.Command)
}

// withoutText returns err, if it is a reply, as an error that does not show it.
func withoutText(command string, err error) error {
	var refused *smtp.SMTPError
	if errors.As(err, &refused) {
		return &ReplyError{Command: command, Code: refused.Code, Reply: replyText(refused)}
	}
	return err
}

// replyText returns the text of a reply as it may be kept and shown.
func replyText(e *smtp.SMTPError) string {
	text := e.Message
	if code := e.EnhancedCode; code != smtp.EnhancedCodeNotSet {
		text = fmt.Sprintf("%d.%d.%d %s", code[0], code[1], code[2], text)
	}
	return shorten(plain.Text(text), maxReplyText)
}

// shorten cuts s to at most n bytes.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// reply is one reply of the server, all its lines, or why there is none.
type reply struct {
	code  int
	lines []string // without code and line end
	err   error
}

func (r reply) refusal(command string) error {
	text := shorten(plain.Text(strings.Join(r.lines, " ")), maxReplyText)
	return &ReplyError{Command: command, Code: r.code, Reply: text}
}

// wire returns the reply in the form that the library reads.
func (r reply) wire() []byte {
	var b bytes.Buffer
	for i, line := range r.lines {
		more := '-'
		if i == len(r.lines)-1 {
			more = ' '
		}
		fmt.Fprintf(&b, "%03d%c%s\r\n", r.code, more, shorten(line, maxLineText))
	}
	return b.Bytes()
}

// errNotReply is the error of a server that doesn't speak SMTP.
var errNotReply = errors.New("server's answer is not an SMTP reply")

// readReply reads one reply. The buffer of r is as long as a line may be.
func readReply(r *bufio.Reader) reply {
	var rep reply
	for more := true; more; {
		if len(rep.lines) == maxReplyLines {
			return reply{err: limit.Passed(maxReplyLines, "lines of a reply")}
		}
		line, err := r.ReadSlice('\n')
		switch {
		case err == bufio.ErrBufferFull:
			return reply{err: limit.Passed(r.Size(), "bytes of a line of a reply")}
		case err == io.EOF && len(line)+len(rep.lines) > 0:
			return reply{err: io.ErrUnexpectedEOF}
		case err == io.EOF:
			return reply{err: errHungUp}
		case err != nil:
			return reply{err: err}
		}
		var code int
		var text string
		code, more, text, err = cutReplyLine(string(bytes.TrimRight(line, "\r\n")))
		if err == nil && len(rep.lines) > 0 && code != rep.code {
			err = errNotReply
		}
		if err != nil {
			return reply{err: err}
		}
		rep.code, rep.lines = code, append(rep.lines, text)
	}
	return rep
}

// errHungUp is the error of a connection that the server closed.
var errHungUp = fmt.Errorf("server hung up: %w", io.EOF)

// cutReplyLine cuts a line into code and text, and says whether more lines
// follow. The blank after the last code may be missing: RFC 5321, section 4.2.
func cutReplyLine(line string) (code int, more bool, text string, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, false, "", errNotReply
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, "", nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", errNotReply
	}
	return code, line[3] == '-', line[4:], nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
