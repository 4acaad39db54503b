package rawmime_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/rawmime"
)

// part is what a sink was given of one part.
type part struct {
	Head, Body   string
	Offset, Size int64
}

// recorder is a sink that keeps everything.
type recorder struct {
	t     testing.TB
	parts []part
	body  []byte // of the open part
	open  bool

	anyLineEnd bool
}

func (r *recorder) BeginPart(n int) error {
	if n != len(r.parts) || r.open {
		r.t.Errorf("BeginPart(%d) after %d parts, open %v", n, len(r.parts), r.open)
	}
	r.open = true
	r.parts = append(r.parts, part{Size: -1})
	return nil
}

func (r *recorder) last() *part { return &r.parts[len(r.parts)-1] }

func (r *recorder) Head(raw []byte, offset int64) error {
	r.last().Head, r.last().Offset = string(raw), offset
	return nil
}

func (r *recorder) Body(p []byte, bareLF bool) error {
	if len(p) == 0 {
		r.t.Error("Body was given nothing")
	}
	if !bareLF && !r.anyLineEnd && bytes.Count(p, []byte("\n")) != bytes.Count(p, []byte("\r\n")) {
		r.t.Errorf("Body(%q, false): there is a lone LF", p)
	}
	r.body = append(r.body, p...)
	return nil
}

func (r *recorder) EndPart(size int64) error {
	r.last().Body, r.last().Size = string(r.body), size
	r.open, r.body = false, r.body[:0]
	return nil
}

// split feeds body in pieces, as cut says, and returns the parts that were complete.
func split(t testing.TB, body, boundary string, maxParts int, anyLineEnd bool, cut func(left int) int) ([]part, error) {
	t.Helper()
	r := &recorder{t: t, anyLineEnd: anyLineEnd}
	s, err := rawmime.NewSplitter(boundary, r, maxParts, 1<<20)
	if err != nil {
		return nil, err
	}
	s.AnyLineEnd = anyLineEnd
	for rest := []byte(body); len(rest) > 0; {
		n := min(cut(len(rest)), len(rest))
		piece := bytes.Clone(rest[:n])
		if _, err = s.Write(piece); err != nil {
			break
		}
		clear(piece) // a Splitter that kept it would be found out
		rest = rest[n:]
	}
	if err == nil {
		err = s.Close()
	}
	parts := r.parts
	for len(parts) > 0 && parts[len(parts)-1].Size < 0 {
		parts = parts[:len(parts)-1]
	}
	for i, p := range parts {
		whole := p.Head + p.Body
		if got := body[p.Offset : p.Offset+int64(len(p.Head))+p.Size]; got != whole {
			t.Errorf("part %d: offset %d, head %d, size %d slice %q from the input, want %q", i, p.Offset, len(p.Head), p.Size, got, whole)
		}
	}
	return parts, err
}

func whole(left int) int  { return left }
func single(left int) int { return 1 }

func randomCuts(seed uint64) func(int) int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(int) int { return 1 + r.IntN(1+r.IntN(40)) }
}

// reference is the Splitter again, for a body that is all there: slow and plain.
func reference(body, boundary string, maxParts int) ([]part, error) {
	var parts []part
	start := -1 // of the open part; -1 in the preamble
	for pos := 0; pos < len(body); {
		at := pos
		afterCR := pos > 0 && body[pos-1] == '\r'
		for pos++; pos < len(body) && body[pos-1] != '\n' && (body[pos-1] != '\r' || body[pos] == '\n'); {
			pos++
		}
		line := body[at:pos]
		text, beforeCR := withoutEOL(line), false
		if pos < len(body) {
			text, beforeCR = strings.CutSuffix(text, "\r")
		}
		rest, ok := strings.CutPrefix(text, "--"+boundary)
		if !ok {
			continue
		}
		closing := strings.Trim(strings.TrimPrefix(rest, "--"), " \t") == "" && strings.HasPrefix(rest, "--")
		if !closing && strings.Trim(rest, " \t") != "" {
			continue
		}
		if len(line) > 1000 || len(line) == 1000 && !strings.HasSuffix(line, "\n") {
			return parts, rawmime.ErrPadding
		}
		if afterCR || beforeCR {
			return parts, rawmime.ErrLoneCR
		}
		if start >= 0 {
			content := body[start:at]
			if start == at {
				return parts, rawmime.ErrHeadUnfinished
			}
			content = withoutEOL(content)
			n := headLength(content)
			if n < 0 {
				return parts, rawmime.ErrHeadUnfinished
			}
			parts = append(parts, part{content[:n], content[n:], int64(start), int64(len(content) - n)})
		}
		if closing {
			if start < 0 {
				return parts, rawmime.ErrNoFirstPart
			}
			return parts, nil
		}
		if len(parts) == maxParts {
			return parts, rawmime.ErrTooManyParts
		}
		start = pos
	}
	if start < 0 {
		return parts, rawmime.ErrNoFirstPart
	}
	return parts, rawmime.ErrNoCloseDelim
}

