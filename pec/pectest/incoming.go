package pectest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
	"github.com/ceralacca/go-pec/smime"
)

// incomingSession is a dialogue with another host at the incoming point (punto di
// ricezione), or at the ordinary host.
type incomingSession struct {
	site *site
	conn *smtp.Conn
	incoming
}

// incoming is a message from another host.
type incoming struct {
	from    string
	to      []pec.Address
	message *blob
	virus   bool
}

func (s *site) newIncomingSession(c *smtp.Conn) (smtp.Session, error) {
	return &incomingSession{site: s, conn: c}, nil
}

// Mail implements smtp.Session.
func (s *incomingSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session. Any address in the domains of the host is taken:
// what can't be delivered is told by a notice.
func (s *incomingSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	a, err := pec.ParseAddress(to)
	if err != nil || !s.site.manages(a.Domain()) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Relaying denied"}
	}
	s.to = append(s.to, a)
	return nil
}

// Reset implements smtp.Session.
func (s *incomingSession) Reset() { s.incoming = incoming{} }

// Logout implements smtp.Session.
func (s *incomingSession) Logout() error { return nil }

// Data implements smtp.Session.
func (s *incomingSession) Data(r io.Reader) error {
	in := s.incoming
	scan := &scanner{}
	w := s.site.network.spool.create()
	if _, err := copyAll(io.MultiWriter(w, scan), io.MultiReader(strings.NewReader(s.received()), r)); err != nil {
		w.drop()
		return err
	}
	var err error
	if in.message, err = w.finish(); err != nil {
		s.site.network.fail(err)
		return errLocal
	}
	in.virus = scan.virus
	return s.site.arrived(in)
}

// received is what the host puts on top of a message.
func (s *incomingSession) received() string {
	host, _, _ := net.SplitHostPort(s.conn.Conn().RemoteAddr().String())
	return fmt.Sprintf("Return-Path: <%s>\r\nReceived: from %s ([%s])\r\n\tby %s with ESMTPS;\r\n\t%s\r\n",
		s.from, s.conn.Hostname(), host, s.site.host(), headerDate(s.site.now()))
}

// arrived says what becomes of a message from another host. RFC 6109, section
// 2.2.2.
func (s *site) arrived(in incoming) error {
	if s.Provider == nil {
		s.process(func() { s.deliverOrdinary(in) })
		return nil
	}
	opts := s.network.VerifyOptions()
	opts.At = s.network.clock.Now()
	opts.Limits.Message = 1 << 40
	message, err := receipt.VerifyMessage(in.message.reader(), opts)
	var refusal *receipt.Error
	if err != nil && !errors.As(err, &refusal) {
		s.network.fail(err)
		return errLocal
	}
	switch m := message.(type) {
	case *receipt.Transport:
		s.process(func() { s.transport(in, m) })
		return nil
	case *receipt.Receipt:
		s.process(func() { s.notification(in, m) })
		return nil
	case *receipt.Anomaly:
		s.process(func() { s.store(in) }) // another provider wrapped it for us
		return nil
	}
	switch {
	case in.virus:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Malware found"}
	case s.network.config.Scenario.RefuseOrdinary:
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Ordinary mail is not accepted here"}
	}
	s.process(func() { s.wrap(in, anomalyReason(refusal)) })
	return nil
}

// Reasons that anomaly envelopes give.
const (
	reasonOrdinary  = "messaggio di posta ordinaria"
	reasonFormat    = "formato del messaggio non valido"
	reasonSignature = "firma non valida"
	reasonExpired   = "certificato di firma scaduto o revocato"
	reasonSigner    = "firma non appartenente a un gestore"
)

// anomalyReason says in short why a message is no PEC.
func anomalyReason(e *receipt.Error) string {
	switch {
	case e == nil, e.Code == receipt.CodeNotPEC, e.Code == receipt.Code(smime.ReasonNotSigned):
		return reasonOrdinary
	case e.Code == receipt.Code(smime.ReasonDigest), e.Code == receipt.Code(smime.ReasonSignature):
		return reasonSignature
	case e.Code == receipt.Code(smime.ReasonExpired), e.Code == receipt.Code(smime.ReasonRevoked):
		return reasonExpired
	case e.Code == receipt.CodeNotListed, e.Code == receipt.Code(smime.ReasonIssuer):
		return reasonSigner
	}
	return reasonFormat
}

// store delivers a message that needs no receipt, as it is.
func (s *site) store(in incoming) {
	for _, a := range in.to {
		if s.network.box(a).put(in.message) {
			s.releaseHeld(a.Key())
		}
	}
}

// wrap delivers mail that is no valid PEC in an anomaly envelope (busta di
// anomalia). RFC 6109, section 3.2.2.
func (s *site) wrap(in incoming, reason string) {
	o, err := openOriginal(in.message.reader())
	if err != nil {
		return // nobody can read it
	}
	data := pec.CertData{
		Kind:        pec.KindAnomaly,
		Subject:     o.subject(),
		Time:        s.now(),
		ErrorDetail: reason,
	}
	if from, err := pec.ParseAddress(in.from); err == nil {
		data.Sender = from
	} else if from := o.addresses("From"); len(from) == 1 {
		data.Sender, _ = pec.ParseAddress(from[0])
	}
	for _, a := range in.to {
		data.Recipients = append(data.Recipients, pec.Recipient{Address: a})
	}
	envelope, err := s.network.spool.keep(func(w io.Writer) error {
		return s.Compose(w, Message{Data: data, Original: in.message.reader()})
	})
	if err != nil {
		s.network.fail(err)
		return
	}
	messageID := o.messageID()
	for _, a := range in.to {
		data := data
		data.Delivery, data.MessageID = a, messageID
		if s.network.box(a).put(envelope) {
			s.logAbout(EventDelivered, data, data.Kind.LegalName("")+": "+reason)
			s.releaseHeld(a.Key())
		}
	}
}

// deliverOrdinary puts a message into mailboxes of the ordinary host. If it is a
// transport envelope, the journal says of which message.
func (s *site) deliverOrdinary(in incoming) {
	o, err := openOriginal(in.message.reader())
	if err != nil {
		return
	}
	data := pec.CertData{MessageID: o.messageID()}
	if ref := o.get(pec.HeaderReference); ref != "" {
		data.ID, data.MessageID = pec.BareMessageID(data.MessageID), ref
	}
	data.Sender, _ = pec.ParseAddress(in.from)
	for _, a := range in.to {
		if s.network.box(a).put(in.message) {
			data.Delivery = a
			s.logAbout(EventDelivered, data, "ordinary mail")
		}
	}
}
