package rawmime

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// strictBase64 refuses bits after the data. Strict makes a copy: once is enough.
var strictBase64 = base64.StdEncoding.Strict()

// DecodeBase64 undoes base64 in lines. What other readers skip or guess at is an
// error: characters that do not belong to it, data after the padding, bits after
// the data. It uses b up.
func DecodeBase64(b []byte) ([]byte, error) {
	b = without(without(b, '\n'), '\r')
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := strictBase64.Decode(out, b)
	if err != nil {
		return nil, fmt.Errorf("reading base64: %w", err)
	}
	return out[:n], nil
}

// without drops the bytes c from b, in place. Decoding what is in one piece takes a
// fraction of the time.
func without(b []byte, c byte) []byte {
	kept := b[:0]
	for {
		i := bytes.IndexByte(b, c)
		if i < 0 {
			return append(kept, b...)
		}
		kept = append(kept, b[:i]...)
		b = b[i+1:]
	}
}
