package receipt

import (
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ceralacca/go-pec/smime"
)

//go:embed anchors.json
var anchorsJSON []byte

// anchorRecord is one entry of anchors.json: facts, with where they are from.
type anchorRecord struct {
	Name        string    `json:"name"`
	Subject     []byte    `json:"subject"`   // DER
	PublicKey   []byte    `json:"publicKey"` // DER SubjectPublicKeyInfo
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	Source      string    `json:"source"`
	MailDomains []string  `json:"mailDomains"`
}

var builtin = sync.OnceValue(func() []smime.Anchor {
	var records []anchorRecord
	if err := json.Unmarshal(anchorsJSON, &records); err != nil {
		panic(fmt.Sprintf("receipt: reading anchors.json: %v", err)) // built in: a test reads it
	}
	anchors := make([]smime.Anchor, len(records))
	for i, r := range records {
		key, err := x509.ParsePKIXPublicKey(r.PublicKey)
		if err != nil {
			panic(fmt.Sprintf("receipt: reading anchors.json: %v", err))
		}
		anchors[i] = smime.Anchor{
			Name:        r.Name,
			Subject:     r.Subject,
			PublicKey:   key,
			NotBefore:   r.NotBefore,
			NotAfter:    r.NotAfter,
			Constraints: &smime.Constraints{Mail: r.MailDomains},
		}
	}
	return anchors
})

// Anchors returns the authorities that issue, and issued, the certificates of
// PEC providers: AgID CA1, and DigitPA CA1 for messages up to early 2017 (with
// [Options.Legacy]). They are pinned by key: who else certified those keys does
// not matter, and neither do the public roots above them, which vouch for
// anybody. Hand them to [smime.NewTrust], with authorities of your own if you
// need to.
func Anchors() []smime.Anchor {
	anchors := slices.Clone(builtin())
	for i, a := range anchors {
		constraints := *a.Constraints
		constraints.Mail = slices.Clone(constraints.Mail)
		anchors[i].Constraints = &constraints
	}
	return anchors
}
