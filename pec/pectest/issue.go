package pectest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/pec"
)

// notice is a receipt or notice that a provider is to issue.
type notice struct {
	data     pec.CertData
	original io.Reader // for deliveries
	form     pec.ReceiptType
	to       pec.Address // the sender of the original if zero
}

func (n notice) addressee() pec.Address {
	if n.to.IsZero() {
		return n.data.Sender
	}
	return n.to
}

func (n notice) message() Message {
	return Message{Data: n.data, Original: n.original, Form: n.form, To: n.to}
}

// receiptFaults are the faults that occur to receipts.
var receiptFaults = []Fault{
	FaultLate, FaultLost, FaultDoubled, FaultReordered,
	FaultForged, FaultAltered, FaultReplayed, FaultUnsigned,
}

// issue composes a receipt or notice and sends it, or does with it what the
// scenario says.
func (s *site) issue(n notice) {
	rule := s.receiptFault(n)
	kind := EventNotice
	switch n.data.Kind {
	case pec.KindAcceptance, pec.KindServerAcceptance, pec.KindDelivery:
		kind = EventReceipt
	}
	detail := n.data.Kind.LegalName(n.data.Error)
	if rule != nil {
		detail += "; " + string(rule.Fault)
	}
	s.logAbout(kind, n.data, detail)
	message, err := s.network.spool.keep(func(w io.Writer) error { return s.Compose(w, n.message()) })
	if err != nil {
		s.network.fail(err)
		return
	}
	if rule == nil {
		s.post(n, message)
	} else {
		s.postFaulty(n, message, rule)
	}
	s.keepLast(n.data.Kind, message)
}

// receiptFault finds the fault that occurs to a receipt. What goes between
// providers is spared, unless a rule names its kind.
func (s *site) receiptFault(n notice) *Rule {
	o := occasion{provider: s.host(), sender: n.data.Sender.String(), recipient: n.data.Delivery.String(), kind: n.data.Kind}
	if o.recipient == "" && len(n.data.Recipients) > 0 {
		o.recipient = n.data.Recipients[0].Address.String()
	}
	if n.data.Kind.IsInternal() && !s.network.faults.names(n.data.Kind) {
		return nil
	}
	return s.network.faults.pick(o, receiptFaults...)
}

// names reports whether a rule names the kind.
func (f *faults) names(kind pec.Kind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.Kind == kind {
			return true
		}
	}
	return false
}

// post sends a receipt to its addressee: what the access point says is put into
// the mailbox, the rest travels, be it back to the same provider (RFC 6109,
// section 3.4).
func (s *site) post(n notice, message *blob) {
	to := n.addressee()
	if s.isOfAccessPoint(n.data) {
		s.putIntoMailbox(to, message)
		return
	}
	if host := s.network.siteOf(to.Domain()); host != nil {
		s.relay(&parcel{from: s.service.String(), to: []pec.Address{to}, message: message, host: host})
	}
}

// isOfAccessPoint reports whether a receipt comes from the sender's side of the
// provider.
func (s *site) isOfAccessPoint(d pec.CertData) bool {
	switch d.Kind {
	case pec.KindAcceptance, pec.KindNonAcceptance, pec.KindDeliveryTimeout:
		return true
	case pec.KindDeliveryError:
		return d.Error == pec.ErrorVirus || d.Error == pec.ErrorNoDomain || !s.manages(d.Delivery.Domain())
	}
	return false
}

// putIntoMailbox delivers what needs no receipt.
func (s *site) putIntoMailbox(to pec.Address, message *blob) {
	trace := "Return-Path: <" + s.service.String() + ">\r\n"
	if s.network.box(to).put(prefixed{trace, message}) {
		s.releaseHeld(to.Key())
	}
}

// postFaulty does to a receipt what a rule says.
func (s *site) postFaulty(n notice, message *blob, rule *Rule) {
	switch rule.Fault {
	case FaultLate:
		later := s.network.clock.Now().Add(time.Duration(rule.Delay))
		s.network.clock.at(later, func() { s.process(func() { s.post(n, message) }) })
	case FaultLost:
	case FaultDoubled:
		s.post(n, message)
		s.post(n, message)
	case FaultReordered:
		s.hold(n, message)
	default:
		s.postFalse(n, rule.Fault)
		if rule.Also {
			s.post(n, message)
		}
	}
}

