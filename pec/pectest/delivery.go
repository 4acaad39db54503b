package pectest

import (
	"slices"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// transport handles a valid transport envelope: the provider takes charge, and
// delivers to each recipient or says why not. RFC 6109, sections 2.2.2 and 3.2.1.
func (s *site) transport(in incoming, m *receipt.Transport) {
	data := m.Data()
	home := s.network.directory.ByCertificate(m.Signer().Certificate.Raw)
	if len(home) == 0 {
		return
	}
	t := &arrival{site: s, incoming: in, data: data, original: *m.Original(), service: home[0].ServiceMailbox}
	t.takeCharge()
	for _, a := range in.to {
		t.deliver(a)
	}
}

// arrival is a transport envelope that arrived.
type arrival struct {
	*site
	incoming
	data     pec.CertData
	original receipt.Section
	service  pec.Address // of the sender's provider
}

// certify returns the data of a receipt that this provider issues.
func (t *arrival) certify(kind pec.Kind) pec.CertData {
	d := t.data
	d.Kind, d.Issuer, d.Time = kind, t.Name(), t.now()
	d.ReceiptType = ""
	return d
}

// takeCharge tells the sender's provider that all recipients are in good hands
// (presa in carico).
func (t *arrival) takeCharge() {
	d := t.certify(pec.KindServerAcceptance)
	d.Taken = t.to
	t.issue(notice{data: d, to: t.service})
}

// deliver puts the envelope into the mailbox of one recipient.
func (t *arrival) deliver(a pec.Address) {
	o := occasion{provider: t.host(), sender: t.data.Sender.String(), recipient: a.String()}
	rule := t.network.faults.pick(o, FaultVirusAtRecipient, FaultFull, FaultUnknown, FaultInvalid, FaultDelivery)
	switch {
	case t.virus || rule != nil && rule.Fault == FaultVirusAtRecipient:
		t.infected(a)
	case rule != nil:
		t.failed(a, rule)
	case !t.network.box(a).put(t.message):
		t.failed(a, &Rule{Fault: FaultFull})
	default:
		t.delivered(a)
	}
}

// delivered issues the receipt of delivery (avvenuta consegna), after the
// envelope was stored.
func (t *arrival) delivered(a pec.Address) {
	d := t.certify(pec.KindDelivery)
	d.Delivery, d.ReceiptType = a, t.data.ReceiptType
	if d.ReceiptType == "" {
		d.ReceiptType = pec.ReceiptComplete
	}
	t.logAbout(EventDelivered, d, "")
	t.releaseHeld(a.Key())
	t.issue(notice{data: d, original: t.original.Of(t.message), form: t.form(a, d.ReceiptType)})
}

// form decides how much of the original a recipient's receipt holds: the sender
// gets the original back for recipients in To, not for those in Cc, and when in
// doubt he gets it. RFC 6109, section 3.3.2.
func (t *arrival) form(a pec.Address, asked pec.ReceiptType) pec.ReceiptType {
	o, err := openOriginal(t.original.Of(t.message))
	if err != nil {
		return asked
	}
	same := func(s string) bool { other, err := pec.ParseAddress(s); return err == nil && other.Equal(a) }
	inTo := slices.ContainsFunc(o.addresses("To"), same)
	inCc := slices.ContainsFunc(o.addresses("Cc"), same)
	if inCc && !inTo {
		return pec.ReceiptConcise
	}
	return asked
}

// failed issues the notice of a failed delivery (avviso di mancata consegna).
func (t *arrival) failed(a pec.Address, rule *Rule) {
	d := t.certify(pec.KindDeliveryError)
	d.Delivery, d.Error = a, pec.ErrorOther
	switch rule.Fault {
	case FaultFull:
		d.ErrorDetail = "5.2.2 - " + t.Name() + " - casella piena"
	case FaultUnknown:
		d.Error, d.ErrorDetail = pec.ErrorNoRecipient, "5.1.1 - "+t.Name()+" - casella inesistente"
	case FaultInvalid:
		d.ErrorDetail = "5.1.1 - " + t.Name() + " - casella inesistente"
	default:
		d.ErrorDetail = orText(rule.Text, "5.3.0 - "+t.Name()+" - errore di consegna")
	}
	t.logAbout(EventFailed, d, d.ErrorDetail)
	t.issue(notice{data: d})
}

// infected tells the sender's provider of malware (rilevazione virus), which
// tells the sender. RFC 6109, sections 3.2.3 and 3.2.4.
func (t *arrival) infected(a pec.Address) {
	d := t.certify(pec.KindVirusDetection)
	d.Delivery, d.Error, d.ErrorDetail = a, pec.ErrorVirus, virusName
	t.issue(notice{data: d, to: t.service})
}

// notification handles a valid receipt or notice: it is delivered as it is, or,
// if it is for the provider itself, acted upon. Nothing answers it.
func (s *site) notification(in incoming, m *receipt.Receipt) {
	data := m.Data()
	s.store(in)
	switch data.Kind {
	case pec.KindServerAcceptance:
		if slices.ContainsFunc(in.to, s.mailbox.Equal) {
			s.taken(data.ID, data.Taken)
		}
	case pec.KindVirusDetection:
		if slices.ContainsFunc(in.to, s.mailbox.Equal) {
			s.undeliverable(data, data.Delivery, pec.ErrorVirus, data.ErrorDetail)
		}
	case pec.KindDelivery, pec.KindDeliveryError:
		s.settle(data.ID, data.Delivery)
	}
}
