package pectest

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// Check is one of the formal checks that a provider makes at submission. RFC
// 6109, section 3.1.1.
type Check string

const (
	// CheckForm: the message conforms to RFC 5322. A missing Date is forgiven, as
	// submission servers do.
	CheckForm Check = "form"
	// CheckFrom: From is there, with one valid address.
	CheckFrom Check = "from"
	// CheckTo: To is there, with one valid address or more.
	CheckTo Check = "to"
	// CheckSender: the SMTP sender is the address in From, and the account's.
	CheckSender Check = "sender"
	// CheckRecipients: every SMTP recipient stands in To or Cc.
	CheckRecipients Check = "recipients"
	// CheckAddressees: every address in To and Cc is an SMTP recipient. The rules
	// can be read without it.
	CheckAddressees Check = "addressees"
	// CheckBcc: there is no Bcc.
	CheckBcc Check = "bcc"
	// CheckSize: the size, and the size times the recipients, are within the
	// provider's limit, and so are the recipients.
	CheckSize Check = "size"
	// CheckVirus: no malware.
	CheckVirus Check = "virus"
)

// allChecks are in the order in which they are made.
func allChecks() []Check {
	return []Check{CheckForm, CheckFrom, CheckTo, CheckSender, CheckRecipients, CheckAddressees, CheckBcc, CheckSize, CheckVirus}
}

// Response is how a provider answers a message that fails a check.
type Response string

const (
	// RespondNotice takes the message and sends a notice (avviso di non
	// accettazione).
	RespondNotice Response = "notice"
	// RespondSMTP refuses it with a reply 554; an SMTP sender that is not the
	// account's address with a reply 553, before the message comes.
	RespondSMTP Response = "smtp"
	// RespondNothing does not make the check.
	RespondNothing Response = "off"
)

// failedCheck is a check that a message failed.
type failedCheck struct {
	check  Check
	detail string // errore-esteso
}

// runChecks makes the checks on a submission and returns the first that fails
// and is made.
func (s *submission) runChecks() *failedCheck {
	tests := map[Check]func() string{
		CheckForm: s.checkForm, CheckFrom: s.checkFrom, CheckTo: s.checkTo, CheckSender: s.checkSender,
		CheckRecipients: s.checkRecipients, CheckAddressees: s.checkAddressees, CheckBcc: s.checkBcc,
		CheckSize: s.checkSize, CheckVirus: s.checkVirus,
	}
	for _, check := range allChecks() {
		if s.site.response(check) == RespondNothing {
			continue
		}
		if detail := tests[check](); detail != "" {
			return &failedCheck{check, detail}
		}
	}
	return nil
}

// onlyOnce are fields that RFC 5322, section 3.6, allows once.
var onlyOnce = []string{"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject"}

func (s *submission) checkForm() string {
	if s.scan.badLineEnd {
		return "il messaggio contiene un fine riga non valido"
	}
	if s.scan.longLine {
		return "il messaggio contiene una riga di oltre 998 caratteri"
	}
	for _, f := range s.original.fields {
		if !isFieldName(f.name) || !isASCII(f.raw) {
			return "intestazione non conforme"
		}
	}
	for _, name := range onlyOnce {
		if n := s.original.count(name); n > 1 {
			return fmt.Sprintf("campo %s ripetuto", name)
		}
	}
	return ""
}

func isFieldName(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' || name[i] == ':' {
			return false
		}
	}
	return name != ""
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c == 0 || c > 0x7e && c != '\t' {
			return false
		}
	}
	return true
}

func (o *original) count(name string) int {
	n := 0
	for _, f := range o.fields {
		if strings.EqualFold(f.name, name) {
			n++
		}
	}
	return n
}

func (s *submission) checkFrom() string {
	if len(s.addresses("From")) != 1 {
		return "campo From assente o senza un indirizzo valido"
	}
	return ""
}

func (s *submission) checkTo() string {
	if len(s.addresses("To")) == 0 {
		return "campo To assente o senza indirizzi validi"
	}
	return ""
}

