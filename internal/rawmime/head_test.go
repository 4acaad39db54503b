package rawmime_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/limit"
	"github.com/ceralacca/go-pec/internal/rawmime"
)

// headCases are heads; want is "name|value|line" of each field.
var headCases = []struct {
	name, head string
	want       []string
	err        error
	reason     string
}{
	{"two fields", "A: 1\r\nB: 2\r\n\r\n", []string{"A|1|1", "B|2|2"}, nil, "the normal case"},
	{"LF", "A: 1\nB: 2\n\n", []string{"A|1|1", "B|2|2"}, nil, "as mail stores keep it"},
	{"no empty line", "A: 1\r\nB: 2", []string{"A|1|1", "B|2|2"}, nil, "a head may be given without it"},
	{"what follows the empty line", "A: 1\r\n\r\nnot a field\n\r", []string{"A|1|1"}, nil, "it is not the head"},
	{"nothing", "", nil, nil, "no field at all"},
	{"empty line only", "\r\n", nil, nil, "no field at all"},
	{"folded", "A: 1\r\n 2\r\n\t3  \r\nB:\r\n 4\r\n", []string{"A|1 2 3|1", "B|4|4"}, nil, "a fold is one blank"},
	{"white space around", "A:\t 1 2 \t\r\n", []string{"A|1 2|1"}, nil, "none belongs to the value"},
	{"no value", "A:\r\n", []string{"A||1"}, nil, "that is a field"},
	{"colons", "A:b:c\r\n", []string{"A|b:c|1"}, nil, "the first colon counts"},
	{"8 bits", "A: à\xff\r\n", []string{"A|à\xff|1"}, nil, "values are bytes"},
	{"any printable name", "!#$%&'*+-.^_`|~09AZaz{}(): 1\r\n", []string{"!#$%&'*+-.^_`|~09AZaz{}()|1|1"}, nil, "RFC 5322, section 2.2"},

	{"space before the colon", "A : 1\r\n", nil, rawmime.ErrHeadSyntax, "one reader takes the field, another does not"},
	{"tab before the colon", "A\t: 1\r\n", nil, rawmime.ErrHeadSyntax, "the same"},
	{"8-bit name", "À: 1\r\n", nil, rawmime.ErrHeadSyntax, "names are ASCII"},
	{"DEL in a name", "A\x7f: 1\r\n", nil, rawmime.ErrHeadSyntax, "names are printable"},
	{"no name", ": 1\r\n", nil, rawmime.ErrHeadSyntax, "readers drop it or stop there"},
	{"no colon", "A: 1\r\nBCD\r\n", nil, rawmime.ErrHeadSyntax, "readers drop it or stop there"},
	{"envelope line", "From a@b Mon Jan  1 00:00:00 2026\nA: 1\n", nil, rawmime.ErrHeadSyntax, "of a mailbox file, not of a message"},
	{"fold before the first field", " 1\r\nA: 1\r\n", nil, rawmime.ErrHeadSyntax, "it folds nothing"},
	{"NUL in a value", "A: 1\x002\r\n", nil, rawmime.ErrHeadNUL, "it ends the value for some readers"},
	{"NUL in a fold", "A: 1\r\n 2\x00\r\n", nil, rawmime.ErrHeadNUL, "the same"},
	{"CR in a value", "A: 1\rB: 2\r\n", nil, rawmime.ErrHeadLineEnds, "two fields for some readers"},
	{"CR CR LF", "A: 1\r\r\n", nil, rawmime.ErrHeadLineEnds, "an empty line for some readers"},
	{"CR at the end", "A: 1\r", nil, rawmime.ErrHeadLineEnds, "half of a line end"},
	{"LF after CRLF", "A: 1\r\nB: 2\n\r\n", nil, rawmime.ErrHeadLineEnds, "mixed"},
	{"CRLF after LF", "A: 1\nB: 2\r\n\n", nil, rawmime.ErrHeadLineEnds, "mixed"},
	{"LF for the empty line", "A: 1\r\n\nB: 2\r\n", nil, rawmime.ErrHeadLineEnds, "the head ends here for some readers"},
	{"blanks only", "A: 1\r\n \r\nB: 2\r\n", nil, rawmime.ErrBlankLine, "the head ends here for some readers"},
	{"tab only", "A: 1\r\n\t\r\nB: 2\r\n", nil, rawmime.ErrBlankLine, "the same"},
	{"form feed only", "A: 1\r\n \f\v\r\nB: 2\r\n", nil, rawmime.ErrBlankLine, "the same, in C"},
	{"blanks at the end", "A: 1\r\n  ", nil, rawmime.ErrBlankLine, "the same"},
	{"100 bytes", "A: " + strings.Repeat("x", 95) + "\r\n", []string{"A|" + strings.Repeat("x", 95) + "|1"}, nil, "as many as allowed"},
	{"101 bytes", "A: " + strings.Repeat("x", 96) + "\r\n", nil, rawmime.ErrHeadTooLong, "one more"},
	{"10 lines", strings.Repeat("A: 1\n", 10) + "\n", strings.Split(strings.Repeat("A|1|%d,", 9)+"A|1|%d", ","), nil, "as many as allowed"},
	{"11 lines", strings.Repeat("A: 1\n", 11), nil, rawmime.ErrHeadTooLong, "one more"},
	{"11 lines, folded", "A: 1\n" + strings.Repeat(" 2\n", 10), nil, rawmime.ErrHeadTooLong, "folds are lines too"},
}

