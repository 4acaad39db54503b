package receipt

import (
	"errors"
	"io"

	"github.com/ceralacca/go-pec/pec"
	"github.com/ceralacca/go-pec/smime"
)

// Unverified is what a message claims to be. Anyone can write such a message: an
// Unverified serves to show it, or to decide what to do with it next.
type Unverified struct {
	class   pec.Class
	claims  *pec.CertData
	problem error
}

// Class returns what the header claims.
func (u *Unverified) Class() pec.Class { return u.class }

// Claims returns the certification data that the message carries, which nothing
// proves, or nil if it carries none that can be read; Problem tells why.
func (u *Unverified) Claims() *pec.CertData { return u.claims }

// Problem returns the [*Error] that kept the message from being read as PEC; nil
// if its form is good, which proves nothing either.
func (u *Unverified) Problem() error { return u.problem }

// Parse reads a message without verifying it. It takes any mail: what is not
// PEC, or is broken, has a class and a problem. It fails only with errors of r,
// or with an [*Error] if there is no header to be read.
func Parse(r io.Reader, limits Limits) (*Unverified, error) {
	limits = limits.withDefaults()
	v := verification{content: newContent(limits)}
	hasHeader := false
	_, err := smime.Parse(r, smime.ParseOptions{
		Header: func(h smime.Header) error {
			hasHeader = true
			return v.header(h)
		},
		Content: v.content,
		Limits:  limits.smime(),
	})
	if err != nil {
		problem := v.explain(err)
		var known *Error
		if !hasHeader || !errors.As(problem, &known) {
			return nil, problem
		}
		return &Unverified{class: v.class, problem: problem}, nil
	}
	v.read()
	u := &Unverified{class: v.class, claims: v.data, problem: v.formErr}
	switch {
	case v.isOrdinary():
		u.problem = notPEC()
	case u.problem == nil && !(v.noData() && v.isAnomaly()):
		u.problem = v.dataErr
	}
	return u, nil
}
