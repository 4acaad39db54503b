package dispatch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	gomail "github.com/emersion/go-message/mail"
	"github.com/google/go-cmp/cmp"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/pec"
)

var update = flag.Bool("update", false, "write the golden files anew")

const testID = "<abcdefghijklmnopqrstuvwxyz@pec.alfa.example>"

func renderOptions() dispatch.RenderOptions {
	return dispatch.RenderOptions{
		Account: account,
		Date:    time.Date(2026, 9, 4, 10, 15, 34, 0, time.FixedZone("", 2*60*60)),
	}
}

// rowOf returns a row on line 7 with an address and other cells.
func rowOf(address string, cells ...string) dispatch.Row {
	row := dispatch.Row{Line: 7, Fields: map[string]string{"pec": address}}
	for i := 0; i < len(cells); i += 2 {
		row.Fields[cells[i]] = cells[i+1]
	}
	return row
}

// faultsOf returns the faults that an error joins.
func faultsOf(err error) (faults []*dispatch.RowError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			faults = append(faults, faultsOf(e)...)
		}
		return faults
	}
	var fault *dispatch.RowError
	if errors.As(err, &fault) {
		faults = append(faults, fault)
	}
	return faults
}

// eml renders a row to bytes, and checks what Render says of them.
func eml(t testing.TB, tmpl *dispatch.Template, opts dispatch.RenderOptions, row dispatch.Row) []byte {
	t.Helper()
	var b bytes.Buffer
	m, err := tmpl.NewRenderer(nil, opts).WriteMessage(context.Background(), &b, row, testID)
	if err != nil {
		t.Fatalf("WriteMessage: %v", err)
	}
	if m.Digest != sha256.Sum256(b.Bytes()) || m.Size != int64(b.Len()) {
		t.Fatalf("WriteMessage: digest %v and size %d are not those of the %d bytes", m.Digest, m.Size, b.Len())
	}
	envelope, err := pec.ReadEnvelope(bytes.NewReader(b.Bytes()), pec.EnvelopeOptions{Account: opts.Account, Profile: opts.Profile})
	if err != nil || len(envelope.Recipients()) != 1 || !envelope.To[0].Equal(m.Recipient) || envelope.Size != m.Size {
		t.Fatalf("ReadEnvelope of the message = %+v, %v", envelope, err)
	}
	return b.Bytes()
}

func TestRenderGolden(t *testing.T) {
	letter := fstest.MapFS{"2026/lettera Forlì.pdf": {Data: []byte("%PDF-1.7 lettera\n")}}
	for _, c := range []struct {
		name string
		set  func(*dispatch.TemplateConfig)
		opts func(*dispatch.RenderOptions)
	}{
		{"text", nil, nil},
		{"html", func(c *dispatch.TemplateConfig) {
			c.Text, c.HTML = "", "<p>Gentile {{.nome}},<br>è <a href=\"https://alfa.example/?q={{.nome}}\">qui</a>.</p>"
		}, nil},
		{"everything", func(c *dispatch.TemplateConfig) {
			c.Subject = "Sollecito n. {{.numero}} per {{.nome}}: scadenza, modalità e termini del pagamento richiesto"
			c.HTML = "<p>Gentile {{.nome}}</p>"
			c.From.Name = "Studio Alfa & Associati, società tra avvocati"
			c.ReplyTo = pec.Mailbox{Name: "Ufficio reclami", Address: pec.MustParseAddress("reclami@pec.alfa.example")}
			c.RecipientName = "nome"
			c.Attachments = []dispatch.File{
				byteFile("condizioni.pdf", strings.Repeat("condizioni ", 30)),
				{Name: "dati", MediaType: "application/x-dati", Open: byteFile("x", "dati").Open},
			}
			c.RowAttachments = []dispatch.RowFile{{Column: "lettera", FS: letter}, {Column: "altro", FS: letter, Optional: true}}
		}, func(o *dispatch.RenderOptions) { o.ReceiptType = pec.ReceiptBrief }},
		{"redirected", func(c *dispatch.TemplateConfig) { c.RecipientName = "nome" },
			func(o *dispatch.RenderOptions) { o.Redirect = account }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl := templateOf(t, func(cfg *dispatch.TemplateConfig) {
				cfg.Text = "Gentile {{.nome}},\r\n\r\nè dovuto l'importo di € {{.numero}}.  \nDistinti saluti\n\n\n"
				if c.set != nil {
					c.set(cfg)
				}
			})
			opts := renderOptions()
			if c.opts != nil {
				c.opts(&opts)
			}
			row := rowOf("rossi@pec.beta.example", "nome", "Società \"Rossi\" <& figli>", "numero", "17",
				"lettera", "2026/lettera Forlì.pdf", "altro", "")
			checkGolden(t, "render_"+c.name+".eml", eml(t, tmpl, opts, row))
		})
	}
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// parsed is a message as another reader understands it.
type parsed struct {
	Subject  string
	From, To []*mail.Address
	Text     []string // of each inline part
	Files    map[string]string
}

