package receipt

import (
	"mime"
	"net/mail"
	"slices"
	"strings"
	"time"

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
		if !sameWord(value, receipt) {
			return contradiction(pec.HeaderReceipt)
		}
	}
	for _, value := range header.Values(pec.HeaderTransport) {
		if !sameWord(value, transport) {
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

// sameWord compares without regard to the case of ASCII letters. EqualFold knows
// other letters that fold to them, but none of one byte.
func sameWord(value, word string) bool {
	return len(value) == len(word) && strings.EqualFold(value, word)
}

func contradiction(field string) error {
	return reject(CodeHeader, partHeader, "%s is not what is signed", field)
}

// remarkHints compares the fields that people read. Providers cut and encode
// subjects in ways of their own, and mail on its way is re-addressed, so a
// difference is worth a remark and no more.
func (v *verification) remarkHints() {
	header := v.signed.Header()
	differs := func(field string, same func(value string) bool) bool {
		values := header.Values(field)
		return len(values) > 1 || len(values) == 1 && !same(values[0])
	}
	if differs("Subject", v.isSubject) {
		v.remark(RemarkSubject, "the subject on the outside is not that of the signed data")
	}
	if differs("To", v.isAddressee) {
		v.remark(RemarkTo, "the addressees on the outside are not those of the signed data")
	}
	if differs("Date", v.isDate) {
		v.remark(RemarkDate, "the date on the outside is not the certified one")
	}
}

func (v *verification) isSubject(value string) bool {
	value = decodeText(value)
	want := v.data.Kind.SubjectPrefix(v.data.Error) + " " + v.data.Subject
	return value == want || foldText(value) == foldText(want)
}

// isAddressee reports whether a To is one that the message may have: an answer
// goes to the sender of the original, an envelope to its recipients. What travels
// between providers goes to an address that is not in the data.
func (v *verification) isAddressee(value string) bool {
	switch {
	case v.data.Kind.IsInternal():
		return true
	case v.data.Kind != pec.KindTransport:
		if value == v.data.Sender.String() {
			return true
		}
		to, err := pec.ParseMailbox(value)
		return err == nil && to.Address.Equal(v.data.Sender)
	}
	to, err := pec.ParseAddressList(value)
	if err != nil {
		return false
	}
	recipients := make(map[string]bool, len(v.data.Recipients))
	for _, r := range v.data.Recipients {
		recipients[r.Address.Key()] = true
	}
	return !slices.ContainsFunc(to, func(m pec.Mailbox) bool { return !recipients[m.Address.Key()] })
}

// dateLayout is the form of a Date that nearly everybody writes.
const dateLayout = "Mon, 2 Jan 2006 15:04:05 -0700"

func (v *verification) isDate(value string) bool {
	date, err := time.Parse(dateLayout, value)
	if err != nil {
		date, err = mail.ParseDate(value)
	}
	return err == nil && date.Sub(v.data.Time).Abs() <= outerDateRemark
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