func (s *submission) checkSender() string {
	from := s.addresses("From")
	if s.isStranger() || len(from) == 1 && !strings.EqualFold(from[0], s.from) {
		return "il mittente della busta SMTP non coincide con il campo From"
	}
	return ""
}

func (s *submission) checkRecipients() string {
	named := append(s.addresses("To"), s.addresses("Cc")...)
	for _, r := range s.to {
		if !containsFold(named, r.String()) {
			return "un destinatario della busta SMTP non compare in To o Cc"
		}
	}
	return ""
}

func (s *submission) checkAddressees() string {
	for _, address := range append(s.addresses("To"), s.addresses("Cc")...) {
		if !containsAddress(s.to, address) {
			return "un indirizzo in To o Cc non compare tra i destinatari della busta SMTP"
		}
	}
	return ""
}

func (s *submission) checkBcc() string {
	if s.original.get("Bcc") != "" {
		return "destinatari in copia nascosta non ammessi"
	}
	return ""
}

func (s *submission) checkSize() string {
	p := s.site.profile()
	switch {
	case s.message.Size()*int64(len(s.to)) > p.MaxTotalBytes:
		return "5.3.4 - " + s.site.Name() + " - dimensione del messaggio per numero di destinatari oltre il limite"
	case len(s.to) > p.MaxRecipients:
		return "5.5.3 - " + s.site.Name() + " - troppi destinatari"
	}
	return ""
}

func (s *submission) checkVirus() string {
	if s.scan.virus {
		return virusName
	}
	return ""
}

// addresses returns the addresses in a field; none if it can't be read.
func (s *submission) addresses(field string) []string { return s.original.addresses(field) }

func (o *original) addresses(field string) []string {
	value := o.get(field)
	if value == "" {
		return nil
	}
	list, err := addressParser.ParseList(value)
	if err != nil {
		return nil
	}
	addresses := make([]string, len(list))
	for i, a := range list {
		addresses[i] = a.Address
	}
	return addresses
}

// addressParser does not mind in what charset a name is written.
var addressParser = mail.AddressParser{WordDecoder: &mime.WordDecoder{
	CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil },
}}

func containsFold(list []string, s string) bool {
	for _, e := range list {
		if strings.EqualFold(e, s) {
			return true
		}
	}
	return false
}

func containsAddress(list []pec.Address, s string) bool {
	for _, a := range list {
		if strings.EqualFold(a.String(), s) {
			return true
		}
	}
	return false
}

// virusName is what the antivirus of a simulated provider finds: the harmless
// test file of EICAR.
const virusName = "EICAR-Test-File"

// signs of the test file: as it is, and in base64 at the start of an attachment.
// They are put together here, so that nothing takes this program for it.
var virusSigns = [][]byte{
	[]byte("$EICAR-" + "STANDARD-ANTIVIRUS-TEST-FILE!"),
	[]byte("WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0ND" + "KTd9JEVJQ0FS"),
}

// scanner looks at the bytes of a message as they come.
type scanner struct {
	virus      bool
	badLineEnd bool
	longLine   bool

	tail   []byte // the end of what came, in which a sign may begin
	column int
	lastCR bool
}

// Write implements io.Writer.
func (s *scanner) Write(p []byte) (int, error) {
	s.lines(p)
	const keep = 64 // more than a sign
	s.look(append(s.tail, p[:min(len(p), keep)]...))
	s.look(p)
	if len(p) < keep {
		p = append(s.tail, p...)
	}
	s.tail = append([]byte(nil), p[max(0, len(p)-keep):]...)
	return len(p), nil
}

func (s *scanner) look(p []byte) {
	for _, sign := range virusSigns {
		s.virus = s.virus || bytes.Contains(p, sign)
	}
}

func (s *scanner) lines(p []byte) {
	const maxLine = 998
	for _, c := range p {
		s.badLineEnd = s.badLineEnd || s.lastCR != (c == '\n')
		if c == '\n' {
			s.column = 0
		} else if c != '\r' {
			s.column++
			s.longLine = s.longLine || s.column > maxLine
		}
		s.lastCR = c == '\r'
	}
}