// parseWithGoMessage reads a message with go-message.
func parseWithGoMessage(t testing.TB, raw []byte) parsed {
	t.Helper()
	r, err := gomail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("go-message: %v\n%s", err, raw)
	}
	p := parsed{Files: map[string]string{}}
	if p.Subject, err = r.Header.Subject(); err != nil {
		t.Fatalf("go-message: subject: %v\n%s", err, raw)
	}
	p.From = goAddresses(t, r.Header, "From")
	p.To = goAddresses(t, r.Header, "To")
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatalf("go-message: %v\n%s", err, raw)
		}
		b, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatalf("go-message: %v\n%s", err, raw)
		}
		if h, ok := part.Header.(*gomail.AttachmentHeader); ok {
			name, err := h.Filename()
			if err != nil {
				t.Fatalf("go-message: file name: %v\n%s", err, raw)
			}
			p.Files[name] = string(b)
			continue
		}
		p.Text = append(p.Text, string(b))
	}
}

func goAddresses(t testing.TB, h gomail.Header, name string) (list []*mail.Address) {
	t.Helper()
	addresses, err := h.AddressList(name)
	if err != nil {
		t.Fatalf("go-message: %s: %v", name, err)
	}
	for _, a := range addresses {
		list = append(list, (*mail.Address)(a))
	}
	return list
}

// checkBytes checks what every message must be, whatever its content.
func checkBytes(t testing.TB, raw []byte) {
	t.Helper()
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for i, line := range strings.SplitAfter(string(raw), "\n") {
		text, isCRLF := strings.CutSuffix(line, "\r\n")
		if line != "" && !isCRLF || strings.ContainsAny(text, "\r\n\x00") {
			t.Errorf("line %d does not end in CRLF alone: %q", i+1, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("line %d is not 7-bit: %q", i+1, line)
		}
		if len(text) > 76 && strings.Contains(strings.TrimLeft(text, " "), " ") && i <= bytes.Count(head, []byte("\n")) {
			t.Errorf("line %d of the head could be broken: %q", i+1, line)
		}
		if len(text) > 998 {
			t.Errorf("line %d has %d characters", i+1, len(text))
		}
	}
	if n := bytes.Count(head, []byte("\nTo:")); n != 1 || bytes.Contains(head, []byte("\nCc:")) || bytes.Contains(head, []byte("\nBcc:")) {
		t.Errorf("%d fields To, or a Cc or Bcc:\n%s", n, head)
	}
}

// Whatever a cell holds, other readers read it as it was.
func TestRenderRoundTrip(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("parola ", 60))
	for _, text := range []string{
		"Rossi", "Rossi, Mario", "Società \"Alfa\" s.r.l.", `Back\slash`, "=?utf-8?Q?=41?=", "=?iso-8859-1?B?QUJD?= =?x?Q?y?=",
		"a=?b?=c", "?=", "due  blanks", "(comment) <angle> [square]", "a:b;c,d", "“virgolette” – è €", "Αθήνα", "北京市", "😀 family 👨‍👩‍👧",
		"é" + "e\u0301", long, strings.Repeat("x", 300), strings.Repeat("è", 300), strings.Repeat("北", 200), "x " + strings.Repeat("y", 80) + " z",
		"Bcc: x", ".", "..", "-", "From ", "--=_mixed_", "'quoted'", "a'b", "100%", "_under_score_", "trailing=", "tab\u00a0nbsp", "{{.nome}}", "<b>&amp;</b>",
	} {
		tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
			c.Subject, c.Text, c.HTML, c.RecipientName = "{{.nome}}", "{{.nome}}", "<p>{{.nome}}</p>", "nome"
		})
		raw := eml(t, tmpl, renderOptions(), rowOf("rossi@pec.beta.example", "nome", text))
		checkBytes(t, raw)
		p := parseWithGoMessage(t, raw)
		want := strings.TrimSpace(text)
		if p.Subject != want || p.To[0].Name != text || p.Text[0] != text+"\r\n" {
			t.Errorf("%q: go-message reads subject %q, name %q, text %q", text, p.Subject, p.To[0].Name, p.Text[0])
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%q: net/mail: %v", text, err)
		}
		if to, err := m.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Name != text || to[0].Address != "rossi@pec.beta.example" {
			t.Errorf("%q: net/mail reads To %v, %v", text, to, err)
		}
		if to, err := pec.ParseMailbox(m.Header.Get("To")); err != nil || to.Name != text {
			t.Errorf("%q: pec reads To %v, %v", text, to, err)
		}
	}
}

