package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// preview shows what would be sent, and what it would take.
func (m *mailing) preview(ctx context.Context, report *dispatch.PreflightReport) error {
	m.printf("\nThe batch %q is ready: %s, %s in all.\n", m.batch.Name, count(m.batch.Total, "message"), bytesText(m.batch.Bytes))
	row := m.row
	if m.test {
		row = 1
	}
	if row > m.batch.Total {
		return fmt.Errorf("there is no row %d to preview: the batch has %d", row, m.batch.Total)
	}
	if report != nil {
		m.printForecast(report.Forecast)
	}
	path := filepath.Join(m.report, "preview.eml")
	if err := os.MkdirAll(m.report, 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	id := dispatch.SendID{Batch: m.batch.Name, Row: row}
	if err := m.dispatcher.WriteMessage(ctx, m.world.account.Address, id, file); err != nil {
		return err
	}
	m.printf("Message %d, to the byte as it would leave: %s\n", row, path)
	return m.showMessage(path)
}

func (m *mailing) printForecast(f dispatch.Forecast) {
	m.printf("Forecast: %d receipts, about %s in all, will arrive in the mailbox", f.Receipts, bytesText(f.Expected))
	if f.Space > 0 {
		m.printf(", which can take %s", bytesText(f.Space))
	}
	m.printf(".\n")
	if f.Duration > 0 {
		m.printf("At the provider's limits, sending takes about %s.\n", f.Duration.Round(time.Second))
	}
}

// showMessage prints what a person looks at first.
func (m *mailing) showMessage(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	envelope, err := pec.ReadEnvelope(file, pec.EnvelopeOptions{
		Account: m.world.account.Address, Profile: m.world.account.Profile,
	})
	if err != nil {
		return err
	}
	m.printf("\n    From:    %s\n    To:      %s\n    Subject: %s\n    Size:    %s\n",
		envelope.From, envelope.To[0], envelope.Subject, bytesText(envelope.Size))
	return nil
}
