package smtpsend

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/ceralacca/go-pec/dispatch"
)

// login proves to the server who is sending.
func (c Config) login(ctx context.Context, client *smtp.Client) error {
	mechanism, err := c.mechanism(ctx, client)
	if err != nil {
		return fmt.Errorf("preparing the login: %w", err)
	}
	err = withoutText("AUTH", client.Auth(mechanism))
	var refused *ReplyError
	if errors.As(err, &refused) && refusesLogin(refused.Code) {
		return fmt.Errorf("%w: %w", dispatch.ErrAuth, err)
	}
	if err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	return nil
}

// refusesLogin reports whether a reply to AUTH is the server's last word. Of the
// 4xx, 432 asks for another password; the others, such as 454, are of the moment.
// RFC 4954, section 6.
func refusesLogin(code int) bool { return code/100 == 5 || code == 432 }

func (c *Config) mechanism(ctx context.Context, client *smtp.Client) (sasl.Client, error) {
	switch {
	case c.Login != nil:
		return c.Login(ctx)
	case client.SupportsAuth(sasl.Plain):
		return sasl.NewPlainClient("", c.Username, c.Password), nil
	case client.SupportsAuth(sasl.Login):
		return &loginClient{answers: []string{c.Username, c.Password}}, nil
	}
	return nil, errors.New("server offers neither AUTH PLAIN nor AUTH LOGIN")
}

// loginClient is the mechanism LOGIN: two questions, two answers.
//
// QUIRK: LOGIN was never specified, and servers word their questions as they
// please; the client of go-sasl knows one wording only, and answers the first
// question before it is asked, which some servers don't expect.
type loginClient struct {
	answers []string
}

func (l *loginClient) Start() (mechanism string, initial []byte, err error) {
	return sasl.Login, nil, nil
}

func (l *loginClient) Next([]byte) ([]byte, error) {
	if len(l.answers) == 0 {
		return nil, sasl.ErrUnexpectedServerChallenge
	}
	answer := l.answers[0]
	l.answers = l.answers[1:]
	return []byte(answer), nil
}