func TestRenderFileNames(t *testing.T) {
	for _, name := range []string{
		"lettera.pdf", "lettera 1.pdf", "Società.pdf", "a'b (1) [2] {3} & c, d.pdf", "100%.pdf", `con "virgolette".pdf`, "a;b.pdf", "a:b*c?d|e.pdf",
		"北京.pdf", strings.Repeat("x", 251) + ".pdf", strings.Repeat("è", 125) + ".pdf", "e\u0301.pdf", "due  blanks.pdf", "a_b-c.tar.gz", "senza", ".x", "utf-8''a",
	} {
		tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
			c.Attachments = []dispatch.File{{Name: name, Open: byteFile("x", "content of it").Open}}
		})
		raw := eml(t, tmpl, renderOptions(), rowOf("rossi@pec.beta.example"))
		checkBytes(t, raw)
		p := parseWithGoMessage(t, raw)
		if p.Files[name] != "content of it" {
			t.Errorf("%q: go-message reads files %q", name, p.Files)
		}
	}
}

// Same inputs, same bytes; another Message-ID changes that field and the
// boundaries, and nothing else.
func TestRenderDeterministic(t *testing.T) {
	tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
		c.Text, c.HTML = "Gentile {{.nome}}", "<p>Gentile {{.nome}}</p>"
		c.Attachments = []dispatch.File{byteFile("a.pdf", "x")}
	})
	row := rowOf("rossi@pec.beta.example", "nome", "Forlì")
	first := eml(t, tmpl, renderOptions(), row)
	if second := eml(t, tmpl, renderOptions(), row); !bytes.Equal(first, second) {
		t.Errorf("two messages of one row differ:\n%s\n%s", first, second)
	}
	var other bytes.Buffer
	const otherID = "<zyxwvutsrqponmlkjihgfedcba@pec.alfa.example>"
	if _, err := tmpl.NewRenderer(nil, renderOptions()).WriteMessage(context.Background(), &other, row, otherID); err != nil {
		t.Fatal(err)
	}
	if other.Len() != len(first) {
		t.Errorf("another Message-ID: %d bytes, want %d", other.Len(), len(first))
	}
}

// The pieces are the message, an attachment of all rows is read and stored once,
// and large ones are not held in memory.
func TestRenderBlobs(t *testing.T) {
	large := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(large)
	opened := 0
	shared := dispatch.File{Name: "grande.pdf", Open: func(context.Context) (io.ReadCloser, error) {
		opened++
		return io.NopCloser(bytes.NewReader(large)), nil
	}}
	letters := fstest.MapFS{}
	for i := range 5 {
		letters[fmt.Sprintf("%d.pdf", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "letter %d", i)}
	}
	tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
		c.Attachments = []dispatch.File{shared, byteFile("piccolo.pdf", "x")}
		c.RowAttachments = []dispatch.RowFile{{Column: "lettera", FS: letters}}
	})
	opened = 0
	blobs := &countingBlobs{Blobs: new(memstore.Store)}
	r := tmpl.NewRenderer(blobs, renderOptions())
	for i := range 5 {
		var written bytes.Buffer
		row := rowOf(fmt.Sprintf("r%d@pec.beta.example", i), "lettera", fmt.Sprintf("%d.pdf", i))
		m, err := r.WriteMessage(context.Background(), &written, row, testID)
		if err != nil {
			t.Fatal(err)
		}
		whole := join(t, blobs, m.Content)
		if !bytes.Equal(whole, written.Bytes()) || m.Digest != sha256.Sum256(whole) || m.Size != int64(len(whole)) {
			t.Fatalf("row %d: the pieces, the bytes written, digest and size do not fit one another", i)
		}
		if got := parseWithGoMessage(t, whole).Files; got["grande.pdf"] != string(large) || got[row.Fields["lettera"]] != fmt.Sprintf("letter %d", i) {
			t.Errorf("row %d has other files", i)
		}
		for _, a := range m.Attachments {
			checkEncoded(t, blobs, a)
		}
	}
	if opened != 1 || blobs.puts != 7 {
		t.Errorf("the shared file was opened %d times, and %d blobs were put; want 1 and 7", opened, blobs.puts)
	}
}

