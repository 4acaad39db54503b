package smtpsend

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// startTLS asks, in clear text, for the TLS handshake to begin. Nothing that is
// said before it is believed, but that TLS is on offer; without the offer, or
// with anything more said before the handshake, the connection is refused.
func startTLS(raw net.Conn, localName string) error {
	r := bufio.NewReaderSize(raw, maxReplyLine)
	if _, err := expectReply(r, "greeting", 220); err != nil {
		return err
	}
	ehlo, err := askClear(raw, r, "EHLO", localName, 250)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(ehlo.lines, func(line string) bool { return strings.EqualFold(line, "STARTTLS") }) {
		return errors.New("server does not offer STARTTLS")
	}
	if _, err := askClear(raw, r, "STARTTLS", "", 220); err != nil {
		return err
	}
	if r.Buffered() > 0 {
		// RFC 3207, section 6: whoever sits in between could have put it there.
		return errors.New("server said more before the TLS handshake")
	}
	return nil
}

func askClear(raw net.Conn, r *bufio.Reader, command, argument string, code int) (reply, error) {
	line := strings.TrimSpace(command+" "+argument) + "\r\n"
	if _, err := io.WriteString(raw, line); err != nil {
		return reply{}, err
	}
	return expectReply(r, command, code)
}

func expectReply(r *bufio.Reader, command string, code int) (reply, error) {
	rep := readReply(r)
	if rep.err == nil && rep.code != code {
		rep.err = rep.refusal(command)
	}
	return rep, rep.err
}
