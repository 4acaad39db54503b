package receipt

import (
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// checkListed looks the signer up in the directory.
func (v *verification) checkListed() error {
	_, err := v.listed()
	return err
}

// listed returns the records of the provider that the signer's certificate
// belongs to. Without a directory there are none, which is remarked.
func (v *verification) listed() ([]*pec.Provider, error) {
	if v.opts.Directory == nil {
		v.remark(RemarkNoDirectory, "no directory of providers was consulted")
		return nil, nil
	}
	records := v.opts.Directory.ByCertificate(v.sig.Certificate().Raw)
	if len(records) == 0 {
		return nil, reject(CodeNotListed, partCertificate, "the directory does not list it")
	}
	return records, nil
}

// checkCompetence checks that the provider is one that may issue the message:
// the sender's provider accepts, refuses, wraps and gives up; the recipient's
// takes charge, delivers and finds malware; either may fail. RFC 6109, section 3.
func (v *verification) checkCompetence() error {
	signer, err := v.listed()
	if err != nil || v.opts.Directory == nil {
		return err
	}
	ofSender := v.manages(signer, v.data.Sender)
	switch v.data.Kind {
	case pec.KindServerAcceptance:
		for _, a := range v.data.Taken {
			if !v.manages(signer, a) {
				return notCompetent("a recipient")
			}
		}
		return nil
	case pec.KindDelivery:
		if !v.manages(signer, v.data.Delivery) {
			return notCompetent("the recipient")
		}
		return nil
	case pec.KindVirusDetection:
		return v.checkVirusDetection(signer)
	case pec.KindDeliveryError:
		if !ofSender && !v.manages(signer, v.data.Delivery) {
			return notCompetent("the sender or the recipient")
		}
		return nil
	}
	if !ofSender {
		return notCompetent("the sender")
	}
	return nil
}

// checkVirusDetection checks a notice that names its recipient in consegna, or,
// as older rules had it, its recipients in ricezione.
func (v *verification) checkVirusDetection(signer []*pec.Provider) error {
	recipients := v.data.Taken
	if !v.data.Delivery.IsZero() {
		recipients = []pec.Address{v.data.Delivery}
	}
	for _, a := range recipients {
		if !v.manages(signer, a) {
			return notCompetent("the recipient")
		}
	}
	return nil
}

// manages reports whether the signer runs the whole domain of the address. The
// secondary environments of a provider are that provider.
func (v *verification) manages(signer []*pec.Provider, a pec.Address) bool {
	for _, owner := range v.opts.Directory.ByDomain(a.Domain()) {
		for _, p := range signer {
			if strings.EqualFold(owner.Name, p.Name) {
				return true
			}
		}
	}
	return false
}

func notCompetent(whose string) error {
	return reject(CodeNotCompetent, partCertificate, "the signer is not the provider of %s", whose)
}
