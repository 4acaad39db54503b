package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

func preflightOptions() dispatch.PreflightOptions {
	return dispatch.PreflightOptions{RenderOptions: dispatch.RenderOptions{Account: account}}
}

// told returns faults as "code line:column field".
func told(faults []*dispatch.RowError) (list []string) {
	for _, f := range faults {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %d:%d %s", f.Code, f.Line, f.Column, f.Field)))
	}
	return list
}

func preflight(t testing.TB, tmpl *dispatch.Template, rows iter.Seq2[dispatch.Row, error], opts dispatch.PreflightOptions) *dispatch.PreflightReport {
	t.Helper()
	report, err := dispatch.Preflight(context.Background(), tmpl, rows, opts)
	if err != nil {
		t.Fatalf("Preflight: %v", err)
	}
	return report
}

func TestPreflight(t *testing.T) {
	folder := fstest.MapFS{"1.pdf": {Data: []byte("uno")}, "2.pdf": {Data: []byte("due")}, "3.pdf": {Data: []byte("tre")}, "copia.pdf": {Data: []byte("uno")}, "vuoto.pdf": {}}
	withFiles := func(c *dispatch.TemplateConfig) {
		c.RowAttachments = []dispatch.RowFile{{Column: "file", FS: folder}}
	}
	for _, c := range []struct {
		name             string
		table            string
		set              func(*dispatch.TemplateConfig)
		opts             func(*dispatch.PreflightOptions)
		rows, messages   int64
		faults, warnings []string
		reason           string
	}{
		{name: "good", table: "pec;nome\na@b.example;Anna\nc@d.example;Carlo\n", rows: 2, messages: 2},
		{name: "no rows", table: "pec;nome\n", faults: []string{"no-rows 0:0"}, reason: "nobody means to send nothing"},
		{name: "no header", table: "", faults: []string{"header 1:0"}},
		{name: "unknown column", table: "pec;cognome\na@b.example;x\nc@d.example;y\n", rows: 2,
			faults: []string{"no-column 0:0 nome"}, warnings: []string{"unused-column 0:2 cognome"}, reason: "told once, not for each row"},
		{name: "every kind of row", table: "pec;nome\na@b.example;Anna\nrossi;Rossi\nc@d.example; e@f.example;x\ng@h.example;\n\"i@l.example; m@n.example\";Ivo\no@p.example;Olga\n",
			rows: 6, messages: 2, faults: []string{"address 3:1 pec", "cells 4:3", "empty-cell 5:2 nome", "several-addresses 6:1 pec"}, reason: "each is told, the others are checked"},
		{name: "doubled address", table: "pec;nome\na@b.example;Anna\nc@d.example;x\nA@B.Example;Anna\na@b.example;Anna\n",
			rows: 4, messages: 4, faults: []string{"doubled-recipient 4:1 pec", "doubled-recipient 5:1 pec"}, reason: "the same mailbox, whatever the case"},
		{name: "doubled address of a bad row", table: "pec;nome\na@b.example;\na@b.example;Anna\n",
			rows: 2, messages: 1, faults: []string{"empty-cell 2:2 nome", "doubled-recipient 3:1 pec"}, reason: "once the first is mended there are two"},
		{name: "doubled address tolerated", table: "pec;nome\na@b.example;Anna\na@b.example;Alba\n",
			opts: func(o *dispatch.PreflightOptions) {
				o.Tolerate = []dispatch.FaultCode{dispatch.FaultDoubledRecipient}
			},
			rows: 2, messages: 2, warnings: []string{"doubled-recipient 3:1 pec"}, reason: "an adviser holds the mailbox of several"},
		{name: "to oneself", table: "pec;nome\nstudio@pec.ALFA.example;Alfa\n", rows: 1, messages: 1, warnings: []string{"self 2:1 pec"}},
		{name: "test to oneself", table: "pec;nome\na@b.example;Anna\nc@d.example;Carlo\n",
			opts: func(o *dispatch.PreflightOptions) { o.Redirect = account }, rows: 2, messages: 2},
		{name: "files", table: "pec;nome;file\na@b.example;Anna;1.pdf\nc@d.example;Carlo;4.pdf\ne@f.example;Ennio;vuoto.pdf\n", set: withFiles,
			rows: 3, messages: 1, faults: []string{"file-missing 3:3 file", "file-empty 4:3 file"}},
		{name: "doubled file", table: "pec;nome;file\na@b.example;Anna;1.pdf\nc@d.example;Carlo;2.pdf\ne@f.example;Ennio;copia.pdf\n", set: withFiles,
			rows: 3, messages: 3, faults: []string{"file-doubled 4:3 file"}, reason: "the same content under another name is somebody else's letter too"},
		{name: "doubled file tolerated", table: "pec;nome;file\na@b.example;Anna;1.pdf\nc@d.example;Carlo;1.pdf\n", set: withFiles,
			opts: func(o *dispatch.PreflightOptions) { o.Tolerate = []dispatch.FaultCode{dispatch.FaultFileDoubled} },
			rows: 2, messages: 2, warnings: []string{"file-doubled 3:3 file"}},
		{name: "address of another recipient", table: "pec;nome\na@b.example;Anna\nc@d.example;scrivere a A@B.example.\ne@f.example;info@altrove.example\n",
			rows: 3, messages: 3, faults: []string{"other-recipient 3:0"}, reason: "not its own, not one that is no recipient"},
		{name: "address of a later recipient", table: "pec;nome\nc@d.example;<a@b.example>\na@b.example;Anna\n",
			rows: 2, messages: 2, faults: []string{"other-recipient 2:0"}, reason: "the order does not matter"},
		{name: "address in the template", table: "pec;nome\nc@d.example;Carlo\na@b.example;Anna\n",
			set:  func(c *dispatch.TemplateConfig) { c.Text += "\nPer informazioni: a@b.example" },
			rows: 2, messages: 2, faults: []string{"other-recipient 2:0"}, reason: "an office that is a recipient too"},
		{name: "own address", table: "pec;nome\nc@d.example;Carlo\na@b.example;Anna\n",
			set: func(c *dispatch.TemplateConfig) {
				c.Text += "\nSpedito a {{.pec}} da studio@pec.alfa.example, risposte a r@pec.alfa.example"
				c.ReplyTo.Address = pec.MustParseAddress("r@pec.alfa.example")
			}, rows: 2, messages: 2},
		{name: "own address in a test", table: "pec;nome\nc@d.example;Carlo\na@b.example;Anna\n",
			set:  func(c *dispatch.TemplateConfig) { c.Text += "\nSpedito a {{.pec}}" },
			opts: func(o *dispatch.PreflightOptions) { o.Redirect = account }, rows: 2, messages: 2},
		{name: "address in HTML", table: "pec;nome\nc@d.example;Carlo\na@b.example;Anna\n",
			set:  func(c *dispatch.TemplateConfig) { c.HTML = `<a href="mailto:a%40b.example">{{.nome}}</a>` },
			rows: 2, messages: 2, faults: []string{"other-recipient 2:0"}},
		{name: "address in HTML, escaped", table: "pec;nome\nc@d.example;o'neil+x@b.example\no'neil+x@b.example;Anna\n",
			set:  func(c *dispatch.TemplateConfig) { c.Text, c.HTML = "", `<b>{{.nome}}</b>` },
			rows: 2, messages: 2, faults: []string{"other-recipient 2:0"}},
		{name: "address in quotes", table: "pec;nome\nc@d.example;'a@b.example'\na@b.example;Anna\n",
			rows: 2, messages: 2, faults: []string{"other-recipient 2:0"}, reason: "a quote may belong to an address, or stand around it"},
		{name: "address as file name", table: "pec;nome;file\nc@d.example;Carlo;a@b.example.pdf\na@b.example;Anna;1.pdf\n",
			set: func(c *dispatch.TemplateConfig) {
				c.RowAttachments = []dispatch.RowFile{{Column: "file", FS: fstest.MapFS{"a@b.example.pdf": {Data: []byte("x")}, "1.pdf": {Data: []byte("y")}}}}
			}, rows: 2, messages: 2, faults: []string{"other-recipient 2:0"}, reason: "files are named by address, and swapped"},
		{name: "shared attachment", table: "pec;nome\na@b.example;Anna\nc@d.example;Carlo\n",
			set: func(c *dispatch.TemplateConfig) {
				c.Attachments = []dispatch.File{byteFile("a.zip", zipOf("x.exe")), byteFile("b.zip", "?")}
			},
			opts: func(o *dispatch.PreflightOptions) { o.Profile.BlockedExtensions = []string{".exe"} },
			rows: 2, faults: []string{"archive-of-blocked 0:0"}, reason: "no row's fault, and told once"},
		{name: "shared attachment warned of", table: "pec;nome\na@b.example;Anna\nc@d.example;Carlo\n",
			set:  func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{byteFile("b.zip", "?")} },
			opts: func(o *dispatch.PreflightOptions) { o.Profile.BlockedExtensions = []string{".exe"} },
			rows: 2, messages: 2, warnings: []string{"archive 0:0"}, reason: "told once"},
		{name: "other sender", table: "pec;nome\na@b.example;Anna\n",
			set:  func(c *dispatch.TemplateConfig) { c.From.Address = pec.MustParseAddress("x@pec.gamma.example") },
			rows: 1, faults: []string{"rule 2:0"}},
		{name: "small mailbox", table: "pec;nome\na@b.example;Anna\n", opts: func(o *dispatch.PreflightOptions) { o.FreeBytes = 1000 },
			rows: 1, messages: 1, warnings: []string{"capacity 0:0"}},
		{name: "unused", table: "pec;nome;note;cf\na@b.example;Anna;x;y\n", rows: 1, messages: 1,
			warnings: []string{"unused-column 0:3 note", "unused-column 0:4 cf"}},
		{name: "kept and counted", table: "pec;nome\n" + strings.Repeat("rossi;x\n", 10),
			opts: func(o *dispatch.PreflightOptions) { o.Keep = 2 }, rows: 10, faults: []string{"address 2:1 pec", "address 3:1 pec"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl := templateOf(t, func(cfg *dispatch.TemplateConfig) {
				cfg.Text = "Gentile {{.nome}}"
				if c.set != nil {
					c.set(cfg)
				}
			})
			opts := preflightOptions()
			if c.opts != nil {
				c.opts(&opts)
			}
			r := preflight(t, tmpl, tableOf(c.table).Rows(), opts)
			if r.Rows != c.rows || r.Messages != c.messages {
				t.Errorf("%d rows, %d messages; want %d, %d (%s)", r.Rows, r.Messages, c.rows, c.messages, c.reason)
			}
			if !slices.Equal(told(r.Faults), c.faults) || !slices.Equal(told(r.Warnings), c.warnings) {
				t.Errorf("faults %q, warnings %q; want %q, %q (%s)", told(r.Faults), told(r.Warnings), c.faults, c.warnings, c.reason)
			}
			if (r.Err() == nil) != (len(c.faults) == 0) {
				t.Errorf("Err() = %v with faults %q", r.Err(), c.faults)
			}
			if text := fmt.Sprint(r.Err()); strings.Contains(text, ".example") {
				t.Errorf("Err() shows an address: %s", text)
			}
			if c.name != "kept and counted" && (r.FaultCount != int64(len(c.faults)) || r.WarningCount != int64(len(c.warnings))) {
				t.Errorf("%d faults, %d warnings counted; want %d, %d", r.FaultCount, r.WarningCount, len(c.faults), len(c.warnings))
			}
			if c.name == "kept and counted" && (r.FaultCount != 10 || r.Counts[dispatch.FaultAddress] != 10) {
				t.Errorf("%d faults counted, want 10", r.FaultCount)
			}
		})
	}
}

