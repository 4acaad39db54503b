package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
)

// A transaction here knows what the one before has read, and writes late; the memory
// store does everything at once. Whatever is done to both, in whatever order, and by
// however many programs, they must answer the same.

func TestSQLiteLikeMemory(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2 // the race detector finds nothing in more of them
	}
	for seed := range seeds {
		file := filepath.Join(t.TempDir(), "sends.db")
		s, other := openSQLite(t, file), openSQLite(t, file)
		if seed%2 == 1 {
			s.SetCacheSize(3) // it forgets all the time
		}
		checkLikeMemory(t, seed, s, other)
	}
}

func TestPostgreSQLLikeMemory(t *testing.T) {
	for seed := range uint64(4) {
		name := fmt.Sprint(t.TempDir(), seed)
		s, other := openPostgres(t, name), openPostgres(t, name)
		if seed%2 == 1 {
			s.SetCacheSize(3)
		}
		checkLikeMemory(t, seed, s, other)
	}
}

var errGivenUp = errors.New("given up")

// checkLikeMemory has the first of the programs do most of the work.
func checkLikeMemory(t *testing.T, seed uint64, programs ...dispatch.Store) {
	t.Helper()
	memory := new(memstore.Store)
	rng := rand.New(rand.NewPCG(seed, 1))
	g := &generator{rng: rng}
	for range 60 {
		memory.View(context.Background(), account, func(tx dispatch.Tx) error {
			entries, err := tx.Audit(0, 10_000)
			g.seq = int64(len(entries))
			return err
		})
		var calls []call
		for range 1 + rng.IntN(60) {
			calls = append(calls, g.call())
		}
		end := rng.IntN(6)
		run := func(s dispatch.Store) (answers []string, err error) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			err = s.Update(ctx, account, func(tx dispatch.Tx) error {
				for _, c := range calls {
					answers = append(answers, c.name+" = "+c.do(tx))
				}
				switch end {
				case 0:
					return errGivenUp
				case 1:
					cancel()
				}
				return nil
			})
			for _, known := range []error{errGivenUp, context.Canceled} {
				if errors.Is(err, known) {
					err = known
				}
			}
			return answers, err
		}
		want, wantErr := run(memory)
		program := programs[0]
		if rng.IntN(4) == 0 {
			program = programs[rng.IntN(len(programs))]
		}
		got, gotErr := run(program)
		if wantErr != gotErr || !slices.Equal(got, want) {
			t.Fatalf("seed %d: Update: got error %v, want %v; and\n%s", seed, gotErr, wantErr, firstDifference(got, want))
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range want {
		if got[i] != want[i] {
			before := strings.Join(want[max(i-5, 0):i], "\n")
			return fmt.Sprintf("after\n%s\n got %s\nwant %s", before, got[i], want[i])
		}
	}
	return "the same answers"
}

// call is a call of a method, with an answer that can be compared.
type call struct {
	name string
	do   func(tx dispatch.Tx) string
}

func answer(err error, values ...any) string {
	if err != nil {
		for _, known := range []error{dispatch.ErrNotFound, dispatch.ErrExists} {
			if errors.Is(err, known) {
				return known.Error()
			}
		}
		return "another error: " + err.Error()
	}
	b, err := json.Marshal(values)
	return strings.ReplaceAll(fmt.Sprint(string(b), err), "null", "[]") // an empty list is nil or not
}

// generator makes calls up, over few keys, so that they have to do with each other.
type generator struct {
	rng        *rand.Rand
	messageIDs int
	seq        int64
}

func (g *generator) id() dispatch.SendID {
	return dispatch.SendID{Batch: fmt.Sprint("b", g.rng.IntN(2)), Row: 1 + g.rng.Int64N(12)}
}

func (g *generator) time() time.Time {
	return benchStart.Add(time.Duration(g.rng.IntN(50)) * time.Minute)
}

func (g *generator) progress() dispatch.Progress {
	p := dispatch.Progress{State: dispatch.States()[g.rng.IntN(5)]}
	if g.rng.IntN(2) == 0 {
		p.Due = g.time()
	}
	return p
}

func (g *generator) call() call {
	makers := []func() call{
		g.accounts, g.batches, g.addSend, g.addSend, g.reads, g.reads, g.progresses, g.messageID, g.fact, g.fact, g.tries, g.mail, g.audit,
	}
	return makers[g.rng.IntN(len(makers))]()
}

func (g *generator) accounts() call {
	seq := g.rng.Int64N(100)
	if g.rng.IntN(2) == 0 {
		return call{"Account", func(tx dispatch.Tx) string { a, err := tx.Account(); return answer(err, a) }}
	}
	return call{"PutAccount", func(tx dispatch.Tx) string {
		return answer(tx.PutAccount(dispatch.Account{Name: account, AuditSeq: seq}))
	}}
}

func (g *generator) batches() call {
	b := dispatch.Batch{Name: fmt.Sprint("b", g.rng.IntN(3)), Total: g.rng.Int64N(100)}
	switch g.rng.IntN(3) {
	case 0:
		return call{"Batches", func(tx dispatch.Tx) string { list, err := tx.Batches(); return answer(err, list) }}
	case 1:
		return call{"Batch", func(tx dispatch.Tx) string { got, err := tx.Batch(b.Name); return answer(err, got) }}
	}
	return call{"PutBatch", func(tx dispatch.Tx) string { return answer(tx.PutBatch(b)) }}
}

func (g *generator) addSend() call {
	id, p := g.id(), g.progress()
	return call{fmt.Sprint("AddSend", id), func(tx dispatch.Tx) string { return answer(tx.AddSend(benchSend(id.Batch, id.Row), p)) }}
}

func (g *generator) reads() call {
	id, at, limit := g.id(), g.time(), g.rng.IntN(8)
	switch g.rng.IntN(3) {
	case 0:
		return call{fmt.Sprint("Send", id), func(tx dispatch.Tx) string { s, err := tx.Send(id); return answer(err, s) }}
	case 1:
		return call{fmt.Sprint("Sends", id, limit), func(tx dispatch.Tx) string {
			list, err := tx.Sends(id.Batch, id.Row, limit)
			return answer(err, idsOf(list))
		}}
	}
	return call{fmt.Sprint("Due", id.Batch, at, limit), func(tx dispatch.Tx) string {
		list, err := tx.Due(id.Batch, at, limit)
		return answer(err, idsOf(list))
	}}
}

func idsOf(sends []dispatch.Send) (ids []dispatch.SendID) {
	for _, s := range sends {
		ids = append(ids, s.ID)
	}
	return ids
}

func (g *generator) progresses() call {
	id, p := g.id(), g.progress()
	if g.rng.IntN(2) == 0 {
		return call{fmt.Sprint("Progress", id), func(tx dispatch.Tx) string { p, err := tx.Progress(id); return answer(err, p) }}
	}
	return call{fmt.Sprint("PutProgress", id), func(tx dispatch.Tx) string { return answer(tx.PutProgress(id, p)) }}
}

// messageID uses each Message-ID once: when one that is taken is refused, is up to
// the store.
func (g *generator) messageID() call {
	id := g.id()
	if g.rng.IntN(2) == 0 && g.messageIDs > 0 {
		name := fmt.Sprint(g.rng.IntN(g.messageIDs))
		if g.rng.IntN(3) == 0 {
			return g.prefetch(name)
		}
		return call{"SendByMessageID " + name, func(tx dispatch.Tx) string {
			id, attempt, err := tx.SendByMessageID(name)
			return answer(err, id, attempt)
		}}
	}
	g.messageIDs++
	name := fmt.Sprint(g.messageIDs)
	return call{"PutMessageID " + name, func(tx dispatch.Tx) string { return answer(tx.PutMessageID(name, id, 1)) }}
}

// prefetch changes no answer, whatever it is told.
func (g *generator) prefetch(name string) call {
	names := []string{name, fmt.Sprint(g.rng.IntN(2 * g.messageIDs)), "none", "no \x00 text", name}[:1+g.rng.IntN(5)]
	sends := g.rng.IntN(2) == 0
	return call{fmt.Sprint("Prefetch ", names, sends), func(tx dispatch.Tx) string {
		p, ok := tx.(dispatch.Prefetcher)
		switch {
		case !ok:
			return answer(nil)
		case sends:
			return answer(p.PrefetchSends(names))
		}
		return answer(p.PrefetchMessageIDs(names))
	}}
}

func (g *generator) fact() call {
	id := g.id()
	if g.rng.IntN(3) == 0 {
		return call{fmt.Sprint("Facts", id), func(tx dispatch.Tx) string {
			facts, err := tx.Facts(id)
			slices.SortFunc(facts, func(a, b dispatch.Fact) int { return strings.Compare(a.Key, b.Key) })
			return answer(err, facts)
		}}
	}
	f := dispatch.Fact{Key: fmt.Sprint(g.rng.IntN(5)), Kind: dispatch.FactTry, At: g.time(), Try: g.rng.IntN(9)}
	if g.rng.IntN(3) == 0 {
		f.Kind = dispatch.FactOutcome
	}
	return call{fmt.Sprint("AddFact", id, f.Key), func(tx dispatch.Tx) string { added, err := tx.AddFact(id, f); return answer(err, added) }}
}

func (g *generator) tries() call {
	n := g.rng.IntN(30)
	return call{fmt.Sprint("NthLastTry ", n), func(tx dispatch.Tx) string { at, err := tx.NthLastTry(n); return answer(err, at) }}
}

func (g *generator) mail() call {
	m := dispatch.Mail{ID: dispatch.MailID{Folder: "INBOX", UIDValidity: 1, UID: uint32(g.rng.IntN(9))}, Found: g.time(), Disposition: dispatch.MailClaim}
	if g.rng.IntN(2) == 0 {
		m.Disposition = dispatch.MailMatched
	}
	switch g.rng.IntN(3) {
	case 0:
		return call{fmt.Sprint("Mail ", m.ID), func(tx dispatch.Tx) string { m, err := tx.Mail(m.ID); return answer(err, m) }}
	case 1:
		return call{fmt.Sprint("Mails ", m.ID), func(tx dispatch.Tx) string { list, err := tx.Mails(m.Disposition, m.ID, 3); return answer(err, list) }}
	}
	return call{fmt.Sprint("PutMail ", m.ID), func(tx dispatch.Tx) string { return answer(tx.PutMail(m)) }}
}

func (g *generator) audit() call {
	if g.rng.IntN(3) == 0 {
		after := g.rng.Int64N(g.seq + 1)
		return call{fmt.Sprint("Audit ", after), func(tx dispatch.Tx) string { list, err := tx.Audit(after, 5); return answer(err, list) }}
	}
	if g.rng.IntN(5) > 0 { // otherwise one that is there already, or would leave a gap
		g.seq++
	}
	e := dispatch.AuditEntry{Seq: g.seq, At: g.time(), Actor: "worker"}
	return call{fmt.Sprint("AddAudit ", e.Seq), func(tx dispatch.Tx) string {
		return answer(tx.AddAudit(e))
	}}
}
