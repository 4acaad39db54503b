package rawmime_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/ceralacca/go-pec/internal/rawmime"
)

func TestDecodeBase64(t *testing.T) {
	tests := []struct {
		name, in string
		want     string
		bad      bool
		reason   string
	}{
		{"empty", "", "", false, "nothing is nothing"},
		{"padded", "YQ==", "a", false, "RFC 4648, section 4"},
		{"lines", "YWJj\r\nZGVm\n\r\nZw==\r\n", "abcdefg", false, "lines end anyhow, and may be empty"},
		{"lines across a quantum", "YW\r\nJ\r\nj", "abc", false, "lines end anywhere"},
		{"lines across the padding", "YQ=\r\n=\r\n", "a", false, "lines end anywhere"},
		{"no padding", "YQ", "", true, "cut short?"},
		{"too much padding", "YQ===", "", true, "more than there is room for"},
		{"data after the padding", "YQ==YQ==", "", true, "some readers read on"},
		{"bits after the data", "YR==", "", true, "two texts for the same bytes"},
		{"blank", "YW Jj", "", true, "some readers skip it, some stop"},
		{"foreign character", "YW!Jj", "", true, "some readers skip it, some stop"},
		{"the other alphabet", "_-__", "", true, "that of URLs"},
		{"cut short", "YWJjZ", "", true, "a byte is missing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := rawmime.DecodeBase64([]byte(test.in))
			if (err != nil) != test.bad || string(got) != test.want {
				t.Errorf("DecodeBase64(%q) = %q, %v, want %q, an error: %v (%s)", test.in, got, err, test.want, test.bad, test.reason)
			}
		})
	}
}

// FuzzBase64 holds it against the standard library, which skips line ends too.
func FuzzBase64(f *testing.F) {
	for _, seed := range []string{"", "YWJj\r\nZw==\r\n", "YQ=\r\n=", "YR==", "\r\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		want, wantErr := base64.StdEncoding.Strict().DecodeString(in)
		got, err := rawmime.DecodeBase64([]byte(in))
		if (err == nil) != (wantErr == nil) || err == nil && string(got) != string(want) {
			t.Errorf("DecodeBase64(%q) = %q, %v; encoding/base64 has %q, %v", in, got, err, want, wantErr)
		}
		if err == nil && !strings.HasPrefix(base64.StdEncoding.EncodeToString(got), strings.NewReplacer("\r", "", "\n", "").Replace(in)) {
			t.Errorf("DecodeBase64(%q) = %q, which is encoded in another way", in, got)
		}
	})
}
