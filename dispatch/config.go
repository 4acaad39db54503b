package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/receipt"
)

// Config says what a [Dispatcher] works with.
type Config struct {
	// Store keeps everything; required.
	Store Store
	// Accounts are the mailboxes that the dispatcher may send from and read. None
	// are needed to prepare, approve or look at batches.
	Accounts []AccountConfig
	// Verify says how receipts are judged: by whose trust, with which directory.
	// Without trust no receipt is ever verified. At and Now are the dispatcher's.
	Verify receipt.Options
	// Policy decides whether a batch may leave. Nil is [SingleApproval].
	Policy ApprovalPolicy
	// Worker names this dispatcher among those that share the store. Two of one name
	// take the accounts from each other time and again, and get little done. One that
	// is started in place of another that died, by its name, goes on at once with its
	// accounts; others wait for a lease. Empty makes a name from host and process.
	Worker string
	// Lease is how long another worker waits before it takes an account over
	// from one that is silent; default 30 seconds. One that is stopped gives its
	// accounts back at once.
	//
	// It is what an account costs that has nothing to send: each lease is renewed
	// in a durable commit of its own, when 40 to 50 % of it are gone. With 5,000
	// accounts that is a mean of 370 commits a second at 30 seconds, and 37 at five
	// minutes. Who has thousands and one database wants a longer lease.
	Lease time.Duration
	// Poll is how long to wait before looking into a mailbox again, if the server
	// does not tell of new mail before; default 30 seconds. Each folder looked into
	// costs the store one transaction that reads.
	Poll time.Duration
	// Now tells the time. Nil means time.Now.
	Now func() time.Time
	// Observe, if not nil, is called with each event, after what it tells was stored.
	// Calls come from several goroutines, at the same time even for one account, and
	// hold its work up. Observe may call the dispatcher.
	Observe func(Event)
	// Logger is told what happens, without addresses, subjects, bodies or
	// passwords. Nil logs nothing.
	Logger *slog.Logger
}

// AccountConfig is one mailbox.
type AccountConfig struct {
	// Address is the address of the mailbox, and the From of all it sends.
	Address pec.Address
	// Profile is what is known of its provider; what is not is taken from
	// [pec.DefaultProfile].
	Profile pec.Profile
	// Submitter sends, Mailbox receives. An account without Submitter only
	// collects; one without Mailbox only sends, and never learns the outcome. With
	// both, nothing leaves before the mailbox was read to its end once: its receipts
	// tell what has left already, even if the store is an old copy that was put back.
	Submitter Submitter
	Mailbox   Mailbox
	// Folders are read for receipts; default INBOX.
	Folders []string
	// SentFolder, if not empty, is where a copy of each message sent is put, which
	// submitting by SMTP leaves to the sender. The folder is made if there is none.
	// Sending does not wait for copies: they follow as fast as the mailbox takes
	// them, and are tried again if it is full. When Run ends, it goes on with those
	// that are left for at most 10 seconds. Copies that are missing then, for which an
	// event is told, and those that a crash prevents are not made later; neither is
	// one of a message whose answer was lost. Without Mailbox there are none. If the connection breaks at the very
	// end of one, it may be there twice.
	SentFolder string
	// Purge removes a receipt from the mailbox once it was stored, read back, and
	// found to be the same. A mailbox that is full can't send any more. No other
	// message is removed: a server without UIDPLUS (RFC 4315) can't remove one alone,
	// and keeps the receipts. Those that were collected before Purge was set, or just
	// before a crash, stay until [Dispatcher.Rescan]. If the store is lost later, or an
	// old copy of it put back, there is no second copy of them.
	Purge bool
}

func (c *Config) validate() error {
	if c.Store == nil {
		return errors.New("dispatch: no store")
	}
	seen := make(map[string]bool)
	for i := range c.Accounts {
		a := &c.Accounts[i]
		if a.Address.IsZero() {
			return fmt.Errorf("dispatch: account %d has no address", i+1)
		}
		if seen[a.Address.Key()] {
			return fmt.Errorf("dispatch: account %d is there twice", i+1)
		}
		seen[a.Address.Key()] = true
	}
	return nil
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Policy == nil {
		c.Policy = SingleApproval
	}
	if c.Worker == "" {
		host, _ := os.Hostname()
		c.Worker = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if c.Lease <= 0 {
		c.Lease = 30 * time.Second
	}
	if c.Poll <= 0 {
		c.Poll = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// folders returns the folders to read.
func (a *AccountConfig) folders() []string {
	if len(a.Folders) == 0 {
		return []string{"INBOX"}
	}
	return a.Folders
}
