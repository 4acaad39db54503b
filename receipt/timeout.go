package receipt

import (
	"regexp"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// Timeout tells the two notices of a delivery that takes too long apart. They
// have the same kind, header and subject, and either may come alone: the first
// says that nothing was heard in 12 hours, and delivery may still follow; the
// second, between hour 22 and 24, that the transmission is to be considered
// failed. RFC 6109, section 3.1.6.
type Timeout string

const (
	// TimeoutUndetermined: the notice does not say. The instant of the acceptance
	// or another notice may tell.
	TimeoutUndetermined Timeout = "undetermined"
	// Timeout12h: the first notice, a warning.
	Timeout12h Timeout = "12h"
	// Timeout24h: the second notice, which is final.
	Timeout24h Timeout = "24h"
)

// Timeout returns which notice the receipt is by what it says itself, that is by
// the status code in errore-esteso; "" if it is not of [pec.KindDeliveryTimeout].
//
// Large consumers of PEC rely on 5.4.1 to mean hour 24. No sample of the notice
// of hour 12 is public; a code that begins with 4, a temporary failure, is taken
// for it.
func (r *Receipt) Timeout() Timeout {
	if r.data.Kind != pec.KindDeliveryTimeout {
		return ""
	}
	return timeoutOf(r.data.ErrorDetail)
}

func timeoutOf(detail string) Timeout {
	code := StatusCode(detail)
	switch {
	case code == "5.4.1":
		return Timeout24h
	case strings.HasPrefix(code, "4."):
		return Timeout12h
	}
	return TimeoutUndetermined
}

var statusCode = regexp.MustCompile(`^\s*([245]\.\d{1,3}\.\d{1,3})\.?(?:[^.\d]|$)`)

// StatusCode returns the enhanced status code (RFC 3463) at the front of an
// errore-esteso or an SMTP reply, such as "5.1.1", or "" if there is none.
func StatusCode(detail string) string {
	if m := statusCode.FindStringSubmatch(detail); m != nil {
		return m[1]
	}
	return ""
}
