package imapbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// session is a connection to a mailbox. But for cut and cause, its methods are
// called one at a time.
type session struct {
	client  *imapclient.Client
	conn    *conn
	caps    imap.CapSet
	timeout time.Duration
	poll    time.Duration
	idle    time.Duration

	folder   string // "" if none is selected
	validity uint32
	writable bool                // the folder was opened by SELECT
	found    string              // a folder that messages are put into, which is there
	byNumber bool                // the server says UIDs too late for the library
	state    map[string]contents // :: folder → what was in it when it was selected last
	news     chan struct{}       // holds something if there may be new mail

	mu   sync.Mutex // guards over
	over error      // why the session is of no more use
}

func newSession(c *conn, timeout, poll time.Duration) *session {
	s := &session{
		conn:    c,
		timeout: timeout,
		poll:    poll,
		idle:    idlePeriod,
		state:   make(map[string]contents),
		news:    make(chan struct{}, 1),
	}
	c.allow(maxUnasked)
	s.client = imapclient.New(c, &imapclient.Options{
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Mailbox: func(data *imapclient.UnilateralDataMailbox) {
				if data.NumMessages != nil {
					s.tell()
				}
			},
		},
	})
	return s
}

// cut closes the connection and remembers why.
func (s *session) cut(why error) {
	s.mu.Lock()
	if s.over == nil {
		s.over = withoutText(why)
	}
	s.mu.Unlock()
	s.conn.Close()
}

// cause returns why the session is over, or nil.
func (s *session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

var errClosed = errors.New("session was closed")

// logoutTimeout is how long the server has to say goodbye.
const logoutTimeout = 5 * time.Second

// Close implements dispatch.MailboxSession. Nothing is deleted by it.
func (s *session) Close() error {
	if s.cause() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), logoutTimeout)
		defer cancel()
		o := s.begin(ctx)
		o.end("logging out", s.client.Logout().Wait()) // nothing is lost if it fails
	}
	s.cut(errClosed)
	s.client.Close() // waits for its goroutine; what it says is known
	return nil
}