func TestPreflightErr(t *testing.T) {
	tmpl := templateOf(t, nil)
	r := preflight(t, tmpl, tableOf("pec\nrossi\nverdi\n").Rows(), preflightOptions())
	var fault *dispatch.RowError
	if !errors.As(r.Err(), &fault) || fault.Line != 2 || !errors.Is(r.Err(), pec.ErrAddress) {
		t.Errorf("Err() = %v, want the faults wrapped", r.Err())
	}
	want := `dispatch: 2 faults in a batch of 2 rows: line 2, column 1, "pec": not a PEC address: no @; and others`
	if got := r.Err().Error(); got != want {
		t.Errorf("Err() = %q, want %q", got, want)
	}
}

func TestPreflightRefused(t *testing.T) {
	tmpl := templateOf(t, nil)
	rows := tableOf("pec\na@b.example\n").Rows()
	if _, err := dispatch.Preflight(context.Background(), tmpl, rows, dispatch.PreflightOptions{}); err == nil {
		t.Error("Preflight without an account: no error")
	}
	opts := preflightOptions()
	opts.Tolerate = []dispatch.FaultCode{dispatch.FaultSeveralAddresses}
	if _, err := dispatch.Preflight(context.Background(), tmpl, rows, opts); err == nil {
		t.Error("Preflight that tolerates several addresses in a cell: no error")
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := dispatch.Preflight(canceled, tmpl, rows, preflightOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("Preflight with a canceled context: %v", err)
	}
	broken := errors.New("line cut")
	cut := func(yield func(dispatch.Row, error) bool) { yield(dispatch.Row{}, broken) }
	if _, err := dispatch.Preflight(context.Background(), tmpl, cut, preflightOptions()); !errors.Is(err, broken) {
		t.Errorf("Preflight of a broken source: %v", err)
	}
}

// Input is that of the messages: the same again, another for another row, file,
// order or option, and whatever Date.
func TestPreflightInput(t *testing.T) {
	run := func(table, file string, change func(*dispatch.PreflightOptions)) dispatch.Digest {
		tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
			c.Text = "Gentile {{.nome}}"
			c.Attachments = []dispatch.File{byteFile("a.pdf", file)}
		})
		opts := preflightOptions()
		if change != nil {
			change(&opts)
		}
		return preflight(t, tmpl, tableOf(table).Rows(), opts).Input
	}
	const table = "pec;nome\na@b.example;Anna\nc@d.example;Carlo\n"
	first := run(table, "x", nil)
	if again := run(table, "x", func(o *dispatch.PreflightOptions) { o.Date = time.Now() }); again != first {
		t.Errorf("Input = %v and %v for the same", first, again)
	}
	for name, other := range map[string]dispatch.Digest{
		"row":    run("pec;nome\na@b.example;Anna\nc@d.example;Carla\n", "x", nil),
		"order":  run("pec;nome\nc@d.example;Carlo\na@b.example;Anna\n", "x", nil),
		"fewer":  run("pec;nome\na@b.example;Anna\n", "x", nil),
		"file":   run(table, "y", nil),
		"option": run(table, "x", func(o *dispatch.PreflightOptions) { o.ReceiptType = pec.ReceiptConcise }),
	} {
		if other == first {
			t.Errorf("another %s has the same Input", name)
		}
	}
}