func withoutEOL(line string) string {
	if s, ok := strings.CutSuffix(line, "\r\n"); ok {
		return s
	}
	return strings.TrimSuffix(line, "\n")
}

// headLength returns the length of the lines up to the first empty one, which is
// included, or -1.
func headLength(s string) int {
	for pos := 0; ; {
		i := strings.IndexByte(s[pos:], '\n')
		if i < 0 {
			return -1
		}
		line := s[pos : pos+i+1]
		pos += i + 1
		if withoutEOL(line) == "" {
			return pos
		}
	}
}

// splitCases are bodies for a boundary of "AAA" and at most 3 parts.
var splitCases = []struct {
	name, body string
	want       []string // head + body of each part
	err        error
	reason     string
}{
	{"two parts", "--AAA\r\nA: 1\r\n\r\none\r\n--AAA\r\n\r\ntwo\r\n--AAA--\r\n",
		[]string{"A: 1\r\n\r\none", "\r\ntwo"}, nil,
		"the line end before a delimiter belongs to it"},
	{"LF", "--AAA\nA: 1\n\none\n--AAA\n\ntwo\n--AAA--\n",
		[]string{"A: 1\n\none", "\ntwo"}, nil,
		"mail stores keep LF"},
	{"no line end after the last delimiter", "--AAA\r\n\r\none\r\n--AAA--",
		[]string{"\r\none"}, nil, "the end of input ends a line"},
	{"preamble and epilogue", "hello\r\n--AAAB\r\n--AAA\r\n\r\none\r\n--AAA--\r\n--AAA\r\n\r\nx\r\n--AAA--",
		[]string{"\r\none"}, nil, "they belong to no part, whatever they look like"},
	{"longer boundary", "--AAA\r\n\r\none\r\n--AAAB\r\n--AAA-\r\n--AAA--B\r\n--AAA B\r\n--AAA--\r\n",
		[]string{"\r\none\r\n--AAAB\r\n--AAA-\r\n--AAA--B\r\n--AAA B"}, nil,
		"a delimiter is a whole line"},
	{"padding", "--AAA \t \r\n\r\none\r\n--AAA\t\n\r\ntwo\r\n--AAA-- \t\r\n",
		[]string{"\r\none", "\r\ntwo"}, nil, "RFC 2046, section 5.1.1: transport padding"},
	{"blank before the dashes of the close", "--AAA\r\n\r\none\r\n--AAA --\r\n--AAA--",
		[]string{"\r\none\r\n--AAA --"}, nil, "that is text"},
	{"not at the begin of a line", "--AAA\r\n\r\none --AAA\r\n --AAA--\r\n--AAA--",
		[]string{"\r\none --AAA\r\n --AAA--"}, nil, "that is text"},
	{"behind a lone CR", "--AAA\r\n\r\none\r--AAA--\r\n--AAA--", nil, rawmime.ErrLoneCR, "a line begins there for some readers"},
	{"behind a lone CR, in front", "hello\r--AAA\r\n\r\nzero\r\n--AAA\r\n\r\none\r\n--AAA--", nil, rawmime.ErrLoneCR, "they would see another first part"},
	{"behind two CRs", "--AAA\r\n\r\none\r\r--AAA\r\n\r\n--AAA--", nil, rawmime.ErrLoneCR, "the same"},
	{"before a lone CR", "--AAA\r\n\r\none\r\n--AAA\rtwo\r\n--AAA--", nil, rawmime.ErrLoneCR, "a line ends there for some readers"},
	{"before two CRs", "--AAA\r\n\r\none\r\n--AAA-- \r\r\n--AAA--", nil, rawmime.ErrLoneCR, "the same"},
	{"between lone CRs", "--AAA\r\n\r\none\r--AAA\rtwo\r\n--AAA--", nil, rawmime.ErrLoneCR, "a line for some readers"},
	{"lone CRs around what is no delimiter", "--AAA\r\n\r\none\r--AAAB\r-\r--AAA x\r\n--AAA\tx\r\n-\r\r\n--AAA--",
		[]string{"\r\none\r--AAAB\r-\r--AAA x\r\n--AAA\tx\r\n-\r"}, nil, "no reader takes it for one"},
	{"CR before the line end", "--AAA\r\n\r\none\r\r\n--AAA--\r\n",
		[]string{"\r\none\r"}, nil, "only CRLF belongs to the delimiter"},
	{"lone CR ends the delimiter's line", "--AAA\r\n\r\none\r\n--AAA--\r",
		nil, rawmime.ErrNoCloseDelim, "a message cut inside its last line end"},
	{"empty body", "--AAA\r\nA: 1\r\n\r\n\r\n--AAA--",
		[]string{"A: 1\r\n\r\n"}, nil, "an empty line ends the head, another line end is the delimiter's"},
	{"body of line ends", "--AAA\r\n\r\n\r\n\r\n\r\n--AAA--",
		[]string{"\r\n\r\n\r\n"}, nil, "all but the last one count"},
	{"mixed line ends in the body", "--AAA\r\n\r\n1\n2\r\n3\r4\n\r\n--AAA--",
		[]string{"\r\n1\n2\r\n3\r4\n"}, nil, "the body is not touched"},
	{"head without an end", "--AAA\r\nA: 1\r\n--AAA--",
		nil, rawmime.ErrHeadUnfinished, "no empty line"},
	{"empty line that is the delimiter's", "--AAA\r\nA: 1\r\n\r\n--AAA--",
		nil, rawmime.ErrHeadUnfinished, "the line end before a delimiter belongs to it, so none ends the head"},
	{"nothing between delimiters", "--AAA\r\n--AAA--", nil, rawmime.ErrHeadUnfinished, "a part has a head, be it an empty line"},
	{"no part", "--AAA--\r\n", nil, rawmime.ErrNoFirstPart, "closed before it was opened"},
	{"no delimiter", "hello\r\n", nil, rawmime.ErrNoFirstPart, "not a multipart body"},
	{"nothing", "", nil, rawmime.ErrNoFirstPart, "not a multipart body"},
	{"no close delimiter", "--AAA\r\n\r\none\r\n", nil, rawmime.ErrNoCloseDelim, "a message cut short must not pass for a whole one"},
	{"close delimiter cut short", "--AAA\r\n\r\none\r\n--AAA-", nil, rawmime.ErrNoCloseDelim, "one dash is missing"},
	{"open delimiter at the end", "--AAA\r\n\r\none\r\n--AAA", []string{"\r\none"}, rawmime.ErrNoCloseDelim, "a part begins and never ends"},
	{"three parts", "--AAA\n\n1\n--AAA\n\n2\n--AAA\n\n3\n--AAA--", []string{"\n1", "\n2", "\n3"}, nil, "as many as allowed"},
	{"four parts", "--AAA\n\n1\n--AAA\n\n2\n--AAA\n\n3\n--AAA\n\n4\n--AAA--", []string{"\n1", "\n2", "\n3"}, rawmime.ErrTooManyParts, "one more"},
	{"text line of dashes", "--AAA\n\n-\n--\n---\n--A\n--AA\n-" + strings.Repeat("-", 3000) + "\n--AAA--",
		[]string{"\n-\n--\n---\n--A\n--AA\n-" + strings.Repeat("-", 3000)}, nil, "lines that begin like a delimiter"},
	{"line of dashes and CRs", "--AAA\n\n--" + strings.Repeat("\r", 3000) + "\n--AAA--",
		[]string{"\n--" + strings.Repeat("\r", 2999)}, nil, "every CR could be half of a line end"},
	{"much padding", "--AAA\n\n1\n--AAA--" + strings.Repeat(" ", 900) + "\n", []string{"\n1"}, nil, "still read"},
	{"too much padding", "--AAA\n\n1\n--AAA--" + strings.Repeat(" ", 1000) + "\n", nil, rawmime.ErrPadding, "text to one reader, a delimiter to another"},
	{"long line that begins with a delimiter", "--AAA\n\n1\n--AAA--" + strings.Repeat(" ", 900) + strings.Repeat("x", 900) + "\n--AAA--",
		[]string{"\n1\n--AAA--" + strings.Repeat(" ", 900) + strings.Repeat("x", 900)}, nil, "not blank, so text"},
}

