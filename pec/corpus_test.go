package pec_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/pec"
)

// corpus returns the real messages of a folder that is not part of this
// repository, since they hold other people's data. Failures must not print them.
func corpus(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "corpus", folder, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("skipped: the corpus of real messages is not there")
	}
	return files
}

func readMessage(t *testing.T, file string) *mail.Message {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// certDataPart returns the daticert.xml of a message, or nil. It is a finder for
// tests: package receipt has the one that counts.
func certDataPart(t *testing.T, contentType string, body io.Reader) []byte {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.HasPrefix(mediaType, "multipart/") {
		return nil
	}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil
		}
		if part.FileName() == "daticert.xml" {
			doc, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, part))
			if err != nil {
				t.Fatal(err)
			}
			return doc
		}
		if doc := certDataPart(t, part.Header.Get("Content-Type"), part); doc != nil {
			return doc
		}
	}
}

// TestCorpusCertData reads every real daticert.xml: what the signature covers or
// once covered has the form that is asked for here.
func TestCorpusCertData(t *testing.T) {
	for _, folder := range []string{"intact", "broken"} {
		t.Run(folder, func(t *testing.T) {
			for _, file := range corpus(t, folder) {
				t.Run(filepath.Base(file), func(t *testing.T) {
					m := readMessage(t, file)
					doc := certDataPart(t, m.Header.Get("Content-Type"), m.Body)
					if noCertData := strings.Contains(file, "no-daticert"); noCertData != (doc == nil) {
						t.Fatalf("daticert.xml found: %v", doc != nil)
					} else if noCertData {
						return
					}
					checkCorpusCertData(t, file, doc, pec.Classify(textproto.MIMEHeader(m.Header)))
				})
			}
		})
	}
}

func checkCorpusCertData(t *testing.T, file string, doc []byte, class pec.Class) {
	t.Helper()
	d, err := pec.ReadCertData(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(file, "_"+string(d.Kind)) {
		t.Errorf("Kind = %q, want that of the file's name", d.Kind)
	}
	if class.Kind != d.Kind || class.Suspicious {
		t.Errorf("Classify says %q, suspicious %v; daticert.xml says %q", class.Kind, class.Suspicious, d.Kind)
	}
	if !pec.SameMessageID(class.Reference, d.MessageID) {
		t.Error("X-Riferimento-Message-ID is not msgid")
	}
	if d.Kind == pec.KindTransport && !pec.SameMessageID(class.MessageID, d.ID) {
		t.Error("the Message-ID of the envelope is not identificativo")
	}
	other, err := loose(string(doc))
	if err != nil || summary(d) != other.summary() {
		t.Errorf("encoding/xml reads something else, error %v", err)
	}
	var again bytes.Buffer
	if _, err := d.WriteTo(&again); err != nil {
		t.Fatal(err)
	}
	if back, err := pec.ReadCertData(&again); err != nil || !sameCertData(d, back) {
		t.Errorf("written and read again it is something else, error %v", err)
	}
}

// TestCorpusRedacted reads messages in which somebody replaced addresses.
func TestCorpusRedacted(t *testing.T) {
	want := map[string]error{
		"danzipie__go-pec_accettazione.eml": nil,
		"danzipie__go-pec_email_2.eml":      pec.ErrCertDataForm, // no @ is left in it
		"danzipie__go-pec_email_3.eml":      nil,
	}
	for _, file := range corpus(t, "structure") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			cause, known := want[filepath.Base(file)]
			if !known {
				return
			}
			m := readMessage(t, file)
			_, err := pec.ReadCertData(bytes.NewReader(certDataPart(t, m.Header.Get("Content-Type"), m.Body)))
			if !errors.Is(err, cause) {
				t.Errorf("ReadCertData: %v, want %v", err, cause)
			}
		})
	}
}

// TestCorpusREM classifies the official examples of the successor of PEC.
func TestCorpusREM(t *testing.T) {
	for _, file := range corpus(t, filepath.Join("rem", "Intra-REM-flow")) {
		want := pec.CategoryREM
		if strings.HasPrefix(filepath.Base(file), "original_message") {
			want = pec.CategoryOrdinary // what the user sent
		}
		m := readMessage(t, file)
		if got := pec.Classify(textproto.MIMEHeader(m.Header)); got.Category != want || got.Suspicious {
			t.Errorf("%s: Classify = %s, suspicious %v, want %s", filepath.Base(file), got.Category, got.Suspicious, want)
		}
	}
}
