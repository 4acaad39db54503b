package imapbox

import (
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
)

// idlePeriod is how long the server is left alone at most. Routers in between
// forget connections that are silent for long, and nobody would notice.
const idlePeriod = 4 * time.Minute

// tell notes that there may be new mail.
func (s *session) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// hear returns whether there may be new mail, and forgets it.
func (s *session) hear() bool {
	select {
	case <-s.news:
		return true
	default:
		return false
	}
}

// Wait implements dispatch.MailboxSession, by IDLE or, if the server does not
// offer that, by asking from time to time. Mail that came since Heads was called
// counts as new. If ctx ends, so does the session.
func (s *session) Wait(ctx context.Context, atMost time.Duration) error {
	if s.folder == "" {
		return errNoFolder
	}
	end := time.Now().Add(atMost)
	for left := atMost; left > 0; left = time.Until(end) {
		if s.hear() {
			return nil
		}
		var err error
		if s.caps.Has(imap.CapIdle) {
			err = s.listen(ctx, min(left, s.idle))
		} else {
			err = s.ask(ctx, min(left, s.poll))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listen lets the server tell of news for a while.
//
// QUIRK: go-imap's server, for one, does not tell of mail that came between the
// last command and IDLE until more comes. So it is asked first.
func (s *session) listen(ctx context.Context, d time.Duration) error {
	if err := s.ask(ctx, 0); err != nil || len(s.news) > 0 {
		return err
	}
	o := s.begin(ctx)
	cmd, err := s.client.Idle()
	if err != nil {
		return o.end("IDLE", err)
	}
	o.pause()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.news:
		s.tell() // it is for Wait
	case <-s.client.Closed():
	case <-timer.C:
	}
	o.resume()
	if err = cmd.Close(); err == nil {
		err = cmd.Wait()
	}
	return o.end("IDLE", err)
}

// ask waits, and then asks for news.
func (s *session) ask(ctx context.Context, d time.Duration) error {
	o := s.begin(ctx)
	o.pause()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.client.Closed():
	case <-timer.C:
	}
	o.resume()
	return o.end("NOOP", s.client.Noop().Wait())
}
