package dispatch

import (
	"bufio"
	"io"
	"net/textproto"
	"strings"

	"github.com/emersion/go-message"
)

// maxBounce is the largest message that is read as a bounce.
const maxBounce = 1 << 20

// Bounds of looking for a bounce inside a message.
const (
	maxBounceDepth = 5
	maxBounceParts = 32
)

// readBounce returns the Message-IDs that a report of an ordinary mail system
// names as those of the message it could not deliver, whether the report came as
// it is or wrapped in an anomaly envelope. Nothing of it is certified: it is good
// for a remark and no more. Recipients of PEC see the provider's identifier as
// the Message-ID, so that is what reports name.
func readBounce(r io.Reader) []string {
	entity, err := message.Read(io.LimitReader(r, maxBounce))
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return nil
	}
	b := bounceReader{parts: maxBounceParts}
	b.entity(entity, 0)
	if !b.isReport {
		return nil
	}
	return b.ids
}

type bounceReader struct {
	parts    int // how many more are looked at
	isReport bool
	ids      []string
}

func (b *bounceReader) entity(e *message.Entity, depth int) {
	if b.parts--; b.parts < 0 || depth > maxBounceDepth {
		return
	}
	mediaType, _, _ := e.Header.ContentType()
	switch {
	case strings.HasPrefix(mediaType, "multipart/"):
		b.isReport = b.isReport || mediaType == "multipart/report"
		b.multipart(e, depth)
	case mediaType == "message/rfc822":
		inner, err := message.Read(e.Body)
		if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
			return
		}
		b.ids = append(b.ids, inner.Header.Values("Message-ID")...)
		b.entity(inner, depth+1)
	case mediaType == "text/rfc822-headers":
		header, _ := textproto.NewReader(bufio.NewReader(e.Body)).ReadMIMEHeader()
		b.ids = append(b.ids, header.Values("Message-ID")...)
	case mediaType == "message/delivery-status":
		b.isReport = true
		header, _ := textproto.NewReader(bufio.NewReader(e.Body)).ReadMIMEHeader()
		b.ids = append(b.ids, header.Values("Original-Envelope-Id")...)
	}
}

func (b *bounceReader) multipart(e *message.Entity, depth int) {
	parts := e.MultipartReader()
	for parts != nil && b.parts > 0 {
		part, err := parts.NextPart()
		if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
			return
		}
		b.entity(part, depth+1)
	}
}