// checkEncoded checks the blob of an attachment: base64 as every tool writes it.
func checkEncoded(t *testing.T, blobs dispatch.Blobs, a dispatch.Attached) {
	t.Helper()
	text := string(join(t, blobs, []dispatch.Piece{{Blob: a.Encoded}}))
	file, err := base64.StdEncoding.DecodeString(text)
	if err != nil || sha256.Sum256(file) != a.Digest || int64(len(file)) != a.Size {
		t.Errorf("%s: the blob does not hold the file: %v", a.Name, err)
	}
	lines := strings.Split(text, "\r\n")
	for i, line := range lines {
		if last := i == len(lines)-1; !last && len(line) != 76 || last && (len(line) == 0 || len(line) > 76) {
			t.Errorf("%s: line %d of %d has %d characters", a.Name, i+1, len(lines), len(line))
		}
	}
}

type countingBlobs struct {
	dispatch.Blobs
	puts int
}

func (c *countingBlobs) PutBlob(ctx context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	c.puts++
	return c.Blobs.PutBlob(ctx, r)
}

// join puts pieces together.
func join(t *testing.T, blobs dispatch.Blobs, pieces []dispatch.Piece) []byte {
	t.Helper()
	var whole []byte
	for _, p := range pieces {
		if p.Blob.IsZero() {
			whole = append(whole, p.Bytes...)
			continue
		}
		blob, err := blobs.OpenBlob(context.Background(), p.Blob)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
		if err := errors.Join(err, blob.Close()); err != nil {
			t.Fatal(err)
		}
		if p.Size != 0 && p.Size != int64(len(b)) {
			t.Errorf("a piece says %d bytes and has %d", p.Size, len(b))
		}
		whole = append(whole, b...)
	}
	return whole
}

// Files of any length, around the lengths where lines and buffers end.
func TestRenderLengths(t *testing.T) {
	const buffer = 64 * 57
	for _, n := range []int{1, 2, 3, 56, 57, 58, 113, 114, 115, buffer - 1, buffer, buffer + 1, 2 * buffer, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + buffer} {
		content := strings.Repeat("abcdefghi", n/9+1)[:n]
		tmpl := templateOf(t, func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{byteFile("a.bin", content)} })
		raw := eml(t, tmpl, renderOptions(), rowOf("rossi@pec.beta.example"))
		checkBytes(t, raw)
		if got := parseWithGoMessage(t, raw).Files["a.bin"]; got != content {
			t.Errorf("a file of %d bytes: %d bytes read back", n, len(got))
		}
	}
}

// A store that loses or damages what it is given is found out before anything is
// stored that refers to it.
func TestRenderBadBlobs(t *testing.T) {
	broken := errors.New("disk full")
	for name, content := range map[string]string{"small": "x", "large": strings.Repeat("x", 2<<20)} {
		tmpl := templateOf(t, func(c *dispatch.TemplateConfig) { c.Attachments = []dispatch.File{byteFile("a.pdf", content)} })
		for _, blobs := range []dispatch.Blobs{
			badBlobs{err: broken},
			badBlobs{},
		} {
			m, err := tmpl.NewRenderer(blobs, renderOptions()).Render(context.Background(), rowOf("rossi@pec.beta.example"), testID)
			if m != nil || err == nil || len(faultsOf(err)) > 0 {
				t.Errorf("%s: Render with a broken store = %v, %v; want an error that is no fault of the row", name, m, err)
			}
			if want := blobs.(badBlobs).err; want != nil && !errors.Is(err, want) {
				t.Errorf("%s: Render = %v, want %v wrapped", name, err, want)
			}
		}
	}
}

type badBlobs struct{ err error }

func (b badBlobs) PutBlob(_ context.Context, r io.Reader) (dispatch.Digest, int64, error) {
	n, _ := io.Copy(io.Discard, r)
	return dispatch.Digest{1}, n, b.err
}

func (b badBlobs) OpenBlob(context.Context, dispatch.Digest) (dispatch.Blob, error) {
	return nil, dispatch.ErrNotFound
}

func zipOf(names ...string) string { return zipWith(0, names...) }

// zipWith returns an archive with so many bytes of no meaning and some files.
func zipWith(size int, names ...string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if size > 0 {
		f, _ := w.CreateHeader(&zip.FileHeader{Name: "x.bin", Method: zip.Store})
		f.Write(make([]byte, size))
	}
	for _, name := range names {
		f, _ := w.Create(name)
		io.WriteString(f, strings.Repeat(name, 10))
	}
	w.Close()
	return b.String()
}

