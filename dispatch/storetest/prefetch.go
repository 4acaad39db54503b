package storetest

import (
	"bytes"
	"fmt"

	"github.com/ceralacca/go-pec/dispatch"
)

// checkPrefetch: a transaction that is a [dispatch.Prefetcher] answers as one that is
// none, whatever it was told, and when.
func checkPrefetch(s *subject) {
	large := sampleSend("b", 2)
	large.Content[0].Bytes = bytes.Repeat([]byte("x"), 200_000)
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprint(i, "@pec.alfa.example")
	}
	const one, two, noSend, none = "1@pec.alfa.example", "2@pec.alfa.example", "0@pec.alfa.example", "<é&\u2028>@pec.alfa.example"
	is := []step{
		hasMessageID(one, id(1), 1), hasMessageID(two, id(2), 2), hasMessageID(noSend, id(9), 1), hasNoMessageID(none),
		hasSend(sampleSend("b", 1)), hasSend(large), hasNoSend(id(9)),
		hasNoMessageID("a\x00b"), hasNoMessageID("\xff"), hasNoMessageID(""),
	}
	told := append([]step{prefetch(true, one, two, two, one, noSend, none, "a\x00b", "\xff", "")}, is...)

	s.update(addSend(sampleSend("b", 1), due(noon)), putMessageID(one, id(1), 1), prefetch(true, one, two), hasNoMessageID(two),
		addSend(large, due(noon)), putMessageID(two, id(2), 2), hasMessageID(two, id(2), 2),
		prefetch(false, noSend, noSend), putMessageID(noSend, id(9), 1), hasSends("b", 0, 1, 1), hasMessageID(noSend, id(9), 1), inOrder(told))
	s.holds(told...)
	s.holds(append([]step{prefetch(false, one, none)}, told...)...)
	s.holds(append([]step{prefetch(true, many...)}, is...)...)
	s.holds(append(told, scribbleSend(id(1)), inOrder(is))...)
	s.holdsOf("altro@pec.alfa.example", prefetch(true, one, two), hasNoMessageID(one), hasNoSend(id(1)))
	s.refuses(dispatch.ErrExists, prefetch(true, one, two), putMessageID(one, id(2), 1))
}

// prefetch tells a transaction what it will be asked for, if it takes that.
func prefetch(sends bool, messageIDs ...string) step {
	return func(tx dispatch.Tx) error {
		p, ok := tx.(dispatch.Prefetcher)
		switch {
		case !ok:
			return nil
		case sends:
			return wrong(p.PrefetchSends(messageIDs), "PrefetchSends")
		}
		return wrong(p.PrefetchMessageIDs(messageIDs), "PrefetchMessageIDs")
	}
}

// scribbleSend writes over a send that the store returned, as its caller may.
func scribbleSend(id dispatch.SendID) step {
	return func(tx dispatch.Tx) error {
		s, err := tx.Send(id)
		scribble(&s)
		return wrong(err, "Send(%v)", id)
	}
}
