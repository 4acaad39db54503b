package imapbox

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/ceralacca/go-pec/internal/limit"
)

// Bounds of what is said in clear text.
const (
	maxClearLine  = 4 << 10
	maxClearLines = 100
)

// startTLS asks, in clear text, for the TLS handshake to begin. Nothing that is
// said before it is believed; with anything more said before the handshake, the
// connection is refused.
func startTLS(raw net.Conn) error {
	r := bufio.NewReaderSize(raw, maxClearLine)
	// PREAUTH would mean to go on in clear text: RFC 9051, section 11.1.
	if err := expectLine(r, "*"); err != nil {
		return err
	}
	if _, err := io.WriteString(raw, "A STARTTLS\r\n"); err != nil {
		return err
	}
	if err := expectLine(r, "A"); err != nil {
		return err
	}
	if r.Buffered() > 0 {
		// RFC 9051, section 11.1: whoever sits in between could have put it there.
		return errors.New("server said more before the TLS handshake")
	}
	return nil
}

// expectLine reads up to the first line with the given tag, which must be OK.
func expectLine(r *bufio.Reader, tag string) error {
	for range maxClearLines {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return limit.Passed(maxClearLine, "bytes of a line")
		}
		if err != nil {
			return err
		}
		words := strings.Fields(string(line))
		if len(words) < 2 || words[0] != tag {
			continue
		}
		if !strings.EqualFold(words[1], "OK") {
			return errors.New("server does not want to")
		}
		return nil
	}
	return limit.Passed(maxClearLines, "lines before the TLS handshake")
}
