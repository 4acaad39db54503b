package pectest

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
)

// submissionSession is a dialogue with a sender's mail program at the access
// point (punto di accesso).
type submissionSession struct {
	site    *site
	conn    *smtp.Conn
	account *Account // after the login
	from    string
	to      []pec.Address
}

func (s *site) newSubmissionSession(c *smtp.Conn) (smtp.Session, error) {
	return &submissionSession{site: s, conn: c}, nil
}

// AuthMechanisms implements smtp.AuthSession.
func (s *submissionSession) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth implements smtp.AuthSession.
func (s *submissionSession) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, user, password string) error {
			if identity != "" && !strings.EqualFold(identity, user) {
				return smtp.ErrAuthFailed
			}
			return s.login(user, password)
		}), nil
	case sasl.Login:
		return &loginServer{check: s.login}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *submissionSession) login(user, password string) error {
	n := s.site.network
	o := occasion{stage: StageAuth, provider: s.site.host(), sender: user}
	if err := s.misbehave(o); err != nil {
		return err
	}
	box := n.login(user, password)
	if box == nil || n.siteOf(box.address.Domain()) != s.site || n.faults.pick(o, FaultLogin) != nil {
		return smtp.ErrAuthFailed
	}
	account, err := n.account(box.address.String())
	if err != nil {
		return smtp.ErrAuthFailed
	}
	s.account = &account
	return nil
}

// loginServer is the mechanism LOGIN, which some mail programs still want.
type loginServer struct {
	check        func(user, password string) error
	asked, named bool
	user         string
}

// Next implements sasl.Server.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case !l.asked && response == nil:
		l.asked = true
		return []byte("Username:"), false, nil
	case !l.named:
		l.asked, l.named, l.user = true, true, string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

// Mail implements smtp.Session.
func (s *submissionSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.account == nil {
		return smtp.ErrAuthRequired
	}
	s.from = from
	o := s.occasion(StageMail)
	if err := s.misbehave(o); err != nil {
		return err
	}
	if s.site.network.faults.pick(o, FaultThrottle) != nil || !s.site.mayPass(s.account.Address.Key()) {
		return throttled(from)
	}
	if s.site.response(CheckSender) == RespondSMTP && s.isStranger() {
		return &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Sender address rejected: not owned by user"}
	}
	return nil
}

// isStranger reports whether the SMTP sender is not the account.
func (s *submissionSession) isStranger() bool {
	return s.site.Provider != nil && !strings.EqualFold(s.from, s.account.Address.String())
}

// throttled is what one large provider says.
func throttled(from string) *smtp.SMTPError {
	return &smtp.SMTPError{
		Code: 550, EnhancedCode: smtp.NoEnhancedCode,
		Message: "MAIL from: " + from + " blocked \"Class Of Service\" - Too much traffic from this sender",
	}
}

// Rcpt implements smtp.Session.
func (s *submissionSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	address, err := pec.ParseAddress(to)
	if err != nil {
		return &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "Bad recipient address"}
	}
	s.to = append(s.to, address)
	o := s.occasion(StageRcpt)
	o.recipient = to
	return s.misbehave(o)
}

// Reset implements smtp.Session.
func (s *submissionSession) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *submissionSession) Logout() error { return nil }

func (s *submissionSession) occasion(stage Stage) occasion {
	o := occasion{stage: stage, provider: s.site.host(), sender: s.from}
	if len(s.to) > 0 {
		o.recipient = s.to[0].String()
	}
	return o
}

// errCut ends a dialogue whose connection is gone.
var errCut = errors.New("connection cut")

// misbehave does what the scenario has a server do at this stage.
func (s *submissionSession) misbehave(o occasion) error {
	r := s.site.network.faults.pick(o, FaultReply, FaultCut, FaultSlow, FaultSilent)
	if r == nil {
		return nil
	}
	return s.site.network.act(r, s.conn.Conn())
}

// act does what a rule says to a connection.
func (n *Network) act(r *Rule, c net.Conn) error {
	switch r.Fault {
	case FaultReply:
		return r.reply()
	case FaultCut:
		cut(c)
		return errCut
	case FaultSlow:
		n.pause(time.Duration(r.Delay))
	case FaultSilent:
		<-n.ctx.Done()
		return errCut
	}
	return nil
}

// reply is the refusal that a rule wants.
func (r *Rule) reply() *smtp.SMTPError {
	e := &smtp.SMTPError{Code: r.Code, EnhancedCode: smtp.NoEnhancedCode, Message: r.Text}
	if e.Code == 0 {
		e.Code = 451
	}
	if e.Message == "" {
		e.EnhancedCode = smtp.EnhancedCode{e.Code / 100, 3, 0}
		e.Message = "Not now"
		if e.Code >= 500 {
			e.Message = "Refused"
		}
	}
	return e
}

// submission is one message that a client hands over.
type submission struct {
	*submissionSession
	message   *blob
	sum       string
	scan      *scanner
	original  *original // its head alone; nil if that is too large
	messageID string
	trace     string // what the access point puts on top
}

