package smime_test

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ceralacca/go-pec/internal/testpki"
	"github.com/ceralacca/go-pec/smime"
)

// onlyReader hides that a reader can do more than read.
type onlyReader struct{ io.Reader }

// readers give the same message in different ways.
var readers = map[string]func([]byte) io.Reader{
	"in memory":       func(b []byte) io.Reader { return bytes.NewReader(b) },
	"stream":          func(b []byte) io.Reader { return onlyReader{bytes.NewReader(b)} },
	"one byte a time": func(b []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) },
	"half a time":     func(b []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(b)) },
	"data and EOF":    func(b []byte) io.Reader { return iotest.DataErrReader(bytes.NewReader(b)) },
	"not from its begin": func(b []byte) io.Reader {
		r := bytes.NewReader(append([]byte("something before"), b...))
		if _, err := r.Seek(16, io.SeekStart); err != nil {
			panic(err)
		}
		return r
	},
}

// A message verifies however it is read, and the content is given exactly.
func TestStreaming(t *testing.T) {
	w := newWorld(t)
	for name, m := range map[string][]byte{
		"CRLF": signed(t, w.leaf).bytes(),
		"LF":   bytes.ReplaceAll(signed(t, w.leaf).bytes(), []byte("\r\n"), []byte("\n")),
	} {
		for how, open := range readers {
			t.Run(name+", "+how, func(t *testing.T) {
				var content bytes.Buffer
				u, err := smime.Parse(open(m), smime.ParseOptions{Content: &content})
				if err != nil {
					t.Fatal(err)
				}
				checkContent(t, u, m, content.Bytes())
				sig, err := u.Verify(w.now())
				if err != nil {
					t.Fatal(err)
				}
				if !sig.SigningTime().Equal(testpki.Now) || !u.SigningTime().Equal(testpki.Now) {
					t.Errorf("SigningTime = %v, want %v", sig.SigningTime(), testpki.Now)
				}
			})
		}
	}
}

// checkContent checks that content is a slice of m, the entity, and that the
// digest is that of the entity with CRLF.
func checkContent(t *testing.T, u *smime.Unverified, m, content []byte) {
	t.Helper()
	slice := m[u.ContentOffset():][:u.ContentSize()]
	if !bytes.Equal(slice, content) {
		t.Errorf("content = %q, but offset and size slice %q", content, slice)
	}
	want := []byte(entity)
	if !bytes.Contains(m, []byte("\r\n")) {
		want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
	}
	if !bytes.Equal(content, want) {
		t.Errorf("content = %q, want %q", content, want)
	}
	digest := crypto.SHA256.New()
	digest.Write([]byte(entity))
	if got := u.Digest(crypto.SHA256); !bytes.Equal(got, digest.Sum(nil)) {
		t.Errorf("Digest = %x, want that of the entity with CRLF", got)
	}
}

// The digest that the header announces is a hint: where it lies, the content is
// read again, or the message is refused if that can't be.
func TestMicalg(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		micalg   string
		digest   crypto.Hash
		streamed bool // verifies in one pass
	}{
		{"sha-512", crypto.SHA512, true},
		{"SHA512", crypto.SHA512, true},
		{"\"sha-256, sha-512\"", crypto.SHA512, true},
		{"sha-1", crypto.SHA512, false},
		{"sha-512", crypto.SHA384, false},
		{"sha-1", crypto.SHA256, true}, // always digested
		{"md5", crypto.SHA512, true},   // unknown, so all are
		{"unknown", crypto.SHA384, true},
		{"\"\"", crypto.SHA512, true},
	} {
		s := signer(w.leaf)
		s.Digest = c.digest
		m := newMessage(signature(t, s))
		m.micalg = c.micalg
		for _, how := range []string{"in memory", "not from its begin"} {
			sig, err := smime.Verify(readers[how](m.bytes()), nil, w.now())
			if err != nil {
				t.Errorf("micalg=%s for %v, %s: %v", c.micalg, c.digest, how, err)
			} else if sig.Digest() != c.digest {
				t.Errorf("micalg=%s for %v: Digest = %v", c.micalg, c.digest, sig.Digest())
			}
		}
		want := smime.Reason("")
		if !c.streamed {
			want = smime.ReasonAlgorithm
		}
		_, err := smime.Verify(onlyReader{bytes.NewReader(m.bytes())}, nil, w.now())
		t.Logf("micalg=%s for %v, streamed: %v", c.micalg, c.digest, err)
		wantReason(t, err, want)
	}
}

// changing is a file that somebody writes to while it is read.
type changing struct {
	*bytes.Reader
	later []byte
}

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	if offset > 0 {
		c.Reader = bytes.NewReader(c.later)
	}
	return c.Reader.Seek(offset, whence)
}