// Faults of a row: which, and on which column.
func TestRenderFaults(t *testing.T) {
	broken := errors.New("lettera di Rossi non leggibile")
	folder := fstest.MapFS{
		"uno.pdf": {Data: []byte("x")}, "due.pdf": {Data: []byte("y")}, "vuoto.pdf": {}, "x.exe": {Data: []byte("x")}, "sub/uno.pdf": {Data: []byte("x")},
		"postacert.eml": {Data: []byte("x")}, "a\\b.pdf": {Data: []byte("x")},
		"buono.zip":      {Data: []byte(zipOf("a.pdf", "b/c.txt"))},
		"cattivo.ZIP":    {Data: []byte(zipOf("a.pdf", "b/c.EXE"))},
		"rinominato.zip": {Data: []byte(zipOf("a.exe. "))},
		"grande.zip":     {Data: []byte(zipWith(2<<20, "a.exe"))},
		"guasto.zip":     {Data: []byte("not a zip")},
		"enorme.pdf":     {Data: make([]byte, 3<<20)},
	}
	good := []string{"nome", "Rossi", "lettera", "uno.pdf"}
	for _, c := range []struct {
		name    string
		address string
		cells   []string
		set     func(*dispatch.TemplateConfig)
		opts    func(*dispatch.RenderOptions)
		want    string // code/field of each fault
		rule    error
		reason  string
	}{
		{name: "good", address: "rossi@pec.beta.example", cells: good, reason: "the rest differs from this"},
		{name: "name in the address", address: `"Rossi, Mario" <rossi@pec.beta.example>`, cells: good, reason: "one address"},
		{name: "no address", address: "", cells: good, want: "empty-cell/pec"},
		{name: "no address at all", address: " ; ", cells: good, want: "address/pec"},
		{name: "two addresses", address: "a@pec.it.example; b@pec.it.example", cells: good, want: "several-addresses/pec", reason: "they would see each other"},
		{name: "two by comma", address: "a@pec.it.example,b@pec.it.example", cells: good, want: "several-addresses/pec"},
		{name: "two by blank", address: "a@pec.it.example b@pec.it.example", cells: good, want: "several-addresses/pec"},
		{name: "two by line", address: "a@pec.it.example\nb@pec.it.example", cells: good, want: "several-addresses/pec"},
		{name: "two by slash", address: "a@pec.it.example / b@pec.it.example", cells: good, want: "several-addresses/pec"},
		{name: "the same twice", address: "a@pec.it.example; a@pec.it.example", cells: good, want: "several-addresses/pec"},
		{name: "no domain", address: "rossi", cells: good, want: "address/pec", rule: pec.ErrAddress},
		{name: "international", address: "rossi@forlì.example", cells: good, want: "address/pec", rule: pec.ErrAddress, reason: "PEC is ASCII"},
		{name: "line break in the address", address: "rossi@pec.beta.example\r\nBcc: x", cells: good, want: "address/pec"},
		{name: "mailto", address: "mailto:rossi@pec.beta.example", cells: good, want: "address/pec"},

		{name: "missing cell", address: "rossi@pec.beta.example", cells: []string{"nome", "", "lettera", "uno.pdf"}, want: "empty-cell/nome"},
		{name: "missing column", address: "rossi@pec.beta.example", cells: []string{"lettera", "uno.pdf"}, want: "no-column/nome"},
		{name: "NUL", address: "rossi@pec.beta.example", cells: []string{"nome", "a\x00b", "lettera", "uno.pdf"}, want: "control/nome"},
		{name: "not UTF-8", address: "rossi@pec.beta.example", cells: []string{"nome", "Forl\xec", "lettera", "uno.pdf"}, want: "encoding/nome"},
		{name: "everything", address: "rossi", cells: []string{"nome", "", "lettera", "tre.pdf"}, want: "empty-cell/nome address/pec file-missing/lettera", reason: "all are told"},

		{name: "line break in the subject", address: "rossi@pec.beta.example", cells: []string{"nome", "a\nBcc: x", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.Subject = "{{.nome}}" }, want: "control/nome", reason: "header injection"},
		{name: "line separator in the subject", address: "rossi@pec.beta.example", cells: []string{"nome", "a\u2028b", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.Subject = "{{.nome}}" }, want: "control/nome"},
		{name: "line break from the template", address: "rossi@pec.beta.example", cells: good,
			set: func(c *dispatch.TemplateConfig) { c.Subject = `{{.nome}}{{"\n"}}x` }, want: "subject/"},
		{name: "empty subject", address: "rossi@pec.beta.example", cells: []string{"nome", "", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.Subject, c.Text = "{{if .nome}}x{{end}}", "x" }, want: "subject/"},
		{name: "line break in the name", address: "rossi@pec.beta.example", cells: []string{"nome", "a\r\nb", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.RecipientName = "nome" }, want: "control/nome"},
		{name: "address as name", address: "rossi@pec.beta.example", cells: []string{"nome", "bianchi@pec.gamma.example", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.RecipientName = "nome" }, want: "address/nome", reason: "readers show the name alone"},
		{name: "line break in the text", address: "rossi@pec.beta.example", cells: []string{"nome", "via Po 1\nTorino", "lettera", "uno.pdf"}, reason: "texts have lines"},
		{name: "cut character", address: "rossi@pec.beta.example", cells: []string{"nome", "è", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.Text = "{{slice .nome 0 1}}" }, want: "template/"},
		{name: "out of range", address: "rossi@pec.beta.example", cells: good,
			set: func(c *dispatch.TemplateConfig) { c.Text = "\n{{slice .nome 0 99}}" }, want: "template/"},
		{name: "script as link", address: "rossi@pec.beta.example", cells: []string{"nome", "javascript:alert(1)", "lettera", "uno.pdf"},
			set: func(c *dispatch.TemplateConfig) { c.HTML = `<a href="{{.nome}}">x</a>` }, want: "template/", reason: "html/template writes a mark in its place"},
		{name: "too much text", address: "rossi@pec.beta.example", cells: []string{"nome", strings.Repeat("x", 1<<20), "lettera", "uno.pdf"},
			set:  func(c *dispatch.TemplateConfig) { c.Text = strings.Repeat("{{.nome}}", 31) },
			want: "rule/", rule: pec.ErrTooLarge},

		{name: "no file", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "tre.pdf"}, want: "file-missing/lettera", rule: fs.ErrNotExist},
		{name: "empty file", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "vuoto.pdf"}, want: "file-empty/lettera"},
		{name: "folder", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "sub"}, want: "file/lettera"},
		{name: "sub-folder", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "sub/uno.pdf"}, reason: "a path"},
		{name: "outside", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "../uno.pdf"}, want: "file-name/lettera"},
		{name: "absolute", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "/etc/passwd"}, want: "file-name/lettera"},
		{name: "Windows path", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", `a\b.pdf`}, want: "file-name/lettera"},
		{name: "no cell for a file", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", ""}, want: "empty-cell/lettera"},
		{name: "blocked", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "x.exe"}, want: "rule/", rule: pec.ErrBlockedExtension},
		{name: "good zip", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "buono.zip"}},
		{name: "blocked in zip", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "cattivo.ZIP"}, want: "archive-of-blocked/lettera"},
		{name: "disguised in zip", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "rinominato.zip"}, want: "archive-of-blocked/lettera", reason: "Windows drops dots and blanks at the end"},
		{name: "blocked in a large zip", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "grande.zip"}, want: "archive-of-blocked/lettera"},
		{name: "large zip from a stream", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "grande.zip"},
			set: resolveWith(func(dispatch.Row) (dispatch.File, error) {
				return dispatch.File{Name: "grande.zip", Open: func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(strings.NewReader(zipWith(2<<20, "a.exe")))), nil
				}}, nil
			}), reason: "it can't be looked into, which is a warning"},
		{name: "too large", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "enorme.pdf"},
			opts: func(o *dispatch.RenderOptions) { o.Profile.MaxTotalBytes = 1 << 21 }, want: "rule/lettera", rule: pec.ErrTooLarge},
		{name: "too large once encoded", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "enorme.pdf"},
			opts: func(o *dispatch.RenderOptions) { o.Profile.MaxTotalBytes = 4_300_000 }, want: "rule/", rule: pec.ErrTooLarge, reason: "base64 takes a third more"},
		{name: "one name twice", address: "rossi@pec.beta.example", cells: []string{"nome", "Rossi", "lettera", "uno.pdf", "altra", "sub/uno.pdf"},
			set: func(c *dispatch.TemplateConfig) {
				c.RowAttachments = append(c.RowAttachments, dispatch.RowFile{Column: "altra", FS: folder})
			}, want: "rule/", rule: pec.ErrDuplicateAttachment},
		{name: "resolver without file", address: "rossi@pec.beta.example", cells: good,
			set: resolveWith(func(dispatch.Row) (dispatch.File, error) { return dispatch.File{}, fs.ErrNotExist }), want: "file-missing/lettera"},
		{name: "resolver fails", address: "rossi@pec.beta.example", cells: good,
			set: resolveWith(func(dispatch.Row) (dispatch.File, error) { return dispatch.File{}, broken }), want: "file/lettera", rule: broken},
		{name: "resolver with a bad name", address: "rossi@pec.beta.example", cells: good,
			set: resolveWith(func(dispatch.Row) (dispatch.File, error) { return byteFile("a\nb", "x"), nil }), want: "file-name/lettera"},
		{name: "file fails while read", address: "rossi@pec.beta.example", cells: good,
			set: resolveWith(func(dispatch.Row) (dispatch.File, error) {
				return dispatch.File{Name: "a.pdf", Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(failing{broken}), nil }}, nil
			}), want: "file/lettera", rule: broken},
		{name: "large file fails while read", address: "rossi@pec.beta.example", cells: good,
			set: resolveWith(func(dispatch.Row) (dispatch.File, error) {
				return dispatch.File{Name: "a.pdf", Open: func(context.Context) (io.ReadCloser, error) {
					return io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 2<<20)), failing{broken})), nil
				}}, nil
			}), want: "file/lettera", rule: broken},

		{name: "other sender", address: "rossi@pec.beta.example", cells: good,
			set: func(c *dispatch.TemplateConfig) { c.From.Address = pec.MustParseAddress("altri@pec.gamma.example") }, want: "rule/", rule: pec.ErrAccount},
		{name: "no account", address: "rossi@pec.beta.example", cells: good,
			opts: func(o *dispatch.RenderOptions) { o.Account = pec.Address{} }, want: "rule/"},
		{name: "unknown receipt", address: "rossi@pec.beta.example", cells: good,
			opts: func(o *dispatch.RenderOptions) { o.ReceiptType = "lunga" }, want: "rule/", rule: pec.ErrReceiptType},
		{name: "injected receipt", address: "rossi@pec.beta.example", cells: good,
			opts: func(o *dispatch.RenderOptions) { o.ReceiptType = "breve\r\nX: y" }, want: "rule/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl := templateOf(t, func(cfg *dispatch.TemplateConfig) {
				cfg.Text = "Gentile {{.nome}}"
				cfg.RowAttachments = []dispatch.RowFile{{Column: "lettera", FS: folder}}
				if c.set != nil {
					c.set(cfg)
				}
			})
			opts := renderOptions()
			opts.Profile.BlockedExtensions = []string{".exe"}
			if c.opts != nil {
				c.opts(&opts)
			}
			m, err := tmpl.NewRenderer(nil, opts).Render(context.Background(), rowOf(c.address, c.cells...), testID)
			var got []string
			for _, f := range faultsOf(err) {
				got = append(got, string(f.Code)+"/"+f.Field)
				if f.Line != 7 {
					t.Errorf("fault on line %d, want 7: %v", f.Line, f)
				}
				if text := f.Error(); strings.Contains(text, "beta.example") || strings.Contains(text, ".pdf") || strings.Contains(text, "Rossi") {
					t.Errorf("the text of the fault quotes the row: %s", text)
				}
			}
			if strings.Join(got, " ") != c.want || (m == nil) != (c.want != "") || err != nil && len(got) == 0 {
				t.Errorf("Render = %v, faults %q, error %v; want %q (%s)", m, got, err, c.want, c.reason)
			}
			if c.rule != nil && !errors.Is(err, c.rule) {
				t.Errorf("Render: %v, want %v wrapped", err, c.rule)
			}
		})
	}
}