// 20,000 rows, each with a file of its own and ten addresses: 240,000 keys, in memory
// that does not grow any more once some are in a file.
func TestPreflightMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	const n = 20_000
	tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
		c.Text = "{{.nome}}"
		c.RowAttachments = []dispatch.RowFile{{Column: "file", Resolve: func(_ context.Context, row dispatch.Row) (dispatch.File, error) {
			return byteFile("lettera.pdf", row.Fields["file"]), nil
		}}}
	})
	var early, late uint64
	rows := func(yield func(dispatch.Row, error) bool) {
		for row := range manyAddresses(n, 10, func() error { return nil }) {
			switch row.Line {
			case n / 2:
				early = heapInUse()
			case n:
				late = heapInUse()
			}
			row.Fields["file"] = fmt.Sprint("lettera ", row.Line)
			if !yield(row, nil) {
				return
			}
		}
	}
	r := preflight(t, tmpl, rows, preflightOptions())
	if r.Messages != n || r.FaultCount != 0 {
		t.Errorf("%d messages and %v, want %d and no fault", r.Messages, r.Err(), n)
	}
	if growth := int64(late) - int64(early); growth > 256<<10 {
		t.Errorf("%d bytes more in use after %d rows than after %d, want at most 256 KiB", growth, n, n/2)
	}
}

