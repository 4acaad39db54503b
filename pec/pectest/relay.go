package pectest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
)

// parcel is a message on its way to another host.
type parcel struct {
	from    string
	to      []pec.Address
	message *blob
	host    *site
	since   time.Time
	// refused, if not nil, is told of each recipient that the host refuses for
	// good.
	refused func(pec.Address, *smtp.SMTPError)
}

// How long a host tries. RFC 6109, section 2.2.2, has it give up after a day, so
// that the sender can be told.
const (
	retryAfter  = 15 * time.Minute
	giveUpAfter = 24 * time.Hour
)

// relay sends a parcel, when its turn comes.
func (s *site) relay(p *parcel) {
	if p.since.IsZero() {
		p.since = s.network.clock.Now()
	}
	s.out.add(func() { s.transmit(p) })
}

// transmit sends a parcel, or plans to try again.
func (s *site) transmit(p *parcel) {
	client, err := s.links.get(s.network, p.host)
	if err == nil {
		err = s.hand(client, p)
	}
	var refusal *smtp.SMTPError
	switch {
	case err == nil:
		s.links.put(p.host, client)
		return
	case errors.As(err, &refusal) && refusal.Code >= 500:
		for _, a := range p.to {
			p.tell(a, refusal)
		}
	default:
		s.retry(p)
	}
	if client != nil {
		client.Close()
	}
}

func (p *parcel) tell(a pec.Address, e *smtp.SMTPError) {
	if p.refused != nil {
		p.refused(a, e)
	}
}

func (s *site) retry(p *parcel) {
	next := s.network.clock.Now().Add(retryAfter)
	if next.Sub(p.since) < giveUpAfter {
		s.network.clock.at(next, func() { s.relay(p) })
	}
}

// hand holds the dialogue.
func (s *site) hand(client *smtp.Client, p *parcel) error {
	if err := client.Mail(p.from, nil); err != nil {
		return err
	}
	for _, a := range slices.Clone(p.to) {
		err := client.Rcpt(a.String(), nil)
		var refusal *smtp.SMTPError
		switch {
		case err == nil:
		case errors.As(err, &refusal) && refusal.Code >= 500:
			p.tell(a, refusal)
			p.to = slices.DeleteFunc(p.to, a.Equal)
		default:
			return err
		}
	}
	if len(p.to) == 0 {
		return client.Reset()
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := copyAll(w, p.message.reader()); err != nil {
		return err
	}
	return w.Close()
}

// links are a host's connections to others that nobody uses just now.
type links struct {
	mu     sync.Mutex
	idle   map[*site][]link
	closed bool
}

type link struct {
	client *smtp.Client
	since  time.Time // real
}

// idleTime is how long a link is kept. Servers hang up on who says nothing.
const idleTime = time.Minute

// get returns a connection to a host, a new one if need be. The hosts speak
// STARTTLS to each other. RFC 6109, section 5.3.
func (l *links) get(n *Network, host *site) (*smtp.Client, error) {
	if client := l.take(host); client != nil {
		return client, nil
	}
	client, err := smtp.DialStartTLS(host.mx.Addr().String(), n.TLSConfig())
	if err != nil {
		return nil, err
	}
	client.CommandTimeout = time.Minute
	client.SubmissionTimeout = 2 * time.Minute
	return client, nil
}

// take returns a connection that was kept, or nil.
func (l *links) take(host *site) *smtp.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	for idle := l.idle[host]; len(idle) > 0; idle = l.idle[host] {
		last := idle[len(idle)-1]
		l.idle[host] = idle[:len(idle)-1]
		if time.Since(last.since) < idleTime {
			return last.client
		}
		last.client.Close()
	}
	return nil
}

func (l *links) put(host *site, client *smtp.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		client.Close()
		return
	}
	if l.idle == nil {
		l.idle = make(map[*site][]link)
	}
	l.idle[host] = append(l.idle[host], link{client, time.Now()})
}

func (l *links) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, idle := range l.idle {
		for _, link := range idle {
			link.client.Close()
		}
	}
}