func TestSplitter(t *testing.T) {
	for _, c := range splitCases {
		t.Run(c.name, func(t *testing.T) {
			parts, err := split(t, c.body, "AAA", 3, false, whole)
			if !errors.Is(err, c.err) {
				t.Errorf("err = %v, want %v (%s)", err, c.err, c.reason)
			}
			var got []string
			for _, p := range parts {
				got = append(got, p.Head+p.Body)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("parts = %q, want %q (%s)", got, c.want, c.reason)
			}
		})
	}
}

// However a body is cut into pieces, the Splitter does what the reference does.
func TestSplitterChunks(t *testing.T) {
	for _, c := range splitCases {
		t.Run(c.name, func(t *testing.T) {
			checkAgainstReference(t, c.body, "AAA", 3, 0)
			for n := 1; n < min(len(c.body), 200); n++ {
				checkSplit(t, c.body, "AAA", 3, func(left int) int {
					if left == len(c.body) {
						return n
					}
					return left
				})
			}
		})
	}
}

func checkAgainstReference(t *testing.T, body, boundary string, maxParts int, seed uint64) {
	t.Helper()
	checkSplit(t, body, boundary, maxParts, whole)
	checkSplit(t, body, boundary, maxParts, single)
	for i := range uint64(4) {
		checkSplit(t, body, boundary, maxParts, randomCuts(seed+i))
	}
}

