package pectest

import (
	"fmt"

	"github.com/ceralacca/go-pec/pec"
)

// english is the text that providers of the newer dialect add. It has no legal
// standing.
func english(c *composer) wording {
	d := &c.Data
	day, clock, zone := c.moment()
	subject, detail := oneLine(d.Subject), oneLine(d.ErrorDetail)
	id := "Transmission identifier: " + d.ID
	when := fmt.Sprintf("On %s, at %s (%s),", day, clock, zone)
	message := fmt.Sprintf("the message \"%s\" of %s", subject, d.Sender)
	t := wording{
		title:      englishTitle(c),
		recipients: c.addresses("certified mail", "ordinary mail", d.Kind == pec.KindAcceptance),
	}
	switch d.Kind {
	case pec.KindAcceptance:
		t.opening = when + " " + message + " for:"
		t.closing = []string{"was accepted and is being forwarded.", id}
	case pec.KindNonAcceptance:
		t.opening = when + " " + message + " for:"
		t.closing = []string{"was found to have this fault: " + detail, "The message was not accepted.", id}
		if isVirus(d) {
			t.closing[0] = "was found to hold malware: " + detail
		}
	case pec.KindServerAcceptance:
		t.opening = when + " " + message + " for:"
		t.closing = []string{"was taken in charge by the system.", id}
	case pec.KindDelivery:
		t.opening = fmt.Sprintf("%s %s for %s", when, message, d.Delivery)
		t.closing = []string{"was put into the mailbox of the recipient.", id}
	case pec.KindDeliveryError:
		t.opening = fmt.Sprintf("%s %s for %s", when, message, d.Delivery)
		t.closing = []string{"could not be delivered: " + detail, "The system refused it.", id}
		if isVirus(d) {
			t.opening = fmt.Sprintf("%s in the message \"%s\" for %s", when, subject, d.Delivery)
			t.closing = []string{"malware was found: " + detail, "The message was not delivered.", id}
		}
	case pec.KindDeliveryTimeout:
		t.opening = fmt.Sprintf("%s %s for %s", when, message, d.Delivery)
		t.closing = []string{
			"is not known to have been delivered in the first twelve hours.",
			"It may still be delivered; if it is not within the next twelve hours, a second notice will follow.",
			id,
		}
		if c.isFinalTimeout() {
			t.closing = []string{
				"is not known to have been delivered within twenty-four hours.",
				"The transmission is to be considered as failed.",
				id,
			}
		}
	case pec.KindVirusDetection:
		t.opening = fmt.Sprintf("%s in the envelope with %s for %s", when, message, d.Delivery)
		t.closing = []string{"malware was found: " + detail, "The envelope goes no further for this reason.", id}
	case pec.KindTransport:
		t.opening = when + " " + message + " was sent to:"
		t.closing = []string{"The original is attached to this envelope.", id}
	case pec.KindAnomaly:
		t.opening = when + " there arrived the message " + fmt.Sprintf("\"%s\" of %s", subject, d.Sender) + " for:"
		t.closing = []string{"Its data are not certified, for this reason: " + detail, "The message received is attached to this envelope."}
	}
	return t
}

// englishTitles are readings of the legal names.
var englishTitles = map[pec.Kind]string{
	pec.KindAcceptance:       "Receipt of acceptance",
	pec.KindNonAcceptance:    "Notice of non-acceptance",
	pec.KindServerAcceptance: "Receipt of taking in charge",
	pec.KindDelivery:         "Receipt of delivery",
	pec.KindDeliveryError:    "Notice of failed delivery",
	pec.KindDeliveryTimeout:  "Notice of failed delivery within the time limit",
	pec.KindVirusDetection:   "Notice of malware",
	pec.KindTransport:        "Transport envelope",
	pec.KindAnomaly:          "Anomaly envelope",
}

func englishTitle(c *composer) string {
	title := englishTitles[c.Data.Kind]
	if isVirus(&c.Data) && c.Data.Kind != pec.KindVirusDetection {
		title += " because of malware"
	}
	return title
}
