package pectest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// TestSpool writes and reads messages of many sizes at once, and checks that
// their places are used again when nobody refers to them.
func TestSpool(t *testing.T) {
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	round := func(seed uint64) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				want := make([]byte, r.IntN(5*blockSize))
				for j := range want {
					want[j] = byte(r.Uint32())
				}
				b, err := s.keep(func(w io.Writer) error {
					_, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(want)))
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				if err := iotest.TestReader(b.reader(), want); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for seed := range uint64(3) {
		round(seed)
		used := func() int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return int(s.next) - len(s.free)
		}
		for tries := 0; used() > 0; tries++ {
			if tries == 1000 {
				t.Fatalf("%d blocks are still taken, though nobody refers to them", used())
			}
			runtime.GC()
			time.Sleep(time.Millisecond) // cleanups run in a goroutine of their own
		}
	}
	if most := uint32(20 * 5); s.next > most {
		t.Errorf("the spool grew to %d blocks, want at most %d: places are not used again", s.next, most)
	}
}

func TestPrefixed(t *testing.T) {
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	body := strings.Repeat("0123456789", 1000)
	b, err := s.keep(func(w io.Writer) error { _, err := io.WriteString(w, body); return err })
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(readerOf(prefixed{"top\r\n", b}), []byte("top\r\n"+body)); err != nil {
		t.Error(err)
	}
}

// TestCRLFReader compares with a plain replacement, however the input comes.
func TestCRLFReader(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		in := make([]byte, r.IntN(40))
		for i := range in {
			in[i] = "\r\n\nab"[r.IntN(5)]
		}
		var want []byte
		for i, c := range in {
			if c == '\n' && (i == 0 || in[i-1] != '\r') {
				want = append(want, '\r')
			}
			want = append(want, c)
		}
		for name, reader := range map[string]io.Reader{
			"whole": bytes.NewReader(in), "byte by byte": iotest.OneByteReader(bytes.NewReader(in)),
		} {
			got, err := io.ReadAll(iotest.OneByteReader(newCRLFReader(reader)))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: CRLF of %q = %q, %v, want %q", name, in, got, err, want)
			}
		}
	}
}

func TestStampTwice(t *testing.T) {
	stamp := func(in string) string {
		o, err := openOriginal(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		o.stamp("1@alfa", "<2@client>")
		body, err := io.ReadAll(o.body)
		if err != nil {
			t.Fatal(err)
		}
		return string(o.head()) + string(body)
	}
	const in = "A: b\r\n c\r\nmessage-id:\r\n <2@client>\r\nX-Riferimento-Message-ID: <false>\r\nB: c\r\n\r\nbody\r\n"
	const want = "A: b\r\n c\r\nMessage-ID: <1@alfa>\r\nB: c\r\nX-Riferimento-Message-ID: <2@client>\r\n\r\nbody\r\n"
	once := stamp(in)
	if once != want {
		t.Errorf("stamped once: %q, want %q", once, want)
	}
	if twice := stamp(once); twice != want {
		t.Errorf("stamped twice: %q, want %q", twice, want)
	}
}

// TestClockOrder checks that events happen in order and at their instants, those
// too that others plan, and that what was cancelled does not.
func TestClockOrder(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := newClock(start, 0)
	var happened []string
	note := func(name string) func() {
		return func() { happened = append(happened, fmt.Sprint(name, c.Now().Sub(start))) }
	}
	c.at(start.Add(3*time.Hour), note("c"))
	c.at(start.Add(time.Hour), func() {
		note("a")()
		c.at(c.Now().Add(time.Hour), note("b"))
		c.at(c.Now().Add(-time.Hour), note("past"))
	})
	gone := c.at(start.Add(90*time.Minute), note("cancelled"))
	c.at(start.Add(3*time.Hour), note("d"))
	c.cancel(gone)
	c.cancel(gone)
	c.cancel(nil)
	c.Advance(30 * time.Minute)
	c.Advance(150 * time.Minute)
	want := []string{"a1h0m0s", "past1h0m0s", "b2h0m0s", "c3h0m0s", "d3h0m0s"}
	if !slices.Equal(happened, want) {
		t.Errorf("happened %v, want %v", happened, want)
	}
	if got := c.Now().Sub(start); got != 3*time.Hour {
		t.Errorf("Now() is %v after the start, want 3h", got)
	}
}

// TestScanner finds the sign of malware wherever writes cut it.
func TestScanner(t *testing.T) {
	text := "begin\r\n" + string(virusSigns[0]) + "\r\nend\r\n"
	for cut := range len(text) {
		s := &scanner{}
		s.Write([]byte(text[:cut]))
		s.Write([]byte(text[cut:]))
		if !s.virus || s.badLineEnd || s.longLine {
			t.Errorf("cut at %d: %+v, want malware and no other fault", cut, s)
		}
	}
	for _, bad := range []string{"a\nb", "a\rb\r\n", "\n"} {
		s := &scanner{}
		s.Write([]byte(bad))
		if !s.badLineEnd {
			t.Errorf("%q: no bad line end, want one", bad)
		}
	}
}

// TestCloseClosesEverything dials every port of a network that is closed, those too
// that only its hosts use, and looks for files that it left.
func TestCloseClosesEverything(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	n, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var ports []string
	for _, s := range n.sites {
		for _, l := range []*listener{s.smtps, s.submission, s.mx, s.imap} {
			ports = append(ports, l.Addr().String())
		}
	}
	for range 2 {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for _, address := range ports {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			t.Errorf("%s is still open", address)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 0 {
		t.Errorf("files left: %v, %v", files, err)
	}
}