// hold keeps a receipt back until the sender has got another, or for a minute.
func (s *site) hold(n notice, message *blob) {
	var once bool
	home := s.network.siteOf(n.addressee().Domain())
	key := n.addressee().Key()
	release := func() {
		s.mu.Lock()
		first := !once
		once = true
		s.mu.Unlock()
		if first {
			s.process(func() { s.post(n, message) })
		}
	}
	home.mu.Lock()
	home.held[key] = append(home.held[key], release)
	home.mu.Unlock()
	s.network.clock.at(s.network.clock.Now().Add(time.Minute), release)
}

// releaseHeld lets go of what was held back until a mailbox got something.
func (s *site) releaseHeld(key string) {
	s.mu.Lock()
	held := s.held[key]
	delete(s.held, key)
	s.mu.Unlock()
	for _, release := range held {
		release()
	}
}

// postFalse puts something that only looks like the receipt into the mailbox
// itself: an honest provider would not have let it through, or would have
// wrapped it as ordinary mail.
func (s *site) postFalse(n notice, fault Fault) {
	issuer := s.Provider
	m := n.message()
	var err error
	switch fault {
	case FaultForged:
		issuer, err = s.impostor()
	case FaultAltered:
		m.Tamper = &Tamper{Altered: func(doc []byte) []byte { return alter(doc, n.data) }}
	case FaultUnsigned:
		m.Tamper = &Tamper{Unsigned: true}
	case FaultReplayed:
		s.replay(n)
		return
	}
	if err != nil {
		s.network.fail(err)
		return
	}
	if m.Data.Kind == pec.KindDelivery {
		m.Form = pec.ReceiptConcise // the original was read already
	}
	message, err := s.network.spool.keep(func(w io.Writer) error { return issuer.Compose(w, m) })
	if err != nil {
		s.network.fail(err)
		return
	}
	s.putIntoMailbox(n.addressee(), message)
}

// alter makes a document speak of somebody else.
func alter(doc []byte, d pec.CertData) []byte {
	who := d.Delivery
	if who.IsZero() {
		who = d.Recipients[0].Address
	}
	return bytes.ReplaceAll(doc, []byte(">"+who.String()+"<"), []byte(">altro-"+who.String()+"<"))
}

// newImpostor makes a provider that is certified by nobody and has the names of
// this one.
func (s *site) newImpostor() (*Provider, error) {
	a, err := NewAuthority(AuthorityConfig{Time: s.network.config.Start})
	if err != nil {
		return nil, err
	}
	return a.NewProvider(s.config)
}

func (s *site) keepLast(kind pec.Kind, message *blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[kind] = message
}

// replay puts the last receipt of the kind, about another transmission, under the
// header that the present one would have.
func (s *site) replay(n notice) {
	s.mu.Lock()
	last := s.last[n.data.Kind]
	s.mu.Unlock()
	if last == nil {
		return // nothing to replay yet
	}
	c := &composer{Message: n.message(), provider: s.Provider, dialect: &s.config.Dialect}
	c.To = n.addressee()
	var header strings.Builder
	for _, f := range c.receiptHeader() {
		fmt.Fprintf(&header, "%s: %s\r\n", f.Name, f.Value)
	}
	start := make([]byte, min(last.Size(), 64<<10))
	if _, err := last.ReadAt(start, 0); err != nil && err != io.EOF {
		s.network.fail(err)
		return
	}
	from := int64(max(0, bytes.Index(start, []byte("MIME-Version:"))))
	message, err := s.network.spool.keep(func(w io.Writer) error {
		_, err := copyAll(w, io.MultiReader(strings.NewReader(header.String()), io.NewSectionReader(last, from, last.Size()-from)))
		return err
	})
	if err != nil {
		s.network.fail(err)
		return
	}
	s.putIntoMailbox(n.addressee(), message)
}