// A batch that is all wrong is counted exactly, in bounded memory.
func TestPreflightAllDoubled(t *testing.T) {
	tmpl := templateOf(t, nil)
	rows := func(yield func(dispatch.Row, error) bool) {
		for i := range 4000 {
			row := rowOf(fmt.Sprintf("r%d@pec.beta.example", i%1000))
			row.Line = int64(i + 2)
			if !yield(row, nil) {
				return
			}
		}
	}
	r := preflight(t, tmpl, rows, preflightOptions())
	if got := r.Counts[dispatch.FaultDoubledRecipient]; got != 3000 || len(r.Faults) != 100 || r.Faults[0].Line != 1002 {
		t.Errorf("%d doubled, %d told, the first %v; want 3000, 100 and line 1002", got, len(r.Faults), r.Faults[0])
	}
	if want := `dispatch: line 1002, "pec": an earlier row has this address: line 2`; r.Faults[0].Error() != want {
		t.Errorf("the first: %q, want %q", r.Faults[0], want)
	}
}

func TestForecast(t *testing.T) {
	tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
		c.Attachments = []dispatch.File{byteFile("a.pdf", strings.Repeat("x", 570_000))}
	})
	forecast := func(change func(*dispatch.PreflightOptions)) dispatch.Forecast {
		return forecastOf(t, tmpl, 10, change)
	}
	f := forecast(func(o *dispatch.PreflightOptions) { o.Profile.MailboxBytes = 1e9 })
	// 570,000 bytes are 10,000 lines of 78 bytes; the rest is a few kB.
	if f.Receipts != 20 || f.Complete < 10*780_000 || f.Complete > 10*830_000 || f.Brief < f.Concise || f.Brief > 10*40_000 ||
		f.Expected != f.Complete || f.Space != 1e9 {
		t.Errorf("forecast %+v", f)
	}
	f = forecast(func(o *dispatch.PreflightOptions) {
		o.Profile.MailboxBytes, o.FreeBytes, o.ReceiptType = 1e9, 5e8, pec.ReceiptBrief
	})
	if f.Expected != f.Brief || f.Space != 5e8 {
		t.Errorf("forecast with brief receipts %+v", f)
	}
	if f = forecast(func(o *dispatch.PreflightOptions) { o.ReceiptType = pec.ReceiptConcise }); f.Expected != f.Concise || f.Space != 0 {
		t.Errorf("forecast with concise receipts %+v", f)
	}
}