func TestReadAgain(t *testing.T) {
	w := newWorld(t)
	s := signer(w.leaf)
	s.Digest = crypto.SHA512
	m := newMessage(signature(t, s))
	m.micalg = "sha-1"
	genuine := m.bytes()
	altered := bytes.Replace(genuine, []byte("prova"), []byte("Prova"), 1)

	// The altered content is shown, the genuine one is digested for the signature.
	_, err := smime.Parse(&changing{bytes.NewReader(altered), genuine}, smime.ParseOptions{})
	if err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("the content changed in between: err = %v", err)
	}
	_, err = smime.Parse(&changing{bytes.NewReader(genuine), genuine[:bytes.Index(genuine, []byte("prova"))]}, smime.ParseOptions{})
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the message was cut in between: err = %v", err)
	}
	if _, err = smime.Parse(&changing{bytes.NewReader(genuine), genuine}, smime.ParseOptions{}); err != nil {
		t.Errorf("nothing changed in between: err = %v", err)
	}
}

func TestCallbackErrors(t *testing.T) {
	m := signed(t, newWorld(t).leaf).bytes()
	own := errors.New("own")
	for how, open := range readers {
		_, err := smime.Parse(open(m), smime.ParseOptions{Header: func(smime.Header) error { return own }})
		if err != own {
			t.Errorf("%s: the header callback fails: err = %v, want that error itself", how, err)
		}
		_, err = smime.Parse(open(m), smime.ParseOptions{Content: &failingWriter{after: 10, err: own}})
		if err != own {
			t.Errorf("%s: the content writer fails: err = %v, want that error itself", how, err)
		}
		_, err = smime.Parse(iotest.TimeoutReader(onlyReader{iotest.OneByteReader(bytes.NewReader(m))}), smime.ParseOptions{})
		if err != iotest.ErrTimeout {
			t.Errorf("%s: the reader fails: err = %v, want that error itself", how, err)
		}
	}
	// A refusal of the caller's own, as from a Parse inside a Parse.
	inner := &smime.Error{Reason: smime.ReasonCMS, Part: "signature"}
	_, err := smime.Parse(bytes.NewReader(m), smime.ParseOptions{Content: &failingWriter{err: inner}})
	if err != error(inner) {
		t.Errorf("err = %v, want the writer's error itself", err)
	}
}

