package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A flush to the disk takes as long for one blob as for many. Receipts are small and
// come in numbers, so small blobs that are put at the same time are written together,
// by whichever of those who put them gets to write first.

// maxGroup is how many blobs are written together.
const maxGroup = 64

// patience is how long a blob waits for those who write others. A connection that does
// not answer would otherwise keep everybody waiting.
const patience = 5 * time.Second

// group are the small blobs that wait to be written.
type group struct {
	turn     chan struct{} // full while somebody writes
	patience time.Duration
	mu       sync.Mutex // guards waiting
	waiting  []*smallBlob
}

// smallBlob is a blob of one chunk, in memory, that is being put.
type smallBlob struct {
	*spool
	done chan error // told once it was written
}

func (g *group) add(b *smallBlob) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, b)
}

// first lets a blob go before all others, also one that somebody is writing already: to
// write it twice does no harm.
func (g *group) first(b *smallBlob) {
	g.leave(b)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.Insert(g.waiting, 0, b)
}

// leave takes a blob back, unless somebody is writing it already.
func (g *group) leave(b *smallBlob) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.DeleteFunc(g.waiting, func(other *smallBlob) bool { return other == b })
}

// take returns those that waited longest, in an order that is the same for everybody:
// two that write the same blobs can't wait for each other.
func (g *group) take() []*smallBlob {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	some := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	slices.SortFunc(some, func(a, b *smallBlob) int { return slices.Compare(a.digest[:], b.digest[:]) })
	return some
}

// putSmall puts a blob of one chunk, with others that wait. If that fails, it may be
// for the sake of another, so it is put alone. If nobody wrote it for long, it waits for
// its turn no more.
func (b *blobs) putSmall(ctx context.Context, s *spool) error {
	small := &smallBlob{s, make(chan error, 1)}
	late := time.NewTimer(b.group.patience)
	defer late.Stop()
	b.group.add(small)
	for {
		select {
		case err := <-small.done:
			if err != nil {
				_, err = b.putGroup(ctx, func() []*smallBlob { return []*smallBlob{small} })
			}
			return err
		case <-late.C:
			b.group.first(small)
			b.lead(ctx)
			late.Reset(b.group.patience)
		case <-ctx.Done():
			b.group.leave(small)
			return fmt.Errorf("sqlstore: %w", ctx.Err())
		case b.group.turn <- struct{}{}:
			if len(small.done) == 0 { // nobody else wrote it just now
				b.lead(ctx)
			}
			<-b.group.turn
		}
	}
}

// lead writes those that waited longest, and tells them how that went.
func (b *blobs) lead(ctx context.Context) {
	some, err := b.putGroup(ctx, b.group.take)
	for _, small := range some {
		select {
		case small.done <- err:
		default: // another told it
		}
	}
}

// putGroup writes the blobs that take returns. It is called as late as can be, so that
// as many as can be are together.
func (b *blobs) putGroup(ctx context.Context, take func() []*smallBlob) (some []*smallBlob, err error) {
	if b.dialect.putSmall != "" {
		some = take()
		return some, b.putInOne(ctx, some)
	}
	err = b.write(ctx, func(tx *sql.Tx) error {
		some = take()
		for _, small := range some {
			if err := b.put(ctx, tx, small.spool); err != nil {
				return err
			}
		}
		return nil
	})
	return some, err
}

// putInOne writes blobs in one statement: their bytes are one parameter, and which
// blob is where in it is another.
func (b *blobs) putInOne(ctx context.Context, some []*smallBlob) error {
	type place struct {
		Digest string `json:"digest"`
		Start  int    `json:"start"` // from 1
		Size   int64  `json:"size"`
	}
	var places []place
	var all []byte
	for i, small := range some {
		if i > 0 && small.digest == some[i-1].digest {
			continue
		}
		places = append(places, place{small.digest.String(), len(all) + 1, small.size})
		all = append(all, small.memory...)
	}
	if places == nil {
		return nil
	}
	text, err := json.Marshal(places)
	if err != nil {
		return fmt.Errorf("sqlstore: writing JSON: %w", err)
	}
	if _, err := b.statements[b.dialect.putSmall].ExecContext(ctx, string(text), all); err != nil {
		return b.failed(ctx, "writing blobs", err)
	}
	return nil
}