func forecastOf(t *testing.T, tmpl *dispatch.Template, rows int, change func(*dispatch.PreflightOptions)) dispatch.Forecast {
	t.Helper()
	table := "pec\n"
	for i := range rows {
		table += fmt.Sprintf("r%d@pec.beta.example\n", i)
	}
	opts := preflightOptions()
	change(&opts)
	return preflight(t, tmpl, tableOf(table).Rows(), opts).Forecast
}

func TestForecastDuration(t *testing.T) {
	tmpl := templateOf(t, nil)
	for _, c := range []struct {
		minute, hour, day int
		want              time.Duration
		reason            string
	}{
		{0, 0, 0, 16 * time.Minute, "nothing known: 6 a minute; the last 4 of 100 leave at 16:00"},
		{100, 0, 0, 0, "all in the first minute"},
		{99, 0, 0, time.Minute, "one too many"},
		{10, 50, 0, time.Hour + 4*time.Minute, "50 take 5 minutes, then the hour must pass"},
		{10, 0, 30, 72 * time.Hour, "3 days, and the last 10 at once"},
		{1, 70, 0, 99 * time.Minute, "one a minute is slower than 70 an hour"},
		{10, 1000, 1000, 9 * time.Minute, "limits that do not matter"},
	} {
		f := forecastOf(t, tmpl, 100, func(o *dispatch.PreflightOptions) {
			o.Profile.PerMinute, o.Profile.PerHour, o.Profile.PerDay = c.minute, c.hour, c.day
		})
		if f.Duration != c.want {
			t.Errorf("%d a minute, %d an hour, %d a day: %v, want %v (%s)", c.minute, c.hour, c.day, f.Duration, c.want, c.reason)
		}
	}
}

