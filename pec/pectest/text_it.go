package pectest

import (
	"fmt"

	"github.com/ceralacca/go-pec/pec"
)

// italian is the text of a message as the technical rules ask for it. The
// sentences are this package's own.
func italian(c *composer) wording {
	d := &c.Data
	day, clock, zone := c.moment()
	subject, detail := oneLine(d.Subject), oneLine(d.ErrorDetail)
	id := "Identificativo della trasmissione: " + d.ID
	when := fmt.Sprintf("In data %s, ore %s (%s),", day, clock, zone)
	message := fmt.Sprintf("il messaggio \"%s\" di %s", subject, d.Sender)
	t := wording{
		title:      italianTitle(c),
		recipients: c.addresses("posta certificata", "posta ordinaria", d.Kind == pec.KindAcceptance),
	}
	switch d.Kind {
	case pec.KindAcceptance:
		t.opening = when + " " + message + " per:"
		t.closing = []string{"è stato accettato e viene inoltrato.", id}
	case pec.KindNonAcceptance:
		t.opening = when + " " + message + " per:"
		t.closing = []string{"presenta il seguente problema: " + detail, "Il messaggio non è stato accettato.", id}
		if isVirus(d) {
			t.closing[0] = "contiene codice malevolo: " + detail
		}
	case pec.KindServerAcceptance:
		t.opening = when + " " + message + " per:"
		t.closing = []string{"è stato preso in carico dal sistema.", id}
	case pec.KindDelivery:
		t.opening = fmt.Sprintf("%s %s per %s", when, message, d.Delivery)
		t.closing = []string{"è stato depositato nella casella del destinatario.", id}
	case pec.KindDeliveryError:
		t.opening = fmt.Sprintf("%s %s per %s", when, message, d.Delivery)
		t.closing = []string{"non è stato consegnato: " + detail, "Il sistema lo ha rifiutato.", id}
		if isVirus(d) {
			t.opening = fmt.Sprintf("%s nel messaggio \"%s\" per %s", when, subject, d.Delivery)
			t.closing = []string{"è stato trovato codice malevolo: " + detail, "Il messaggio non è stato consegnato.", id}
		}
	case pec.KindDeliveryTimeout:
		t.opening = fmt.Sprintf("%s %s per %s", when, message, d.Delivery)
		t.closing = []string{
			"non risulta consegnato nelle prime dodici ore.",
			"La consegna è ancora possibile; se non avverrà entro le prossime dodici ore, seguirà un secondo avviso.",
			id,
		}
		if c.isFinalTimeout() {
			t.closing = []string{
				"non risulta consegnato entro ventiquattro ore.",
				"La trasmissione è da considerarsi conclusa con esito negativo.",
				id,
			}
		}
	case pec.KindVirusDetection:
		t.opening = fmt.Sprintf("%s nella busta con %s per %s", when, message, d.Delivery)
		t.closing = []string{"è stato trovato codice malevolo: " + detail, "Per questo motivo la busta non prosegue.", id}
	case pec.KindTransport:
		t.opening = when + " " + message + " è stato inviato a:"
		t.closing = []string{"L'originale è allegato a questa busta.", id}
	case pec.KindAnomaly:
		t.opening = when + " è arrivato il messaggio " + fmt.Sprintf("\"%s\" di %s", subject, d.Sender) + " per:"
		t.closing = []string{"I suoi dati non sono certificati per il seguente motivo: " + detail, "Il messaggio ricevuto è allegato a questa busta."}
	}
	return t
}

func italianTitle(c *composer) string {
	d := &c.Data
	title := []rune(d.Kind.LegalName(d.Error))
	title[0] -= 'a' - 'A'
	return string(title)
}