// Data implements smtp.Session.
func (s *submissionSession) Data(r io.Reader) error {
	n := s.site.network
	if rule := n.faults.pick(s.occasion(StageData), FaultCut, FaultSlow, FaultSilent); rule != nil {
		r = &faultyReader{r: r, left: rule.Bytes, act: func() error { return n.act(rule, s.conn.Conn()) }}
	}
	sub, err := s.receive(r)
	if err != nil {
		return err
	}
	rule, err := sub.process()
	if rule != nil {
		return n.act(rule, s.conn.Conn())
	}
	return err
}

// process decides on the message, and returns the rule that says what becomes of
// the reply, or the refusal.
func (s *submission) process() (*Rule, error) {
	n := s.site.network
	n.activity.begin()
	defer n.activity.end()
	if s.log(EventSubmitted, "", "") != nil {
		return nil, errLocal
	}
	if s.original == nil {
		return nil, s.refuse(&smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 3, 4}, Message: "Header too large"})
	}
	if rule := n.faults.pick(s.occasion(StageDropped), FaultCut, FaultSilent); rule != nil {
		if s.log(EventRefused, "", "dropped without a reply") != nil {
			return nil, errLocal
		}
		return rule, nil
	}
	if rule := n.faults.pick(s.occasion(StageDot), FaultReply); rule != nil {
		return nil, s.refuse(rule.reply())
	}
	if err := s.accept(); err != nil {
		return nil, err
	}
	if rule := n.faults.pick(s.occasion(StageAccepted), FaultCut, FaultSilent); rule != nil {
		return rule, nil
	}
	return n.faults.pick(s.occasion(StageDot), FaultSlow, FaultSilent), nil
}

var errLocal = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Local error"}

// faultyReader does something after a number of bytes.
type faultyReader struct {
	r    io.Reader
	left int64
	act  func() error
}

func (f *faultyReader) Read(p []byte) (int, error) {
	if f.left <= 0 && f.act != nil {
		act := f.act
		f.act = nil
		if err := act(); err != nil {
			return 0, err
		}
	}
	if f.act != nil {
		p = p[:min(int64(len(p)), f.left)]
	}
	n, err := f.r.Read(p)
	f.left -= int64(n)
	return n, err
}

// receive takes the message in.
func (s *submissionSession) receive(r io.Reader) (*submission, error) {
	w := s.site.network.spool.create()
	sub := &submission{submissionSession: s, scan: &scanner{}}
	if _, err := copyAll(io.MultiWriter(w, sub.scan), r); err != nil {
		w.drop()
		return nil, err
	}
	sub.sum = hex.EncodeToString(w.sum())
	var err error
	if sub.message, err = w.finish(); err != nil {
		s.site.network.fail(err)
		return nil, errLocal
	}
	if sub.original, err = openOriginal(sub.message.reader()); err != nil {
		sub.original = nil
		return sub, nil
	}
	sub.original.body = nil // it holds buffers, and thousands of these may wait
	sub.messageID = sub.original.messageID()
	sub.trace = s.received()
	return sub, nil
}

// received is the trace field of the access point, which envelopes inherit.
func (s *submissionSession) received() string {
	with := "ESMTPA"
	if _, ok := s.conn.Conn().(*tls.Conn); ok {
		with = "ESMTPSA"
	}
	host, _, _ := net.SplitHostPort(s.conn.Conn().RemoteAddr().String())
	return fmt.Sprintf("Received: from [%s]\r\n\tby %s with %s;\r\n\t%s\r\n", host, s.site.host(), with, headerDate(s.site.now()))
}

// refuse answers by SMTP.
func (s *submission) refuse(e *smtp.SMTPError) error {
	if s.log(EventRefused, "", fmt.Sprintf("smtp %d %s", e.Code, e.Message)) != nil {
		return errLocal
	}
	return e
}

// log writes an event about the submission as a whole.
func (s *submission) log(kind EventKind, id, detail string) error {
	return s.site.network.write(Event{
		Event: kind, Provider: s.site.host(), MessageID: s.messageID, ID: id,
		From: s.from, To: texts(s.to), SHA256: s.sum, Detail: detail,
	})
}

func texts(list []pec.Address) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// traffic counts what an account submits.
type traffic struct{ minute, hour, day window }

// window counts what happens in a stretch of time.
type window struct {
	began time.Time
	count int
}

// passes reports whether one more thing may happen.
func (w *window) passes(now time.Time, length time.Duration, most int) bool {
	if now.Sub(w.began) >= length {
		*w = window{began: now}
	}
	return w.count < most
}

// mayPass counts one more message of an account and reports whether the provider
// takes it.
func (s *site) mayPass(key string) bool {
	p, now := s.profile(), s.network.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.traffic[key]
	if t == nil {
		t = &traffic{}
		s.traffic[key] = t
	}
	minute := t.minute.passes(now, time.Minute, p.PerMinute)
	hour := t.hour.passes(now, time.Hour, p.PerHour)
	day := t.day.passes(now, 24*time.Hour, p.PerDay)
	if !minute || !hour || !day {
		return false
	}
	t.minute.count++
	t.hour.count++
	t.day.count++
	return true
}
