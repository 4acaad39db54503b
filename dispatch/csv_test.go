package dispatch_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/ceralacca/go-pec/dispatch"
)

// tableOf returns a CSV that reads a text.
func tableOf(text string) dispatch.CSV {
	return dispatch.CSV{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// readTable returns the rows of a table as "line: field=cell|..." and its faults.
func readTable(t testing.TB, c dispatch.CSV) (rows, faults []string) {
	t.Helper()
	for row, err := range c.Rows() {
		var fault *dispatch.RowError
		switch {
		case errors.As(err, &fault):
			faults = append(faults, fmt.Sprintf("%s %d:%d", fault.Code, fault.Line, fault.Column))
		case err != nil:
			t.Fatalf("Rows: %v", err)
		default:
			var cells []string
			for _, name := range slices.Sorted(maps.Keys(row.Fields)) {
				cells = append(cells, name+"="+row.Fields[name])
			}
			rows = append(rows, fmt.Sprintf("%d: %s", row.Line, strings.Join(cells, "|")))
		}
	}
	return rows, faults
}

func windows1252(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '€':
			r = 0x80
		case '’':
			r = 0x92
		}
		b.WriteByte(byte(r))
	}
	return b.String()
}

func utf16LE(s string) string {
	b := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func utf16BE(s string) string {
	b := []byte("\xfe\xff")
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return string(b)
}

var csvCases = []struct {
	name, text   string
	rows, faults []string
	reason       string
}{
	{"semicolons", "pec;nome\r\na@b.example;Rossi\r\n", []string{"2: nome=Rossi|pec=a@b.example"}, nil, "what Excel writes in Italy"},
	{"commas", "pec,nome\na@b.example,Rossi\n", []string{"2: nome=Rossi|pec=a@b.example"}, nil, "what the rest of the world writes"},
	{"tabs", "pec\tnome\na@b.example\tRossi; Bianchi, Verdi\n", []string{"2: nome=Rossi; Bianchi, Verdi|pec=a@b.example"}, nil, "pasted from a spreadsheet"},
	{"separator in a quoted heading", "\"nome; cognome, titolo; e, altro\",pec\nx,a@b.example\n", []string{"2: nome_cognome_titolo_e_altro=x|pec=a@b.example"}, nil, "quotes hide separators"},
	{"sep line", "sep=,\npec,n;o;t;e\na@b.example,x\n", []string{"3: n_o_t_e=x|pec=a@b.example"}, nil, "Excel obeys it"},
	{"one column", "pec\na@b.example\n", []string{"2: pec=a@b.example"}, nil, "nothing to separate"},
	{"no final line end", "a;b\n1;2", []string{"2: a=1|b=2"}, nil, "editors leave it out"},
	{"quotes", "a;b\n\"x;\"\"y\"\"\";z\n", []string{`2: a=x;"y"|b=z`}, nil, "RFC 4180"},
	{"quote within", "a;b\nSocietà \"Alfa\" srl;z\n", []string{`2: a=Società "Alfa" srl|b=z`}, nil, "typed by hand; it can mean one thing only"},
	{"blank after a quoted cell", "a;b\n\"x\" ;z\n", []string{"2: a=x|b=z"}, nil, "harmless"},
	{"line break in quotes", "a;b\n\"via Po 1\r\n10100 Torino\";z\nx;y\n", []string{"2: a=via Po 1\n10100 Torino|b=z", "4: a=x|b=y"}, nil, "addresses over several lines"},
	{"CR in quotes", "a;b\n\"x\ry\r\";z\n", []string{"2: a=x\ny|b=z"}, nil, "a line break too"},
	{"trailing columns", "a;b;;\n1;2;;\n3;4\n5;6;;;;\n", []string{"2: a=1|b=2", "3: a=3|b=4", "4: a=5|b=6"}, nil, "cells that were used once"},
	{"blank lines", "\n;;\na;b\n\n1;2\n;;\n   \n3;4\n", []string{"5: a=1|b=2", "8: a=3|b=4"}, nil, "spreadsheets write rows that look empty"},
	{"white space", " a ; b \n  1\u00a0;\t2 \n", []string{"2: a=1|b=2"}, nil, "nobody sees it in a spreadsheet"},
	{"headings", "Codice Fiscale;Città;N. civico;2° nome;Importo (€)\n1;2;3;4;5\n", []string{"2: _2_nome=4|città=2|codice_fiscale=1|importo=5|n_civico=3"}, nil, "templates can spell them"},
	{"decomposed heading", "Citta\u0300;e\u0301\n1;2\n", []string{"2: citta=1|e=2"}, nil, "templates can't spell marks"},
	{"UTF-8 with BOM", "\ufeffpec;città\nx;Forlì\n", []string{"2: città=Forlì|pec=x"}, nil, "CSV UTF-8 in Excel"},
	{"Windows-1252", windows1252("pec;città\nx;Forlì € l’ora\n"), []string{"2: città=Forlì € l’ora|pec=x"}, nil, "CSV in Excel"},
	{"UTF-16 LE", utf16LE("pec\tcittà\r\nx\tForlì 😀\r\n"), []string{"2: città=Forlì 😀|pec=x"}, nil, "Unicode text in Excel"},
	{"UTF-16 BE", utf16BE("pec;città\nx;Forlì\n"), []string{"2: città=Forlì|pec=x"}, nil, "the other order"},

	{"nothing", "", nil, []string{"header 1:0"}, "no file that anybody meant"},
	{"blank lines only", "\n;;\n", nil, []string{"header 1:0"}, "the same"},
	{"only headings", "a;b\n", nil, nil, "no rows: preflight says so"},
	{"empty heading", "a;;b\n1;2;3\n", nil, []string{"header 1:2"}, "the column has no name"},
	{"heading without letters", "a;--\n1;2\n", nil, []string{"header 1:2"}, "the same"},
	{"doubled heading", "Nome;pec; NOME \n1;2;3\n", nil, []string{"header 1:3"}, "which one is meant?"},
	{"no headings", "a@b.example;Rossi\nc@d.example;Verdi\n", nil, []string{"header 1:1"}, "the first row is data"},
	{"separators tie", "a;b,c\n1;2,3\n", nil, []string{"header 1:0"}, "either could be meant"},
	{"too few cells", "a;b;c\n1;2\n1;2;3\n", []string{"3: a=1|b=2|c=3"}, []string{"cells 2:3"}, "the others are read"},
	{"too many cells", "a;b\n1;2;3\n1;2\n", []string{"3: a=1|b=2"}, []string{"cells 2:3"}, "an unquoted separator shifts what follows"},
	{"text after a quote", "a;b\n\"x\"y;2\n1;2\n", []string{"3: a=1|b=2"}, []string{"syntax 2:1"}, "a quote that was not doubled"},
	{"quote never closed", "a;b\n1;\"x\n2;y\n3;z\n", []string{"3: a=2|b=y", "4: a=3|b=z"}, []string{"syntax 2:2"}, "the rows after it are rows"},
	{"quote never closed, twice", "a;b\n1;\"x\"\"\n2;y\n3;z\n", []string{"3: a=2|b=y", "4: a=3|b=z"}, []string{"syntax 2:2"}, "a doubled quote closes nothing"},
	{"CR only", "a;b\r1;2\r", nil, []string{"syntax 1:2"}, "one line, to everybody else"},
	{"NUL", "a;b\n1;x\x00y\n1;2\n", []string{"3: a=1|b=2"}, []string{"control 2:2"}, "no text has one"},
	{"lost character", "a;b\n1;Forl\ufffd\n1;2\n", []string{"3: a=1|b=2"}, []string{"encoding 2:2"}, "the name is wrong already"},
	{"both encodings", "a;b\n1;Forlì\n2;Forl\xec\n3;x\n", []string{"2: a=1|b=Forlì", "4: a=3|b=x"}, []string{"encoding 3:2"}, "to guess would write wrong names"},
	{"BOM and other bytes", "\ufeffa;b\n2;Forl\xec\n3;x\n", []string{"3: a=3|b=x"}, []string{"encoding 2:2"}, "it says that it is UTF-8"},
	{"undefined byte", "a;b\n1;\x81\n3;x\n", []string{"3: a=3|b=x"}, []string{"encoding 2:2"}, "not Windows-1252 either"},
	{"several faults", "a;b\n\x00;\x00\n3;x\n", []string{"3: a=3|b=x"}, []string{"control 2:1", "control 2:2"}, "all of a row are told"},
}

func TestCSV(t *testing.T) {
	for _, c := range csvCases {
		t.Run(c.name, func(t *testing.T) {
			for pass := range 2 {
				rows, faults := readTable(t, tableOf(c.text))
				if !slices.Equal(rows, c.rows) || !slices.Equal(faults, c.faults) {
					t.Errorf("Rows of %q, pass %d = %q, faults %q; want %q, %q (%s)", c.text, pass+1, rows, faults, c.rows, c.faults, c.reason)
				}
			}
		})
	}
}

func TestCSVOptions(t *testing.T) {
	for _, c := range []struct {
		name         string
		table        dispatch.CSV
		set          func(*dispatch.CSV)
		rows, faults []string
	}{
		{"separator", tableOf("a,b;c\n1,2;3\n"), func(c *dispatch.CSV) { c.Separator = ';' }, []string{"2: a_b=1,2|c=3"}, nil},
		{"renamed", tableOf("Indirizzo PEC;Rag. Soc.\nx;y\n"), func(c *dispatch.CSV) {
			c.Columns = map[string]string{"INDIRIZZO pec": "pec", "rag soc": "Nome"}
		}, []string{"2: nome=y|pec=x"}, nil},
		{"renamed in a circle", tableOf("a;b\nx;y\n"), func(c *dispatch.CSV) {
			c.Columns = map[string]string{"a": "b", "b": "a"}
		}, []string{"2: a=y|b=x"}, nil},
		{"renamed onto another", tableOf("a;b\nx;y\n"), func(c *dispatch.CSV) { c.Columns = map[string]string{"a": "b"} }, nil, []string{"header 1:2"}},
		{"renamed and not there", tableOf("a;b\nx;y\n"), func(c *dispatch.CSV) { c.Columns = map[string]string{"c": "d"} }, nil, []string{"header 1:0"}},
		{"strictly UTF-8", tableOf("a;b\n1;Forl\xec\n2;x\n"), func(c *dispatch.CSV) { c.Charset = dispatch.CharsetUTF8 }, []string{"3: a=2|b=x"}, []string{"encoding 2:2"}},
		{"Windows-1252 for certain", tableOf("a;b\n1;PERCH\xc8\x92\n"), func(c *dispatch.CSV) { c.Charset = dispatch.CharsetWindows1252 }, []string{"2: a=1|b=PERCHÈ’"}, nil},
		{"long cell", tableOf("a;b\n1;123456789\n\"12345678\n9\";2\n3;12345678\n"), func(c *dispatch.CSV) { c.MaxCell = 8 }, []string{"5: a=3|b=12345678"}, []string{"too-long 2:2", "too-long 3:1"}},
		{"long row", tableOf("a;b\n1;" + strings.Repeat("x", 100) + "\n2;y\n"), func(c *dispatch.CSV) { c.MaxRow = 50 }, []string{"3: a=2|b=y"}, []string{"too-long 2:0"}},
		{"long row in quotes", tableOf("a;b\n1;\"" + strings.Repeat("x\n", 40) + "\"\n2;y\n"), func(c *dispatch.CSV) { c.MaxRow = 50 }, []string{"43: a=2|b=y"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.set(&c.table)
			rows, faults := readTable(t, c.table)
			if c.name == "long row in quotes" {
				// What the quote held is read as rows, each a fault of its own.
				if len(faults) < 41 || faults[0] != "syntax 2:2" {
					t.Errorf("faults = %q, want the quote and each line after it", faults)
				}
				faults = nil
			}
			if !slices.Equal(rows, c.rows) || !slices.Equal(faults, c.faults) {
				t.Errorf("Rows = %q, faults %q; want %q, %q", rows, faults, c.rows, c.faults)
			}
		})
	}
}

// Faults say where they are, and nothing of what is there.
func TestCSVFaultText(t *testing.T) {
	for row, err := range tableOf("pec;Nome e Cognome\nrossi@pec.alfa.example;\"Rossi\" Mario\n").Rows() {
		want := `dispatch: line 2, column 2, "nome_e_cognome": the row can't be read: text after the quote that ends the cell`
		if fmt.Sprint(err) != want || row.Line != 2 || row.Fields != nil {
			t.Errorf("Rows yields %v, %v; want line 2 and %q", row, err, want)
		}
	}
}

func TestCSVReaderErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"open": func() (io.ReadCloser, error) { return nil, broken },
		"read": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("a;b\n1;2\n3;"), failing{broken})), nil
		},
	} {
		for _, charset := range []dispatch.Charset{"", dispatch.CharsetUTF8} {
			var last error
			for _, err := range (dispatch.CSV{Open: open, Charset: charset}).Rows() {
				if last != nil {
					t.Errorf("%s: Rows goes on after %v", name, last)
				}
				last = err
			}
			if !errors.Is(last, broken) {
				t.Errorf("%s, charset %q: the last error is %v, want %v", name, charset, last, broken)
			}
		}
	}
	for _, err := range (dispatch.CSV{Open: tableOf("a").Open, Charset: "latin"}).Rows() {
		if err == nil {
			t.Error("Rows with an unknown charset: no error")
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A loop over rows may end early, and the file is closed.
func TestCSVStops(t *testing.T) {
	open := 0
	c := dispatch.CSV{Open: func() (io.ReadCloser, error) {
		open++
		return &closing{strings.NewReader("a\n1\n2\n"), &open}, nil
	}}
	for range c.Rows() {
		break
	}
	if open != 0 {
		t.Errorf("%d files are open after the loop", open)
	}
}

type closing struct {
	io.Reader
	open *int
}

func (c *closing) Close() error { *c.open--; return nil }

// Reading needs the same memory for any number of rows, and so does a quote that
// is never closed.
func TestCSVMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	for name, text := range map[string]func(n int) string{
		"rows":  func(n int) string { return "a;b\n" + strings.Repeat("rossi@pec.alfa.example;Rossi\n", n) },
		"quote": func(n int) string { return "a;b\n1;\"" + strings.Repeat("rossi@pec.alfa.example;Rossi\n", n) },
	} {
		whole := text(200_000)
		heap := func() (most uint64) {
			n := 0
			for range tableOf(whole).Rows() {
				if n++; n%20_000 == 0 {
					most = max(most, heapInUse())
				}
			}
			return most
		}
		before := heapInUse()
		if grown := int64(heap()) - int64(before); grown > 2<<20 {
			t.Errorf("%s: %d bytes in use while reading %d, want at most 2 MiB", name, grown, len(whole))
		}
	}
}

// The charset is found out in pieces, and a character may lie across two.
func TestCSVCharsetAcrossPieces(t *testing.T) {
	for shift := range 4 {
		text := "a;b\n" + strings.Repeat("x", shift) + strings.Repeat("è€😀", 20_000) + "\n1;2\n"
		c := tableOf(text)
		c.MaxCell, c.MaxRow = 1<<20, 1<<20
		if _, faults := readTable(t, c); !slices.Equal(faults, []string{"cells 2:2"}) {
			t.Errorf("shift %d: faults %q: not read as UTF-8", shift, faults)
		}
	}
}

// In a table where every line leaves a quote open, each would have the lines
// after it read again. After some, they are not.
func TestCSVQuotesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("large")
	}
	const lines = 50_000
	_, faults := readTable(t, tableOf("a;b\n"+strings.Repeat("x\";\"y\n", lines)))
	if most := 100 + 6*lines/(256<<10) + 2; len(faults) > most || len(faults) < 100 {
		t.Errorf("%d faults in %d lines, want from 100 to %d", len(faults), lines, most)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// FuzzCSV: any bytes are read to their end, the same each time, with cells that
// are text and within limits.
func FuzzCSV(f *testing.F) {
	for _, c := range csvCases {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := tableOf(string(b))
		c.MaxCell, c.MaxRow = 100, 300
		rows, faults := readTable(t, c)
		again, faultsAgain := readTable(t, c)
		if !slices.Equal(rows, again) || !slices.Equal(faults, faultsAgain) {
			t.Errorf("two passes differ: %q, %q and %q, %q", rows, faults, again, faultsAgain)
		}
		for row, err := range c.Rows() {
			if err == nil && row.Line < 2 || row.Line < 1 {
				t.Errorf("a row on line %d", row.Line)
			}
			for name, cell := range row.Fields {
				if name != dispatch.FieldName(name) || name == "" {
					t.Errorf("FieldName(%q) = %q: not its own name", name, dispatch.FieldName(name))
				}
				if !utf8.ValidString(cell) || strings.ContainsAny(cell, "\x00\ufffd") || cell != strings.TrimSpace(cell) || len(cell) > 3*c.MaxCell {
					t.Errorf("cell %q", cell)
				}
			}
		}
	})
}

