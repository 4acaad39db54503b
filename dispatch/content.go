package dispatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
)

// content is the whole of a message, put together from its pieces as it is read.
type content struct {
	pieces []openPiece
	size   int64
}

// openPiece is a piece that can be read. offset is its place in the whole.
type openPiece struct {
	io.ReaderAt
	close  func() error
	offset int64
	size   int64
}

// openContent opens the bytes of a send as they are sent under the given
// Message-ID: those of the first attempt, or the same with another Message-ID.
func openContent(ctx context.Context, blobs Blobs, send Send, messageID string) (*content, error) {
	c := &content{}
	for i, p := range send.Content {
		piece, err := openOnePiece(ctx, blobs, p)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		if i == 0 && messageID != send.MessageID {
			if piece, err = withMessageID(p.Bytes, send.MessageID, messageID); err != nil {
				return nil, err
			}
		}
		piece.offset = c.size
		c.size += piece.size
		c.pieces = append(c.pieces, piece)
	}
	return c, nil
}

func openOnePiece(ctx context.Context, blobs Blobs, p Piece) (openPiece, error) {
	if p.Blob.IsZero() {
		return openPiece{ReaderAt: bytes.NewReader(p.Bytes), size: int64(len(p.Bytes))}, nil
	}
	blob, err := blobs.OpenBlob(ctx, p.Blob)
	if err != nil {
		return openPiece{}, fmt.Errorf("opening an attachment: %w", err)
	}
	return openPiece{ReaderAt: blob, close: blob.Close, size: blob.Size()}, nil
}

// withMessageID replaces the Message-ID in the first piece, which holds the head.
func withMessageID(head []byte, old, new string) (openPiece, error) {
	field := []byte("Message-ID: " + old + "\r\n")
	if bytes.Count(head, field) != 1 {
		return openPiece{}, errors.New("dispatch: the message does not hold its Message-ID once")
	}
	b := bytes.Replace(head, field, []byte("Message-ID: "+new+"\r\n"), 1)
	return openPiece{ReaderAt: bytes.NewReader(b), size: int64(len(b))}, nil
}

// Size returns the number of bytes of the whole.
func (c *content) Size() int64 { return c.size }

// Reader reads the whole from its beginning.
func (c *content) Reader() io.Reader { return io.NewSectionReader(c, 0, c.size) }

// ReadAt implements io.ReaderAt.
func (c *content) ReadAt(p []byte, off int64) (n int, err error) {
	i, _ := slices.BinarySearchFunc(c.pieces, off, func(piece openPiece, off int64) int {
		if off >= piece.offset+piece.size {
			return -1
		}
		return 1
	})
	for ; i < len(c.pieces) && n < len(p); i++ {
		piece := &c.pieces[i]
		at := off + int64(n) - piece.offset
		want := min(int64(len(p)-n), piece.size-at)
		got, err := piece.ReadAt(p[n:n+int(want)], at)
		n += got
		if int64(got) < want {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close releases the pieces.
func (c *content) Close() error {
	var errs []error
	for _, p := range c.pieces {
		if p.close != nil {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(errs...)
}

var errBlobChanged = errors.New("dispatch: a blob is not what was stored")

// checkBlob reads a blob back and compares it with its name.
func checkBlob(ctx context.Context, blobs Blobs, d Digest) error {
	blob, err := blobs.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(blob, 0, blob.Size())); err != nil {
		return err
	}
	if Digest(h.Sum(nil)) != d {
		return errBlobChanged
	}
	return nil
}
