package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

//go:embed sample
var sample embed.FS

// prepare makes the batch of template and rows, or finds the one that was made
// before, and shows what it is.
func (m *mailing) prepare(ctx context.Context) error {
	spec, err := m.spec()
	if err != nil {
		return err
	}
	batch, report, err := m.dispatcher.Prepare(ctx, spec)
	if report != nil {
		m.printFaults(report)
	}
	if err != nil {
		if report != nil && report.FaultCount > 0 {
			return fmt.Errorf("%d faults in the rows; nothing was stored and nothing was sent", report.FaultCount)
		}
		return err
	}
	m.batch = batch
	if batch.Phase != dispatch.PhaseReady {
		m.printf("Going on with the batch %q: %d messages, signed off before.\n\n", batch.Name, batch.Total)
		return nil
	}
	return m.preview(ctx, report)
}

func (m *mailing) spec() (dispatch.BatchSpec, error) {
	folder, err := m.templateFolder()
	if err != nil {
		return dispatch.BatchSpec{}, err
	}
	template, err := loadTemplate(folder)
	if err != nil {
		return dispatch.BatchSpec{}, err
	}
	spec := dispatch.BatchSpec{Name: m.flags.batch, Account: m.world.account.Address, Template: template}
	digest := sha256.New()
	switch {
	case m.generate > 0:
		spec.Rows = madeUpRows(m.generate, m.world.domains)
		fmt.Fprintf(digest, "made up %d %v\n", m.generate, m.world.domains)
	case m.rows != "":
		dir, name := filepath.Split(filepath.Clean(m.rows))
		fsys := os.DirFS(filepath.Clean("./" + dir))
		if filepath.IsAbs(m.rows) {
			fsys = os.DirFS(dir)
		}
		spec.Rows = dispatch.OpenCSV(fsys, name).Rows()
		if err := hashFile(digest, fsys, name); err != nil {
			return spec, err
		}
	default:
		spec.Rows = dispatch.OpenCSV(sample, "sample/rows.csv").Rows()
	}
	if err := hashFolder(digest, folder); err != nil {
		return spec, err
	}
	spec.Source = dispatch.Digest(digest.Sum(nil))
	return spec, nil
}

func (m *mailing) templateFolder() (fs.FS, error) {
	if m.template == "" {
		return fs.Sub(sample, "sample/template")
	}
	return os.DirFS(m.template), nil
}

// loadTemplate reads a folder: see [dispatch.ReadTemplate] for what it holds. Rows
// may leave the cell that names their file empty.
func loadTemplate(folder fs.FS) (*dispatch.Template, error) {
	cfg, err := dispatch.ReadTemplate(folder)
	if err != nil {
		return nil, err
	}
	for i := range cfg.RowAttachments {
		cfg.RowAttachments[i].Optional = true
	}
	return dispatch.NewTemplate(cfg)
}

// madeUpRows yields n rows with different addresses, the same each time.
func madeUpRows(n int, domains []string) iter.Seq2[dispatch.Row, error] {
	return func(yield func(dispatch.Row, error) bool) {
		for i := 1; i <= n; i++ {
			row := dispatch.Row{Line: int64(i), Fields: map[string]string{
				"pec":      fmt.Sprintf("destinatario%07d@%s", i, domains[i%len(domains)]),
				"nome":     fmt.Sprintf("Destinatario %d", i),
				"pratica":  fmt.Sprintf("2026/%07d", i),
				"importo":  fmt.Sprintf("%d,%02d", 10+i%990, i%100),
				"scadenza": "31/12/2026",
				"allegato": "",
			}}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func hashFile(w io.Writer, fsys fs.FS, name string) error {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	fmt.Fprintf(w, "file %s\n", name)
	_, err = io.Copy(w, file)
	return err
}

func hashFolder(w io.Writer, folder fs.FS) error {
	return fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		return hashFile(w, folder, path)
	})
}

// maxFaultsShown keeps a table full of faults from scrolling the first one away.
const maxFaultsShown = 20

func (m *mailing) printFaults(report *dispatch.PreflightReport) {
	for i, fault := range report.Faults {
		if i == maxFaultsShown {
			m.printf("  … and %d more\n", report.FaultCount-maxFaultsShown)
			break
		}
		m.printf("  fault: %s\n", trimPackage(fault))
	}
	for i, warning := range report.Warnings {
		if i == maxFaultsShown {
			break
		}
		m.printf("  note: %s\n", trimPackage(warning))
	}
}

// preview shows what would be sent, and what it would take.
func (m *mailing) preview(ctx context.Context, report *dispatch.PreflightReport) error {
	m.printf("\nThe batch %q is ready: %d messages, %s in all.\n", m.batch.Name, m.batch.Total, bytesText(m.batch.Bytes))
	if report != nil {
		f := report.Forecast
		m.printf("Forecast: %d receipts with about %s will arrive in the mailbox", f.Receipts, bytesText(f.Expected))
		if f.Space > 0 {
			m.printf(", which can take %s", bytesText(f.Space))
		}
		m.printf(".\n")
		if f.Duration > 0 {
			m.printf("At the provider's limits, sending takes about %s.\n", f.Duration.Round(time.Second))
		}
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
	first := dispatch.SendID{Batch: m.batch.Name, Row: 1}
	if err := m.dispatcher.WriteMessage(ctx, m.world.account.Address, first, file); err != nil {
		return err
	}
	m.printf("The first message, to the byte as it would leave: %s\n", path)
	return m.showMessage(path)
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
	return file.Close()
}