func ExamplePreflight() {
	tmpl, err := dispatch.NewTemplate(dispatch.TemplateConfig{
		Subject:       "Convocazione di {{.nome}}",
		Text:          "Gentile {{.nome}},\n\nLa assemblea si terrà il {{.giorno}}.\n",
		RecipientName: "nome",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	table := tableOf("pec;nome;giorno;note\n" +
		"anna@pec.beta.example;Anna;12 maggio;\n" +
		"carlo@pec.gamma.example;Carlo;;\n" +
		"dario@pec.gamma.example, eva@pec.gamma.example;Dario ed Eva;12 maggio;\n" +
		"ANNA@pec.beta.example;Anna;13 maggio;\n")
	report, err := dispatch.Preflight(context.Background(), tmpl, table.Rows(), dispatch.PreflightOptions{
		RenderOptions: dispatch.RenderOptions{Account: pec.MustParseAddress("studio@pec.alfa.example")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Rows, "rows,", report.FaultCount, "faults")
	for _, fault := range report.Faults {
		fmt.Println(fault)
	}
	for _, warning := range report.Warnings {
		fmt.Println("warning:", warning)
	}
	// Output:
	// 4 rows, 3 faults
	// dispatch: line 3, column 3, "giorno": the cell is empty
	// dispatch: line 4, column 1, "pec": more than one address in a cell
	// dispatch: line 5, column 1, "pec": an earlier row has this address: line 2
	// warning: dispatch: column 4, "note": the template does not use this column
}

func ExampleRenderer_WriteMessage() {
	tmpl, err := dispatch.NewTemplate(dispatch.TemplateConfig{
		Subject: "Sollecito n. {{.numero}}",
		Text:    "Gentile {{.nome}},\n\nil pagamento è scaduto.\n",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sender := pec.MustParseAddress("studio@pec.alfa.example")
	renderer := tmpl.NewRenderer(nil, dispatch.RenderOptions{
		Account: sender,
		Date:    time.Date(2026, 9, 4, 10, 15, 34, 0, time.FixedZone("", 2*60*60)),
	})
	row := dispatch.Row{Line: 2, Fields: map[string]string{
		"pec": "anna@pec.beta.example", "nome": "Anna", "numero": "17",
	}}
	var preview strings.Builder
	message, err := renderer.WriteMessage(context.Background(), &preview, row, "<17@pec.alfa.example>")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(strings.ReplaceAll(preview.String(), "\r\n", "\n"))
	fmt.Println("--", message.Size, "bytes for", message.Recipient)
	// Output:
	// Date: Fri, 04 Sep 2026 10:15:34 +0200
	// From: studio@pec.alfa.example
	// To: anna@pec.beta.example
	// Subject: Sollecito n. 17
	// Message-ID: <17@pec.alfa.example>
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: quoted-printable
	//
	// Gentile Anna,
	//
	// il pagamento =C3=A8 scaduto.
	// -- 312 bytes for anna@pec.beta.example
}