var smallHead = rawmime.HeadLimits{Bytes: 100, Lines: 10}

func TestParseHead(t *testing.T) {
	for _, c := range headCases {
		t.Run(c.name, func(t *testing.T) {
			head, err := rawmime.ParseHead([]byte(c.head), smallHead)
			if !errors.Is(err, c.err) {
				t.Fatalf("ParseHead(%q): err = %v, want %v (%s)", c.head, err, c.err, c.reason)
			}
			if err != nil {
				var typed *rawmime.HeadError
				if !errors.As(err, &typed) || head != nil {
					t.Errorf("ParseHead(%q) = %v, %T, want nil and a *HeadError", c.head, head, err)
				}
				return
			}
			var got []string
			for _, f := range head.Fields {
				got = append(got, fmt.Sprintf("%s|%s|%d", f.Name, f.Value, f.Line))
			}
			var want []string
			for i, w := range c.want {
				want = append(want, strings.ReplaceAll(w, "%d", fmt.Sprint(i+1)))
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("ParseHead(%q) = %q, want %q (%s)", c.head, got, want, c.reason)
			}
		})
	}
}

func TestHeadErrorSaysWhere(t *testing.T) {
	_, err := rawmime.ParseHead([]byte("A: 1\r\nB: 2\r\n C\r\nD : 3\r\n"), rawmime.HeadLimits{})
	if got, want := fmt.Sprint(err), "head, line 4: not a header field: byte 0x20 in a field name"; got != want {
		t.Errorf("error = %q, want %q", got, want)
	}
	_, err = rawmime.ParseHead(make([]byte, 101), smallHead)
	if got, want := fmt.Sprint(err), "head: head too long: more than 100 bytes of a head"; got != want {
		t.Errorf("error = %q, want %q", got, want)
	}
	var passed *limit.Error
	if !errors.As(err, &passed) || passed.Max != 100 {
		t.Errorf("error %v holds %+v, want the limit of 100", err, passed)
	}
}

func TestHeadFields(t *testing.T) {
	head, err := rawmime.ParseHead([]byte("Received: 1\nSubject: s\nreceived: 2\n"), rawmime.HeadLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(head.Values("RECEIVED")), "[1 2]"; got != want {
		t.Errorf("Values = %s, want %s", got, want)
	}
	if got := head.Count("Received"); got != 2 {
		t.Errorf("Count = %d, want 2", got)
	}
	if got := head.Get("rEceived"); got != "1" {
		t.Errorf("Get = %q, want the first", got)
	}
	if got := head.Get("none"); got != "" {
		t.Errorf("Get of a field that is not there = %q", got)
	}
	for name, want := range map[string]error{"Received": rawmime.ErrRepeated, "Subject": nil, "none": nil} {
		value, err := head.Single(name)
		if !errors.Is(err, want) {
			t.Errorf("Single(%q) = %q, %v, want %v", name, value, err, want)
		}
	}
}

// A field of many folds costs as much as its length, not its square.
func TestFoldedHeadCost(t *testing.T) {
	head := []byte("A: 1\n" + strings.Repeat(" "+strings.Repeat("x", 130)+"\n", 1900))
	var err error
	allocated := allocatedBytes(func() { _, err = rawmime.ParseHead(head, rawmime.HeadLimits{}) })
	if err != nil {
		t.Fatal(err)
	}
	if limit := uint64(10 * len(head)); allocated > limit {
		t.Errorf("%d bytes allocated for a head of %d, want at most %d", allocated, len(head), limit)
	}
}

// The collector finds the end of the head wherever the input is cut.
func TestHeadCollector(t *testing.T) {
	for _, c := range []struct {
		name, input, head string
		limit             int
		err               error
	}{
		{"CRLF", "A: 1\r\n\r\nbody\r\n\r\n", "A: 1\r\n\r\n", 100, nil},
		{"LF", "A: 1\n\nbody\n\n", "A: 1\n\n", 100, nil},
		{"mixed", "A: 1\r\n\nbody", "A: 1\r\n\n", 100, nil},
		{"the other mixed", "A: 1\n\r\nbody", "A: 1\n\r\n", 100, nil},
		{"no fields", "\r\nA: 1\r\n\r\n", "\r\n", 100, nil},
		{"no fields, LF", "\nA: 1\n\n", "\n", 100, nil},
		{"CRs", "\r\r\nA\r\n\rB\r\n\r\n", "\r\r\nA\r\n\rB\r\n\r\n", 100, nil},
		{"no end", "A: 1\r\n\r", "", 100, nil},
		{"as long as allowed", "A: 1\r\n\r\nbody", "A: 1\r\n\r\n", 8, nil},
		{"one byte too long", "A: 1\r\n\r\nbody", "", 7, rawmime.ErrHeadTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(50) {
				cut := randomCuts(seed)
				if seed == 0 {
					cut = whole
				}
				got, rest, err := collect([]byte(c.input), c.limit, cut)
				if !errors.Is(err, c.err) {
					t.Fatalf("err = %v, want %v", err, c.err)
				}
				if got != c.head {
					t.Fatalf("head = %q, want %q", got, c.head)
				}
				if got != "" && got+rest != c.input {
					t.Fatalf("head %q and rest %q are not the input", got, rest)
				}
			}
		})
	}
}