type failingWriter struct {
	after int
	err   error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.after -= len(p); w.after < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestHeader(t *testing.T) {
	m := signed(t, newWorld(t).leaf)
	m.fields += "X-Ricevuta: accettazione\r\nx-ricevuta:\r\n avvenuta-consegna\r\n"
	var called int
	u, err := smime.Parse(bytes.NewReader(m.bytes()), smime.ParseOptions{Header: func(h smime.Header) error {
		called++
		return nil
	}})
	if err != nil || called != 1 {
		t.Fatalf("Header was called %d times, err = %v", called, err)
	}
	if got := strings.Join(u.Header().Values("X-RICEVUTA"), "|"); got != "accettazione|avvenuta-consegna" {
		t.Errorf("Values = %q", got)
	}
}

// What was written to Content before a refusal, and what follows the close
// delimiter, stays with the caller.
func TestReadsNoFurther(t *testing.T) {
	m := signed(t, newWorld(t).leaf).bytes()
	r := iotest.OneByteReader(io.MultiReader(bytes.NewReader(m), iotest.ErrReader(errors.New("read too far"))))
	if _, err := smime.Parse(r, smime.ParseOptions{}); err != nil {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	m := signed(t, w.leaf)
	whole := m.bytes()
	head := int64(bytes.Index(whole, []byte("\r\n\r\n")) + 4)
	for _, c := range []struct {
		name   string
		limits smime.Limits
		want   smime.Reason
	}{
		{"defaults", smime.Limits{}, ""},
		{"negative means default", smime.Limits{Message: -1, Head: -1, HeadLines: -1, Signature: -1}, ""},
		{"message as large as allowed", smime.Limits{Message: int64(len(whole))}, ""},
		{"message a byte larger", smime.Limits{Message: int64(len(whole)) - 1}, smime.ReasonLimit},
		{"message much larger", smime.Limits{Message: 10}, smime.ReasonLimit},
		{"head as large as allowed", smime.Limits{Head: int(head)}, ""},
		{"head a byte larger", smime.Limits{Head: int(head) - 1}, smime.ReasonLimit},
		{"head as long as allowed", smime.Limits{HeadLines: 4}, ""},
		{"head a line longer", smime.Limits{HeadLines: 3}, smime.ReasonLimit},
		{"head of the signature longer", smime.Limits{HeadLines: 1}, smime.ReasonLimit},
		{"signature as large as allowed", smime.Limits{Signature: len(m.p7s)}, ""},
		{"signature a byte larger", smime.Limits{Signature: len(m.p7s) - 1}, smime.ReasonLimit},
		{"signature much larger", smime.Limits{Signature: 10}, smime.ReasonLimit},
		{"no more than the most there can be", smime.Limits{Signature: 1 << 30}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for how, open := range readers {
				_, err := smime.Parse(open(whole), smime.ParseOptions{Limits: c.limits})
				t.Logf("%s: %v", how, err)
				wantReason(t, err, c.want)
			}
		})
	}
	// The epilogue does not count, for it is not read.
	m.epilogue = strings.Repeat("x", 1000)
	if _, err := smime.Parse(bytes.NewReader(m.bytes()), smime.ParseOptions{Limits: smime.Limits{Message: int64(len(whole))}}); err != nil {
		t.Errorf("a long epilogue: %v", err)
	}
}

func TestNotAMessage(t *testing.T) {
	for _, c := range []struct {
		input string
		want  smime.Reason
	}{
		{"", smime.ReasonHead},
		{"\r\n", smime.ReasonHead},
		{"Subject: no body", smime.ReasonNotSigned},
		{"not a message", smime.ReasonHead},
		{"Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=a", smime.ReasonMIME},
		{strings.Repeat("x", 300<<10), smime.ReasonLimit},
	} {
		u, err := smime.Parse(strings.NewReader(c.input), smime.ParseOptions{})
		wantReason(t, err, c.want)
		if u != nil {
			t.Errorf("Parse(%.20q) gave an Unverified beside %v", c.input, err)
		}
	}
}

func TestZeroValues(t *testing.T) {
	var u smime.Unverified
	sig, err := u.Verify(smime.VerifyOptions{})
	wantReason(t, err, smime.ReasonNotSigned)
	if sig != nil || !u.SigningTime().IsZero() || u.Digest(crypto.SHA256) != nil || u.Header().Values("From") != nil {
		t.Error("the zero Unverified knows something")
	}
	var s smime.Signature
	if s.Certificate() != nil || s.Anchor() != "" || s.Legacy() || !s.SigningTime().IsZero() || !s.Time().IsZero() {
		t.Error("the zero Signature proves something")
	}
	wantReason(t, s.CheckAt(testpki.Now), smime.ReasonNoAnchor)
	if got := (*smime.Trust)(nil).Anchors(); got != nil {
		t.Errorf("anchors of nil: %v", got)
	}
}

// A digest that was handed out is the caller's: changing it changes no verdict.
func TestDigestIsACopy(t *testing.T) {
	w := newWorld(t)
	m := signed(t, w.leaf)
	m.entity = strings.Replace(m.entity, "prova", "Prova", 1)
	u, err := smime.Parse(bytes.NewReader(m.bytes()), smime.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	genuine := crypto.SHA256.New()
	genuine.Write([]byte(entity))
	copy(u.Digest(crypto.SHA256), genuine.Sum(nil))
	_, err = u.Verify(w.now())
	wantReason(t, err, smime.ReasonDigest)
}

// Bytes of line ends are the only ones that may change on the way.
func TestLineEnds(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, signed, received string
		want                   smime.Reason
	}{
		{"as signed", "A: b\r\n\r\n1\r\n2\r\n", "A: b\r\n\r\n1\r\n2\r\n", ""},
		{"all LF", "A: b\r\n\r\n1\r\n2\r\n", "A: b\n\n1\n2\n", ""},
		{"some LF", "A: b\r\n\r\n1\r\n2\r\n", "A: b\r\n\r\n1\n2\r\n", ""},
		{"signed with LF", "A: b\n\n1\n2\n", "A: b\n\n1\n2\n", smime.ReasonDigest},
		{"lone CR", "A: b\r\n\r\n1\r2\r\n", "A: b\r\n\r\n1\r2\r\n", ""},
		{"lone CR made a line end", "A: b\r\n\r\n1\r2\r\n", "A: b\r\n\r\n1\r\n2\r\n", smime.ReasonDigest},
		{"line end made a lone CR", "A: b\r\n\r\n1\r\n2\r\n", "A: b\r\n\r\n1\r2\r\n", smime.ReasonDigest},
		{"CR CR LF", "A: b\r\n\r\n1\r\r\n2\r\n", "A: b\r\n\r\n1\r\r\n2\r\n", ""},
		{"CR CR LF for CRLF", "A: b\r\n\r\n1\r\n2\r\n", "A: b\r\n\r\n1\r\r\n2\r\n", smime.ReasonDigest},
		{"CR at the end", "A: b\r\n\r\n1\r", "A: b\r\n\r\n1\r", ""},
		{"empty lines at the end", "A: b\r\n\r\n1\r\n\r\n\r\n", "A: b\r\n\r\n1\r\n\n\r\n", ""},
		{"one empty line less", "A: b\r\n\r\n1\r\n\r\n", "A: b\r\n\r\n1\r\n", smime.ReasonDigest},
		{"empty body", "A: b\r\n\r\n", "A: b\r\n\r\n", ""},
		{"no head", "\r\n1", "\r\n1", ""},
	} {
		s := signer(w.leaf)
		s.Content = []byte(c.signed)
		m := newMessage(signature(t, s))
		m.entity = c.received
		for how, open := range readers {
			var content bytes.Buffer
			_, err := smime.Verify(open(m.bytes()), &content, w.now())
			t.Logf("%s, %s: %v", c.name, how, err)
			wantReason(t, err, c.want)
			if content.String() != c.received {
				t.Errorf("%s, %s: content %q, want %q", c.name, how, content.String(), c.received)
			}
		}
	}
}
