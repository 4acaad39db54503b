package dispatch

import (
	"errors"
	"fmt"
	"time"
)

// Approval is the sign-off of one person on the exact bytes of a batch.
type Approval struct {
	// Actor is who signed off.
	Actor string    `json:"actor"`
	At    time.Time `json:"at"`
	// Digest is that of the batch that was signed off. An approval of anything
	// else counts for nothing.
	Digest Digest `json:"digest"`
	// Expires is when it stops counting; what has not left by then stays. Zero is
	// never.
	Expires time.Time `json:"expires,omitzero"`
}

// ErrNotApproved is the error of a batch that lacks a sign-off that counts.
var ErrNotApproved = errors.New("dispatch: not approved")

// ApprovalPolicy decides, with the approvals that a batch has, whether it may
// leave. It is asked again before each message. Its error wraps [ErrNotApproved]
// and says what is missing.
//
// It may change its mind as time passes, and let a batch leave in office hours that
// was signed off at night: while it keeps one that somebody signed off from leaving,
// it is asked about once a second, so it should be quick. About a batch that nobody
// signed off it is not asked: that never leaves.
type ApprovalPolicy func(b Batch, now time.Time) error

// SingleApproval asks for one sign-off, by anybody.
func SingleApproval(b Batch, now time.Time) error {
	_, err := validApprovals(b, now)
	return err
}

// FourEyes asks for the sign-off of somebody who did not make the batch.
func FourEyes(b Batch, now time.Time) error {
	valid, err := validApprovals(b, now)
	if err != nil {
		return err
	}
	for _, a := range valid {
		if a.Actor != b.Creator {
			return nil
		}
	}
	return fmt.Errorf("%w: only by whoever made the batch", ErrNotApproved)
}

// validApprovals returns the approvals that count: of these very bytes, and not
// expired. There is at least one, or an error.
func validApprovals(b Batch, now time.Time) ([]Approval, error) {
	var valid []Approval
	why := "nobody signed off"
	for _, a := range b.Approvals {
		switch {
		case a.Digest != b.Digest || b.Digest.IsZero():
			why = "the sign-off is for other content"
		case !a.Expires.IsZero() && !now.Before(a.Expires):
			why = "the sign-off has expired"
		default:
			valid = append(valid, a)
		}
	}
	if len(valid) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNotApproved, why)
	}
	return valid, nil
}