// FuzzCSVRoundTrip: what a spreadsheet writes is read as it was.
func FuzzCSVRoundTrip(f *testing.F) {
	f.Add("Rossi", "via Po 1\n10100 Torino", "1;2,3")
	f.Add(`"`, `""`, `a"b`)
	f.Add("", "è", "€")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		cells := []string{strings.TrimSpace(a), strings.TrimSpace(b), strings.TrimSpace(c)}
		all := strings.Join(cells, "")
		if all == "" || !slices.Equal(cells, validAll(cells)) || strings.ContainsAny(all, "\x00\r\ufffd") || len(all) > 10_000 {
			t.Skip("not what a spreadsheet holds")
		}
		text := "\ufeffa;b;c\n"
		for i, cell := range cells {
			if i > 0 {
				text += ";"
			}
			text += `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		table := tableOf(strings.ReplaceAll(text+"\n", "\n", "\r\n"))
		var got []string
		for row, err := range table.Rows() {
			if err != nil {
				t.Fatalf("Rows of %q: %v", text, err)
			}
			got = append(got, row.Fields["a"], row.Fields["b"], row.Fields["c"])
		}
		if !slices.Equal(got, cells) {
			t.Errorf("Rows of %q = %q, want %q", text, got, cells)
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	text := "pec;nome;indirizzo;numero\r\n" + strings.Repeat("rossi@pec.alfa.example;\"Rossi, Mario\";via Po 1;17\r\n", 10_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		for _, err := range tableOf(text).Rows() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func ExampleCSV() {
	files := fstest.MapFS{"clienti.csv": {Data: []byte("\ufeffIndirizzo PEC;Ragione sociale\r\n" +
		"studio@pec.alfa.example;\"Alfa; consulenze\"\r\n" +
		"Beta srl\r\n" +
		"info@pec.gamma.example;Gamma\r\n")}}
	table := dispatch.OpenCSV(files, "clienti.csv")
	table.Columns = map[string]string{"indirizzo pec": "pec"}
	for row, err := range table.Rows() {
		var fault *dispatch.RowError
		if errors.As(err, &fault) {
			fmt.Println(fault)
			continue
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		fmt.Println(row.Line, row.Fields["pec"], row.Fields["ragione_sociale"])
	}
	// Output:
	// 2 studio@pec.alfa.example Alfa; consulenze
	// dispatch: line 3, column 2: the number of cells is not that of the columns: 1, and 2 columns
	// 4 info@pec.gamma.example Gamma
}

func ExampleFieldName() {
	fmt.Println(dispatch.FieldName(" Codice Fiscale"), dispatch.FieldName("CODICE-FISCALE:"), dispatch.FieldName("2° nome"))
	// Output: codice_fiscale codice_fiscale _2_nome
}

func validAll(cells []string) []string {
	valid := make([]string, len(cells))
	for i, cell := range cells {
		valid[i] = strings.ToValidUTF8(cell, "")
	}
	return valid
}
