package pectest

import (
	"fmt"
	"io"
	"iter"
	"net"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/pec"
)

// Account is what one needs to use a mailbox of a network.
type Account struct {
	Address pec.Address `json:"address"`
	// User and Password log in, by SMTP and by IMAP.
	User     string `json:"user"`
	Password string `json:"password"`
	// Provider is the domain of the provider, or of the ordinary host.
	Provider string   `json:"provider"`
	SMTP     Endpoint `json:"smtp"`
	IMAP     Endpoint `json:"imap"`
	// Profile is what the provider allows.
	Profile pec.Profile `json:"profile"`
}

// Endpoint is where a server listens.
type Endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
	// TLS is "implicit" (from the first byte) or "starttls".
	TLS string `json:"tls"`
}

// Values of the field TLS of an [Endpoint].
const (
	TLSImplicit = "implicit"
	TLSStart    = "starttls"
)

// Addr returns host:port.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Account returns the settings of an account. Any address in a domain of the
// network has one. It panics if the address is in no such domain, as only a slip
// in a test can make it.
func (n *Network) Account(address string) Account {
	a, err := n.account(address)
	if err != nil {
		panic(fmt.Sprintf("pectest: account %q: %v", address, err))
	}
	return a
}

func (n *Network) account(address string) (Account, error) {
	a, err := pec.ParseAddress(address)
	if err != nil {
		return Account{}, err
	}
	s := n.siteOf(a.Domain())
	if s == nil {
		return Account{}, fmt.Errorf("no host of this network has the domain")
	}
	b := n.box(a)
	b.give()
	return Account{
		Address:  a,
		User:     a.String(),
		Password: b.password(),
		Provider: s.domains[0],
		SMTP:     s.submissionEndpoint(),
		IMAP:     s.imap.endpoint(TLSImplicit),
		Profile:  n.profile,
	}, nil
}

// Submit submits a message by SMTP, as a mail program would: from the account's
// address to the recipients. The error is that of the SMTP dialogue.
func (n *Network) Submit(from Account, to []string, message io.Reader) error {
	tlsConfig := n.TLSConfig()
	dial := func() (*smtp.Client, error) { return smtp.DialTLS(from.SMTP.Addr(), tlsConfig) }
	if from.SMTP.TLS == TLSStart {
		dial = func() (*smtp.Client, error) { return smtp.DialStartTLS(from.SMTP.Addr(), tlsConfig) }
	}
	client, err := dial()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Auth(sasl.NewPlainClient("", from.User, from.Password)); err != nil {
		return err
	}
	if err := client.SendMail(from.Address.String(), to, message); err != nil {
		return err
	}
	return client.Quit()
}

// Messages returns what is in the INBOX of an account, oldest first, without the
// detour over IMAP.
func (n *Network) Messages(address string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		a, err := pec.ParseAddress(address)
		if err != nil {
			return
		}
		for _, m := range n.box(a).inbox().snapshot() {
			raw := make([]byte, m.content.Size())
			if _, err := m.content.ReadAt(raw, 0); err != nil && err != io.EOF {
				n.fail(err)
				return
			}
			if !yield(raw) {
				return
			}
		}
	}
}

// box returns the mailbox of an address, which is made when it is first needed.
func (n *Network) box(a pec.Address) *box {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.boxes[a.Key()]
	if b == nil {
		b = newBox(n, a)
		n.boxes[a.Key()] = b
	}
	return b
}

// login returns the mailbox of an account, if the password is its.
func (n *Network) login(user, password string) *box {
	n.mu.Lock()
	b := n.boxes[strings.ToLower(user)]
	n.mu.Unlock()
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open || password != b.password() {
		return nil
	}
	return b
}

// password is what the account logs in with. It is easy to type.
func (b *box) password() string { return "pec-" + strings.ToLower(b.address.Local()) }
