package receipt

import (
	"mime"
	"net/mail"
	"strings"

	"github.com/ceralacca/go-pec/pec"
)

// checkHints compares the header fields of PEC, which are not signed, with what
// is. They fill no field of the result; but one that contradicts it shows a
// mail program something else than was certified.
func (v *verification) checkHints(kind pec.Kind) error {
	header := v.signed.Header()
	receipt, transport := "", ""
	switch kind {
	case pec.KindTransport:
		transport = pec.TransportCertified
	case pec.KindAnomaly:
		transport = pec.TransportError
	default:
		receipt = string(kind)
	}
	for _, value := range header.Values(pec.HeaderReceipt) {
		if !strings.EqualFold(value, receipt) {
			return contradiction(pec.HeaderReceipt)
		}
	}
	for _, value := range header.Values(pec.HeaderTransport) {
		if !strings.EqualFold(value, transport) {
			return contradiction(pec.HeaderTransport)
		}
	}
	if v.data == nil {
		return nil // an anomaly envelope certifies no identifier
	}
	for _, value := range header.Values(pec.HeaderReference) {
		if !pec.SameMessageID(value, v.data.MessageID) {
			return contradiction(pec.HeaderReference)
		}
	}
	return nil
}

func contradiction(field string) error {
	return reject(CodeHeader, partHeader, "%s is not what is signed", field)
}

// remarkHints compares the fields that people read. Providers cut and encode
// subjects in ways of their own, and mail on its way is re-addressed, so a
// difference is worth a remark and no more.
func (v *verification) remarkHints() {
	header := v.signed.Header()
	if values := header.Values("Subject"); len(values) > 0 {
		want := v.data.Kind.SubjectPrefix(v.data.Error) + " " + v.data.Subject
		if foldText(decodeText(values[0])) != foldText(want) {
			v.remark(RemarkSubject, "the subject on the outside is not that of the signed data")
		}
	}
	if values := header.Values("To"); len(values) > 0 && v.isAnswer() {
		if to, err := pec.ParseMailbox(values[0]); err != nil || !to.Address.Equal(v.data.Sender) {
			v.remark(RemarkTo, "the addressee on the outside is not the sender of the original")
		}
	}
	if values := header.Values("Date"); len(values) > 0 {
		date, err := mail.ParseDate(values[0])
		if err != nil || date.Sub(v.data.Time).Abs() > outerDateRemark {
			v.remark(RemarkDate, "the date on the outside is not the certified one")
		}
	}
}

// isAnswer reports whether the message goes to the sender of the original.
func (v *verification) isAnswer() bool {
	return v.data.Kind.IsReceipt() && !v.data.Kind.IsInternal()
}

// decodeText undoes RFC 2047; text that can't be decoded stays as it is.
func decodeText(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	decoded, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return decoded
}

// foldText drops what case and white space make of a text.
func foldText(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}
