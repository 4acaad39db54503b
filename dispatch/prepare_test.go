package dispatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

// table yields n rows.
func table(n int) iter.Seq2[dispatch.Row, error] {
	return func(yield func(dispatch.Row, error) bool) {
		for i := 1; i <= n; i++ {
			row := dispatch.Row{Line: int64(i + 1), Fields: map[string]string{
				"pec": recipientNumber(i).String(), "nome": fmt.Sprintf("Destinatario %d", i),
			}}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func letter(t *testing.T) *dispatch.Template {
	t.Helper()
	files := fstest.MapFS{"informativa.pdf": {Data: bytes.Repeat([]byte("%PDF-1.4 "), 2000)}}
	tmpl, err := dispatch.NewTemplate(dispatch.TemplateConfig{
		Subject: "Avviso per {{.nome}}", Text: "Gentile {{.nome}},\nin allegato.\n",
		Attachments: []dispatch.File{dispatch.FSFile(files, "informativa.pdf")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func spec(t *testing.T, n int) dispatch.BatchSpec {
	return dispatch.BatchSpec{Name: "b", Account: account, Template: letter(t), Rows: table(n)}
}

func TestPrepare(t *testing.T) {
	store, b := newStore(), newBox(t)
	d := newDispatcher(t, config(b, store))
	ctx := dispatch.WithActor(t.Context(), "anna")
	batch, report, err := d.Prepare(ctx, spec(t, 450))
	if err != nil {
		t.Fatal(err)
	}
	if batch.Phase != dispatch.PhaseReady || batch.Total != 450 || batch.Counts[dispatch.Prepared] != 450 || batch.Creator != "anna" {
		t.Errorf("batch = %+v", batch)
	}
	if report.Messages != 450 || report.Bytes != batch.Bytes {
		t.Errorf("the check saw %d messages with %d bytes, and %d bytes were stored", report.Messages, report.Bytes, batch.Bytes)
	}
	ids := make(map[string]bool)
	for s, err := range d.Statuses(ctx, account, "b") {
		if err != nil {
			t.Fatal(err)
		}
		ids[s.Send.MessageID] = true
		if s.Send.ID.Row%100 != 0 {
			continue
		}
		var raw bytes.Buffer
		if err := d.WriteMessage(ctx, account, s.Send.ID, &raw); err != nil {
			t.Fatal(err)
		}
		envelope, err := pec.ReadEnvelope(&raw, pec.EnvelopeOptions{Account: account})
		if err != nil || envelope.MessageID != s.Send.MessageID || envelope.Size != s.Send.Size || !envelope.To[0].Equal(s.Send.Recipient) {
			t.Errorf("row %d: %+v, %v", s.Send.ID.Row, envelope, err)
		}
	}
	if len(ids) != 450 {
		t.Errorf("%d different Message-IDs, want 450", len(ids))
	}
	checkAudit(t, store)

	again, _, err := d.Prepare(ctx, spec(t, 450))
	if err != nil || again.Digest != batch.Digest || again.Created != batch.Created {
		t.Errorf("preparing the same again: %v, %v; want the batch that is there", again.Digest, err)
	}
	if _, _, err := d.Prepare(ctx, spec(t, 451)); !errors.Is(err, dispatch.ErrBatchDiffers) {
		t.Errorf("preparing another under the same name: %v, want ErrBatchDiffers", err)
	}
	if _, _, err := d.Prepare(t.Context(), spec(t, 1)); !errors.Is(err, dispatch.ErrNoActor) {
		t.Errorf("Prepare by nobody: %v, want ErrNoActor", err)
	}
}

// TestPrepareFaults has one bad row. Nothing may be stored.
func TestPrepareFaults(t *testing.T) {
	store := newStore()
	d := newDispatcher(t, dispatch.Config{Store: store})
	ctx := dispatch.WithActor(t.Context(), "anna")
	s := spec(t, 20)
	s.Rows = func(yield func(dispatch.Row, error) bool) {
		for row := range table(20) {
			if row.Line == 11 {
				row.Fields["pec"] = "comune@pec.beta.example; sindaco@pec.beta.example"
			}
			if !yield(row, nil) {
				return
			}
		}
	}
	_, report, err := d.Prepare(ctx, s)
	if err == nil || report == nil || report.FaultCount != 1 || report.Faults[0].Line != 11 {
		t.Fatalf("Prepare = %+v, %v; want the fault of line 11", report, err)
	}
	if strings.Contains(err.Error(), "sindaco") {
		t.Errorf("the error repeats an address: %v", err)
	}
	if _, err := d.Batch(ctx, account, "b"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("a batch was stored: %v", err)
	}
}

// TestPrepareInterrupted breaks off while the batch is being made, at every
// chunk, and makes it anew.
func TestPrepareInterrupted(t *testing.T) {
	for stop := 1; stop <= 1001; stop += 200 {
		store := newStore()
		d := newDispatcher(t, dispatch.Config{Store: store})
		ctx := dispatch.WithActor(t.Context(), "anna")
		s := spec(t, 1000)
		passes := 0
		s.Rows = func(yield func(dispatch.Row, error) bool) {
			passes++
			for row, err := range table(1000) {
				if passes == 2 && row.Line > int64(stop) {
					yield(dispatch.Row{}, errors.New("the disk is gone"))
					return
				}
				if !yield(row, err) {
					return
				}
			}
		}
		if _, _, err := d.Prepare(ctx, s); err == nil && stop <= 1000 {
			t.Fatalf("stopping at %d: Prepare did not notice", stop)
		}
		before := make(map[int64]dispatch.Digest)
		for st, err := range d.Statuses(ctx, account, "b") {
			if err != nil {
				t.Fatal(err)
			}
			before[st.Send.ID.Row] = st.Send.Digest
		}
		batch, _, err := d.Prepare(ctx, spec(t, 1000))
		if err != nil || batch.Total != 1000 || batch.Phase != dispatch.PhaseReady {
			t.Fatalf("stopping at %d: made anew: %+v, %v", stop, batch, err)
		}
		for st, err := range d.Statuses(ctx, account, "b") {
			if old, ok := before[st.Send.ID.Row]; err != nil || ok && old != st.Send.Digest {
				t.Errorf("row %d is not what it was before the interruption: %v", st.Send.ID.Row, err)
			}
		}
		checkAudit(t, store)
	}
}

func TestPrepareRedirect(t *testing.T) {
	d := newDispatcher(t, dispatch.Config{Store: newStore()})
	s := spec(t, 3)
	s.Redirect = account
	s.Tolerate = []dispatch.FaultCode{dispatch.FaultDoubledRecipient}
	batch, _, err := d.Prepare(dispatch.WithActor(t.Context(), "anna"), s)
	if err != nil {
		t.Fatal(err)
	}
	for st := range d.Statuses(t.Context(), account, batch.Name) {
		if !st.Send.Recipient.Equal(account) {
			t.Errorf("row %d goes to somebody else", st.Send.ID.Row)
		}
	}
}