func checkSplit(t *testing.T, body, boundary string, maxParts int, cut func(int) int) {
	t.Helper()
	want, wantErr := reference(body, boundary, maxParts)
	for _, anyLineEnd := range []bool{false, true} {
		got, err := split(t, body, boundary, maxParts, anyLineEnd, cut)
		if errors.Is(err, rawmime.ErrBoundary) {
			return
		}
		if !errors.Is(err, wantErr) {
			t.Fatalf("splitting %q at %q, any line end %v: err = %v, want %v", body, boundary, anyLineEnd, err, wantErr)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("splitting %q at %q, any line end %v:\n got %+q\nwant %+q", body, boundary, anyLineEnd, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

// Bodies put together from the pieces that matter, cut at random.
func TestSplitterRandom(t *testing.T) {
	pieces := []string{
		"--A", "--A--", "--AA", "--AA--", "--", "-", "\r\n", "\n", "\r", " ", "\t", "x", "A",
		"\r\n\r\n", "\n\n", "\r\n--A\r\n", "\r\n--A\r\n\r\n", "\n--AA\n\n", "\r\n--A--\r\n", strings.Repeat(" ", 400), strings.Repeat("\r", 700),
	}
	r := rand.New(rand.NewPCG(1, 2))
	complete := 0
	for i := range uint64(4000) {
		var b strings.Builder
		b.WriteString("--A\r\n\r\n")
		for range r.IntN(12) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		boundary := []string{"A", "AA"}[r.IntN(2)]
		checkAgainstReference(t, b.String(), boundary, 3, i)
		if _, err := reference(b.String(), boundary, 3); err == nil {
			complete++
		}
	}
	if complete < 100 {
		t.Errorf("only %d of the bodies were complete: the pieces no longer fit", complete)
	}
}

func FuzzSplitter(f *testing.F) {
	for _, c := range splitCases {
		f.Add(c.body, "AAA", uint64(1))
	}
	f.Add("--A\r\n\r\n--A--\r\n--A----\r\n", "A--", uint64(2))
	f.Fuzz(func(t *testing.T, body, boundary string, seed uint64) {
		checkAgainstReference(t, body, boundary, 3, seed)
	})
}

// Long bodies must not be given byte by byte, nor be kept.
func TestSplitterCost(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct{ name, unit string }{
		{"CRLF lines", strings.Repeat("x", 76) + "\r\n"},
		{"LF lines", strings.Repeat("x", 76) + "\n"},
		{"one long line", "x"},
		{"dash lines", "-\n"},
		{"lines like delimiters", "--AAA x\r\n"},
		{"CRs", "\r"},
		{"dashes and then CRs", "--AAB" + strings.Repeat("\r", 1<<12)},
		{"dashes between CRs", "-\r"},
		{"almost delimiters between CRs", "--AAB\r"},
		{"blanks", " "},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := []byte("--AAA\r\n\r\n--" + strings.Repeat(c.unit, size/len(c.unit)) + "\r\n--AAA--\r\n")
			sink := &counter{}
			allocated := allocatedBytes(func() {
				s, err := rawmime.NewSplitter("AAA", sink, 3, 1<<10)
				if err != nil {
					t.Fatal(err)
				}
				for rest := body; len(rest) > 0; {
					n := min(len(rest), 32<<10)
					if _, err := s.Write(rest[:n]); err != nil {
						t.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			})
			if allocated > 16<<10 {
				t.Errorf("%d bytes allocated for a body of 1 MiB, want less than 16 KiB", allocated)
			}
			if want := int64(len(body) - len("--AAA\r\n\r\n\r\n--AAA--\r\n")); sink.size != want {
				t.Errorf("size = %d, want %d", sink.size, want)
			}
		})
	}
}

// allocatedBytes returns how much memory f asked for, freed again or not.
func allocatedBytes(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

type counter struct{ size int64 }

func (c *counter) BeginPart(int) error         { return nil }
func (c *counter) Head([]byte, int64) error    { return nil }
func (c *counter) Body(p []byte, _ bool) error { c.size += int64(len(p)); return nil }
func (c *counter) EndPart(int64) error         { return nil }

func TestSplitterBoundary(t *testing.T) {
	for _, c := range []struct {
		boundary string
		ok       bool
		reason   string
	}{
		{"a", true, "short"},
		{"a b'()+_,-./:=?", true, "all that RFC 2046 allows"},
		{strings.Repeat("a", 200), true, "longer than RFC 2046 allows"},
		{"", false, "no boundary"},
		{strings.Repeat("a", 201), false, "too long"},
		{"a ", false, "a blank at the end can't be told from padding"},
		{"a\tb", false, "control character"},
		{"a\x00", false, "NUL"},
		{"à", false, "not ASCII"},
		{"a\x7f", false, "DEL"},
	} {
		_, err := rawmime.NewSplitter(c.boundary, &counter{}, 3, 1000)
		if got := err == nil; got != c.ok {
			t.Errorf("NewSplitter(%q): err = %v, want good: %v (%s)", c.boundary, err, c.ok, c.reason)
		}
	}
}

func TestSplitterHeadLimit(t *testing.T) {
	body := "--AAA\r\nA: 1\r\n\r\nbody\r\n--AAA--\r\n"
	for limit, want := range map[int]error{7: rawmime.ErrHeadTooLong, 8: nil} {
		s, err := rawmime.NewSplitter("AAA", &counter{}, 1, limit)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Write([]byte(body))
		if !errors.Is(err, want) {
			t.Errorf("head of 8 bytes, limit of %d: err = %v, want %v", limit, err, want)
		}
	}
}

// failingSink fails in the call it is told to fail in.
type failingSink struct {
	in  string
	err error
}

func (s *failingSink) fail(in string) error {
	if s.in == in {
		return s.err
	}
	return nil
}
func (s *failingSink) BeginPart(int) error      { return s.fail("BeginPart") }
func (s *failingSink) Head([]byte, int64) error { return s.fail("Head") }
func (s *failingSink) Body([]byte, bool) error  { return s.fail("Body") }
func (s *failingSink) EndPart(int64) error      { return s.fail("EndPart") }

func TestSplitterSinkErrors(t *testing.T) {
	own := errors.New("own")
	for _, in := range []string{"BeginPart", "Head", "Body", "EndPart"} {
		s, err := rawmime.NewSplitter("AAA", &failingSink{in: in, err: own}, 3, 1000)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Write([]byte("--AAA\r\n\r\none\r\n--AAA--"))
		if err == nil {
			err = s.Close()
		}
		if err != own {
			t.Errorf("%s fails: err = %v, want that error itself", in, err)
		}
	}
}

func TestSplitterDone(t *testing.T) {
	s, err := rawmime.NewSplitter("AAA", &counter{}, 3, 1000)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		text string
		done bool
	}{{"--AAA\r\n\r\none\r\n--AAA--", false}, {" ", false}, {"\r\n", true}, {"--AAA\r\n", true}}
	for _, step := range steps {
		if n, err := s.Write([]byte(step.text)); err != nil || n != len(step.text) {
			t.Fatalf("Write(%q) = %d, %v", step.text, n, err)
		}
		if s.Done() != step.done {
			t.Errorf("after %q: Done() = %v, want %v", step.text, s.Done(), step.done)
		}
	}
}