// collect returns the head, "" if it has no end, and what follows.
func collect(input []byte, limit int, cut func(int) int) (head, rest string, err error) {
	c := rawmime.HeadCollector{Limit: limit}
	for len(input) > 0 {
		n := min(cut(len(input)), len(input))
		after, done, err := c.Feed(input[:n])
		input = input[n:]
		if err != nil {
			return "", "", err
		}
		if done {
			return string(c.Bytes()), string(after) + string(input), nil
		}
	}
	return "", "", nil
}

func FuzzHead(f *testing.F) {
	for _, c := range headCases {
		f.Add([]byte(c.head), uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		head, err := rawmime.ParseHead(b, rawmime.HeadLimits{})
		if err == nil {
			checkHead(t, b, head)
		}
		want, _, wantErr := collect(b, 1000, whole)
		got, _, gotErr := collect(b, 1000, randomCuts(seed))
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("collecting %q: %q, %v in pieces, %q, %v at once", b, got, gotErr, want, wantErr)
		}
	})
}

// checkHead checks what must hold of every head that was accepted.
func checkHead(t *testing.T, b []byte, head *rawmime.Head) {
	for _, f := range head.Fields {
		if f.Name == "" || strings.ContainsAny(f.Name, ": \t\r\n\x00") || strings.ContainsAny(f.Value, "\r\n\x00") {
			t.Errorf("ParseHead(%q): field %+v", b, f)
		}
		line := bytes.Split(b, []byte("\n"))[f.Line-1]
		if !bytes.HasPrefix(line, []byte(f.Name+":")) {
			t.Errorf("ParseHead(%q): field %q is not on line %d", b, f.Name, f.Line)
		}
	}
	// What was read reads the same when written again.
	var again strings.Builder
	for _, f := range head.Fields {
		fmt.Fprintf(&again, "%s: %s\r\n", f.Name, f.Value)
	}
	second, err := rawmime.ParseHead([]byte(again.String()), rawmime.HeadLimits{Bytes: 1 << 30, Lines: 1 << 30})
	if err != nil {
		t.Fatalf("ParseHead(%q), then of its fields: %v", b, err)
	}
	for i, f := range second.Fields {
		if f.Name != head.Fields[i].Name || f.Value != head.Fields[i].Value {
			t.Errorf("ParseHead(%q), then of its fields: %+v, want %+v", b, f, head.Fields[i])
		}
	}
}

// Heads put together from the pieces that matter.
func TestHeadRandom(t *testing.T) {
	pieces := []string{"A", ":", " ", "\t", "\r\n", "\n", "\r", "A: 1\r\n", "B: 2\r\n", " fold\r\n", "\r\n\r\n", "C: 3\n", "\x00", "à"}
	r := rand.New(rand.NewPCG(3, 4))
	good := 0
	for range 5000 {
		var b bytes.Buffer
		for range r.IntN(6) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		if head, err := rawmime.ParseHead(b.Bytes(), rawmime.HeadLimits{}); err == nil {
			checkHead(t, b.Bytes(), head)
			good++
		}
	}
	if good < 100 {
		t.Errorf("only %d heads were good: the pieces no longer fit", good)
	}
}
