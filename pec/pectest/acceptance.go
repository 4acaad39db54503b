package pectest

import (
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
)

// accept decides on a submission, and leaves the rest to be done after the reply.
// The access point checks, and either refuses or gives an identifier, says of
// each recipient whether it is one of PEC, and sends receipt and envelope out.
// RFC 6109, sections 2.2.1 and 3.1.
func (s *submission) accept() error {
	if s.site.Provider == nil {
		return s.acceptOrdinary()
	}
	data := s.certData()
	failed := s.runChecks()
	n := s.site.network
	o := s.occasion("")
	if rule := n.faults.pick(o, FaultRefused); rule != nil {
		failed = &failedCheck{CheckForm, orText(rule.Text, "messaggio non conforme")}
	} else if n.faults.pick(o, FaultVirusAtSender) != nil {
		failed = &failedCheck{CheckVirus, virusName}
	}
	switch {
	case failed == nil:
		if s.log(EventAccepted, data.ID, "") != nil {
			return errLocal
		}
		s.site.process(func() { s.site.acceptance(s, data) })
		return nil
	case s.site.response(failed.check) == RespondSMTP:
		return s.refuse(&smtp.SMTPError{
			Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1},
			Message: "Message refused, check " + string(failed.check),
		})
	}
	data.Kind, data.Error, data.ErrorDetail = pec.KindNonAcceptance, pec.ErrorOther, failed.detail
	if failed.check == CheckVirus {
		data.Error = pec.ErrorVirus
	}
	if s.log(EventRefused, data.ID, data.Kind.LegalName(data.Error)+": "+failed.detail) != nil {
		return errLocal
	}
	s.site.process(func() { s.site.issue(notice{data: data}) })
	return nil
}

func orText(text, def string) string {
	if text == "" {
		return def
	}
	return text
}

// certData is what the provider certifies of the submission.
func (s *submission) certData() pec.CertData {
	now := s.site.now()
	sender := s.account.Address
	if from, err := pec.ParseAddress(s.from); err == nil {
		sender = from // which the checks compare with the account
	}
	d := pec.CertData{
		Kind:      pec.KindAcceptance,
		Sender:    sender,
		ReplyTo:   sender.String(),
		Subject:   s.original.subject(),
		Issuer:    s.site.Name(),
		Time:      now,
		ID:        s.site.NewID(now),
		MessageID: s.messageID,
	}
	if s.site.config.Dialect.EmptyReplyTo {
		d.ReplyTo = ""
	}
	if own := s.addresses("Reply-To"); len(own) > 0 {
		d.ReplyTo = own[0]
	}
	for _, a := range s.to {
		if _, twice := d.Recipient(a); twice {
			continue
		}
		kind := pec.RecipientOrdinary
		if s.site.network.isCertified(a) {
			kind = pec.RecipientCertified
		}
		d.Recipients = append(d.Recipients, pec.Recipient{Address: a, Type: kind})
	}
	return d
}

// subject is the decoded subject. Providers cut long ones.
func (o *original) subject() string {
	const most = 1000
	subject := []rune(xmlText(decodeHeader(o.get("Subject"))))
	return string(subject[:min(most, len(subject))])
}

// messageID is the Message-ID, or "" if it is none that could be repeated.
func (o *original) messageID() string {
	id := o.get("Message-ID")
	if len(id) > 900 || !isPlain(id) || strings.Contains(id, " ") {
		return ""
	}
	return id
}

// xmlText is text without what XML can't hold.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return '\ufffd'
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// receiptType is the form of delivery receipt that the sender asks for. What is
// none of the three is taken for the default.
func (s *submission) receiptType() pec.ReceiptType {
	t := pec.ReceiptType(strings.ToLower(s.original.get(pec.HeaderReceiptType)))
	if !t.Known() {
		return pec.ReceiptComplete
	}
	return t
}

// acceptance issues the receipt of acceptance, and sends the envelope on its way.
func (s *site) acceptance(sub *submission, data pec.CertData) {
	s.issue(notice{data: data})
	data.Kind, data.ReceiptType = pec.KindTransport, sub.receiptType()
	envelope, err := s.network.spool.keep(func(w io.Writer) error {
		return s.Compose(w, Message{Data: data, Original: io.MultiReader(strings.NewReader(sub.trace), sub.message.reader())})
	})
	if err != nil {
		s.network.fail(err)
		return
	}
	s.track(data)
	s.send(data, envelope)
}

// send relays an envelope to the hosts of its recipients.
func (s *site) send(data pec.CertData, envelope *blob) {
	byHost := make(map[*site][]pec.Address)
	for _, r := range data.Recipients {
		o := occasion{provider: s.host(), sender: data.Sender.String(), recipient: r.Address.String()}
		host := s.network.siteOf(r.Address.Domain())
		switch {
		case r.Type == pec.RecipientCertified && s.network.faults.pick(o, FaultDomain) != nil:
			s.undeliverable(data, r.Address, pec.ErrorNoDomain, "5.1.2 - "+s.Name()+" - dominio inesistente")
		case host == nil:
			s.process(func() { s.bounce(data, r.Address, statusNoDomain) })
		default:
			byHost[host] = append(byHost[host], r.Address)
		}
	}
	for host, to := range byHost {
		s.relay(&parcel{
			from: data.Sender.String(), to: to, message: envelope, host: host,
			refused: func(a pec.Address, e *smtp.SMTPError) { s.relayFailed(data, a, e) },
		})
	}
}

