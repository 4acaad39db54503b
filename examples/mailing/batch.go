package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

//go:embed sample
var sample embed.FS

// prepare makes the batch of template and rows, or finds the one that was made
// before, and shows what it is.
func (m *mailing) prepare(ctx context.Context) error {
	src := m.source()
	spec, err := m.spec(src)
	if err != nil {
		return err
	}
	if m.generate >= manyMessages {
		m.printf("Checking and preparing %s…\n", count(int64(m.generate), "message"))
	}
	batch, report, err := m.dispatcher.Prepare(ctx, spec)
	if report != nil {
		m.printFaults(src, report)
	}
	switch {
	case errors.Is(err, dispatch.ErrBatchDiffers):
		return fmt.Errorf("the batch %q was made from other rows, or another template: "+
			"bring those back to go on with it, or give this one another name with -batch", m.flags.batch)
	case err != nil && report != nil && report.FaultCount > 0:
		return fmt.Errorf("%s in %s; nothing was stored and nothing was sent", count(report.FaultCount, "fault"), src.name)
	case err != nil:
		return errors.New(trimPackage(err))
	}
	m.batch = batch
	if batch.Phase != dispatch.PhaseReady {
		m.printf("Going on with the batch %q: %s, signed off before.\n\n", batch.Name, count(batch.Total, "message"))
		return nil
	}
	return m.preview(ctx, report)
}

// spec says what the batch is made of.
func (m *mailing) spec(src source) (dispatch.BatchSpec, error) {
	spec := dispatch.BatchSpec{Name: m.flags.batch, Account: m.world.account.Address, Rows: src.rows, FreeBytes: m.free,
		ReceiptType: pec.ReceiptType(m.receipt)}
	if m.test {
		spec.Redirect = m.world.account.Address
	}
	folder, err := m.templateFolder()
	if err != nil {
		return spec, err
	}
	if spec.Template, err = m.readTemplate(folder); err != nil {
		return spec, errors.New(trimPackage(err))
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "account %s, receipt %q, test %v, row %d\n", spec.Account, m.receipt, m.test, m.testRow())
	if err := src.hash(digest); err != nil {
		return spec, err
	}
	if err := hashFolder(digest, folder); err != nil {
		return spec, err
	}
	spec.Source = dispatch.Digest(digest.Sum(nil))
	return spec, nil
}

// testRow is the row that a test sends; 0 if all are sent.
func (m *mailing) testRow() int64 {
	if m.test {
		return m.row
	}
	return 0
}

func (m *mailing) templateFolder() (fs.FS, error) {
	if m.template == "" {
		return fs.Sub(sample, "sample/template")
	}
	if _, err := os.ReadDir(m.template); err != nil {
		return nil, err
	}
	return os.DirFS(m.template), nil
}

// readTemplate reads a folder: see [dispatch.ReadTemplate] for what it holds. For
// rows that are made up there are no files of their own.
func (m *mailing) readTemplate(folder fs.FS) (*dispatch.Template, error) {
	cfg, err := dispatch.ReadTemplate(folder)
	if err != nil {
		return nil, err
	}
	if m.generate > 0 {
		cfg.RowAttachments = nil
	}
	return dispatch.NewTemplate(cfg)
}

// maxFaultsShown keeps a table full of faults from scrolling the first one away.
const maxFaultsShown = 20

// printFaults shows what is wrong with the rows, and what is worth a look.
func (m *mailing) printFaults(src source, report *dispatch.PreflightReport) {
	m.printSome("fault", src, report.Faults, report.FaultCount)
	m.printSome("note", src, report.Warnings, report.WarningCount)
}

func (m *mailing) printSome(kind string, src source, faults []*dispatch.RowError, count int64) {
	for _, fault := range faults[:min(len(faults), maxFaultsShown)] {
		m.printf("  %s: %s\n", kind, faultText(src, fault))
	}
	if more := count - maxFaultsShown; more > 0 {
		m.printf("  … and %d more\n", more)
	}
}

// faultText says what is wrong and where: file, line and column. The library
// leaves out what must not get into logs; here it is for whoever wrote the rows.
func faultText(src source, fault *dispatch.RowError) string {
	text := trimPackage(fault)
	switch fault.Code {
	case dispatch.FaultFileMissing, dispatch.FaultFile, dispatch.FaultTemplate:
		var path *fs.PathError
		if errors.As(fault.Err, &path) {
			text += ": " + path.Path
		} else if fault.Err != nil {
			text += ": " + strings.TrimPrefix(fault.Err.Error(), "dispatch: ")
		}
	}
	if fault.Line > 0 || fault.Field != "" {
		text = src.name + ": " + text
	}
	return text
}
