package imapbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/ceralacca/go-pec/dispatch"
)

// login proves to the server whose mailbox it is.
func (c Config) login(ctx context.Context, client *imapclient.Client) error {
	err := c.tryLogin(ctx, client)
	var refused *imap.Error
	if errors.As(err, &refused) && refusesLogin(refused) {
		return fmt.Errorf("%w: %w", dispatch.ErrAuth, withoutText(err))
	}
	return withoutText(err)
}

func (c *Config) tryLogin(ctx context.Context, client *imapclient.Client) error {
	if c.Login != nil {
		mechanism, err := c.Login(ctx)
		if err != nil {
			return fmt.Errorf("preparing the login: %w", err)
		}
		return client.Authenticate(mechanism)
	}
	caps := client.Caps()
	switch {
	case caps.Has(imap.AuthCap(sasl.Plain)):
		return client.Authenticate(sasl.NewPlainClient("", c.Username, c.Password))
	case caps.Has(imap.CapLoginDisabled) || caps == nil:
		return errors.New("server offers no way to log in")
	}
	return client.Login(c.Username, c.Password).Wait()
}

// refusesLogin reports whether an answer is the server's last word. Some codes of
// RFC 5530 say that it is not; a NO without a code is the old way of refusing.
func refusesLogin(e *imap.Error) bool {
	switch e.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, imap.ResponseCodeServerBug:
		return false
	}
	return e.Type == imap.StatusResponseTypeNo
}