func resolveWith(f func(dispatch.Row) (dispatch.File, error)) func(*dispatch.TemplateConfig) {
	return func(c *dispatch.TemplateConfig) {
		c.RowAttachments = []dispatch.RowFile{{Column: "lettera", Resolve: func(_ context.Context, row dispatch.Row) (dispatch.File, error) { return f(row) }}}
	}
}

func TestRenderWarnings(t *testing.T) {
	tmpl := templateOf(t, func(c *dispatch.TemplateConfig) {
		c.Subject = strings.Repeat("x", 256)
		c.Attachments = []dispatch.File{byteFile("postacert.eml", "x"), byteFile("guasto.zip", "x")}
	})
	opts := renderOptions()
	opts.Profile.BlockedExtensions = []string{".exe"}
	m, err := tmpl.NewRenderer(nil, opts).Render(context.Background(), rowOf("rossi@pec.beta.example"), testID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range m.Warnings {
		got = append(got, string(w.Code))
	}
	if want := []string{"archive", "receivers", "receivers"}; !slices.Equal(got, want) {
		t.Errorf("warnings %v = %q, want %q", m.Warnings, got, want)
	}
}

// What is not about the row is no fault of it.
func TestRenderRefused(t *testing.T) {
	tmpl := templateOf(t, nil)
	row := rowOf("rossi@pec.beta.example")
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tmpl.NewRenderer(nil, renderOptions()).Render(canceled, row, testID); !errors.Is(err, context.Canceled) {
		t.Errorf("Render with a canceled context: %v", err)
	}
	opts := renderOptions()
	opts.Date = time.Time{}
	if _, err := tmpl.NewRenderer(nil, opts).Render(context.Background(), row, testID); err == nil || len(faultsOf(err)) > 0 {
		t.Errorf("Render without a Date: %v, want an error", err)
	}
	for _, id := range []string{"", "x", "<a@b>\r\nX-Ricevuta: accettazione", "<a@b>\r\nSubject: x", "<a@b>\r\nX-Other: y"} {
		if _, err := tmpl.NewRenderer(nil, renderOptions()).Render(context.Background(), row, id); err == nil {
			t.Errorf("Render with Message-ID %q: no error", id)
		}
	}
	broken := errors.New("pipe broken")
	if _, err := tmpl.NewRenderer(nil, renderOptions()).WriteMessage(context.Background(), failingWriter{broken}, row, testID); !errors.Is(err, broken) {
		t.Errorf("WriteMessage to a broken writer: %v", err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

// FuzzRender: whatever the cells hold, a row gives a message that every reader
// reads as it was meant, or a fault.
func FuzzRender(f *testing.F) {
	f.Add("Rossi, Mario", "via Po 1\r\nTorino", "lettera.pdf", "rossi@pec.beta.example")
	f.Add("=?utf-8?Q?a?=", "=\n.\nFrom x", "Società  1.pdf", "Rossi <rossi@pec.beta.example>")
	f.Add("北京 \"x\" <y>", "--=_mixed_\n", "a\u202eb", "a@b.example; c@d.example")
	f.Add("a\r\nBcc: x@y.example", "\x00", "../x", "\"")
	tmpl := templateOf(f, func(c *dispatch.TemplateConfig) {
		c.Subject, c.Text, c.HTML, c.RecipientName = "N. {{.nome}}", "Gentile\n{{.testo}}", "<p title=\"{{.nome}}\">{{.testo}}</p>", "nome"
		c.RowAttachments = []dispatch.RowFile{{Column: "file", Resolve: func(_ context.Context, row dispatch.Row) (dispatch.File, error) {
			return dispatch.File{Name: row.Fields["file"], Open: byteFile("x", row.Fields["testo"]).Open}, nil
		}}}
	})
	f.Fuzz(func(t *testing.T, name, text, file, address string) {
		row := rowOf(address, "nome", name, "testo", text, "file", file)
		var b bytes.Buffer
		m, err := tmpl.NewRenderer(nil, renderOptions()).WriteMessage(context.Background(), &b, row, testID)
		if err != nil {
			if len(faultsOf(err)) == 0 {
				t.Fatalf("an error that is no fault: %v", err)
			}
			return
		}
		checkBytes(t, b.Bytes())
		envelope, err := pec.ReadEnvelope(bytes.NewReader(b.Bytes()), pec.EnvelopeOptions{Account: account})
		if err != nil || len(envelope.Recipients()) != 1 || !envelope.To[0].Equal(m.Recipient) || !envelope.From.Equal(account) {
			t.Fatalf("ReadEnvelope = %+v, %v\n%s", envelope, err, b.Bytes())
		}
		p := parseWithGoMessage(t, b.Bytes())
		if want := strings.TrimSpace("N. " + name); p.Subject != want || envelope.Subject != want {
			t.Errorf("subject %q and %q, want %q", p.Subject, envelope.Subject, want)
		}
		if len(p.To) != 1 || p.To[0].Address != m.Recipient.String() || strings.Join(strings.Fields(p.To[0].Name), " ") != strings.Join(strings.Fields(name), " ") {
			t.Errorf("To %v, want %q", p.To, name)
		}
		lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace("Gentile\n" + text)
		if want := strings.ReplaceAll(strings.TrimRight(lines, "\n")+"\n", "\n", "\r\n"); p.Text[0] != want {
			t.Errorf("text %q, want %q", p.Text[0], want)
		}
		if len(p.Files) != 1 || p.Files[file] != text {
			t.Errorf("files %q, want %q with %q", p.Files, file, text)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	for _, c := range []struct {
		name string
		size int
	}{{"no attachment", 0}, {"shared 100 kB", 100_000}, {"shared 5 MB", 5_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			tmpl := templateOf(b, func(cfg *dispatch.TemplateConfig) {
				cfg.Subject = "Sollecito n. {{.numero}}: modalità di pagamento"
				cfg.Text = "Gentile {{.nome}},\n\n" + strings.Repeat("è dovuto l'importo di € {{.numero}}. ", 20)
				if c.size > 0 {
					cfg.Attachments = []dispatch.File{byteFile("a.pdf", strings.Repeat("x", c.size))}
				}
			})
			r := tmpl.NewRenderer(new(memstore.Store), renderOptions())
			row := rowOf("rossi@pec.beta.example", "nome", "Società Rossi", "numero", "17")
			b.ReportAllocs()
			for b.Loop() {
				m, err := r.Render(context.Background(), row, testID)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(m.Size)
			}
		})
	}
}