// relayFailed handles the definite refusal of an envelope by another host.
func (s *site) relayFailed(data pec.CertData, a pec.Address, e *smtp.SMTPError) {
	if s.network.isCertified(a) {
		s.undeliverable(data, a, pec.ErrorOther, fmt.Sprintf("%d.%d.%d - %s - rifiutato dal gestore del destinatario",
			e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2], s.Name()))
		return
	}
	s.process(func() { s.bounce(data, a, e.EnhancedCode) })
}

// undeliverable issues the notice of a failed delivery to one recipient.
func (s *site) undeliverable(data pec.CertData, a pec.Address, code pec.ErrorCode, detail string) {
	data.Kind, data.Error, data.ErrorDetail = pec.KindDeliveryError, code, detail
	data.ReceiptType, data.Taken, data.Delivery = "", nil, a
	data.Issuer, data.Time = s.Name(), s.now()
	s.logAbout(EventFailed, data, detail)
	s.settle(data.ID, a)
	s.process(func() { s.issue(notice{data: data}) })
}

// logAbout writes an event about one recipient.
func (s *site) logAbout(kind EventKind, data pec.CertData, detail string) {
	e := Event{
		Event: kind, Provider: s.host(), MessageID: data.MessageID, ID: data.ID,
		From: data.Sender.String(), Detail: detail,
	}
	switch {
	case !data.Delivery.IsZero():
		e.To = []string{data.Delivery.String()}
	case len(data.Taken) > 0:
		e.To = texts(data.Taken)
	default:
		for _, r := range data.Recipients {
			e.To = append(e.To, r.Address.String())
		}
	}
	s.network.write(e)
}

// bounce reports to a sender, as ordinary mail systems do, that a recipient can't
// be reached. The report is ordinary mail, so that at a PEC provider it arrives in
// an anomaly envelope.
func (s *site) bounce(data pec.CertData, a pec.Address, status smtp.EnhancedCode) {
	daemon := pec.MustParseAddress("mailer-daemon@" + s.host())
	now := s.now()
	report := fmt.Sprintf("From: Mail Delivery System <%s>\r\nTo: %s\r\nSubject: Undelivered mail\r\n"+
		"Date: %s\r\nMessage-ID: %s\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/report; report-type=delivery-status; boundary=report\r\n\r\n"+
		"--report\r\n\r\nThe message could not be delivered.\r\n"+
		"--report\r\nContent-Type: message/delivery-status\r\n\r\n"+
		"Reporting-MTA: dns; %s\r\n\r\nFinal-Recipient: rfc822; %s\r\nAction: failed\r\nStatus: %d.%d.%d\r\n"+
		"\r\n--report\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <%s>\r\n--report--\r\n",
		daemon, data.Sender, headerDate(now), pec.NewMessageID(daemon), s.host(), a, status[0], status[1], status[2], data.ID)
	raw, err := s.network.spool.keep(func(w io.Writer) error { _, err := io.WriteString(w, report); return err })
	if err != nil {
		s.network.fail(err)
		return
	}
	in := incoming{from: "", to: []pec.Address{data.Sender}, message: raw}
	if s.Provider == nil {
		s.deliverOrdinary(in)
		return
	}
	s.wrap(in, reasonOrdinary)
}

// statusNoDomain is what a bounce says of a domain that does not exist.
var statusNoDomain = smtp.EnhancedCode{5, 1, 2}

// acceptOrdinary accepts a message at the ordinary host, which certifies nothing.
func (s *submission) acceptOrdinary() error {
	if s.log(EventAccepted, "", "ordinary mail") != nil {
		return errLocal
	}
	message, err := s.site.network.spool.keep(func(w io.Writer) error {
		_, err := copyAll(w, io.MultiReader(strings.NewReader(s.trace), s.message.reader()))
		return err
	})
	if err != nil {
		s.site.network.fail(err)
		return errLocal
	}
	s.site.sendOrdinary(s, message)
	return nil
}

// sendOrdinary relays what the ordinary host accepted. What other hosts refuse
// comes back to the sender.
func (s *site) sendOrdinary(sub *submission, message *blob) {
	sender := sub.account.Address
	data := pec.CertData{Sender: sender, ID: pec.BareMessageID(sub.messageID)}
	for _, a := range sub.to {
		host := s.network.siteOf(a.Domain())
		if host == nil {
			s.process(func() { s.bounce(data, a, statusNoDomain) })
			continue
		}
		s.relay(&parcel{
			from: sub.from, to: []pec.Address{a}, message: message, host: host,
			refused: func(a pec.Address, e *smtp.SMTPError) {
				s.process(func() { s.bounce(data, a, e.EnhancedCode) })
			},
		})
	}
}
