package imapbox

import (
	"context"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// QUIRK: a server may say the UID of a message after its content. The library
// needs it before, to know that it is an answer, and drops what it does not know.
// To us the message is gone, and with it a receipt. So those that are not answered
// are searched for, and what is found still to be there is asked for by its number
// in the folder: that the server says first.

// stillThere returns which messages are in the folder.
func (s *session) stillThere(ctx context.Context, uids imap.UIDSet) (imap.UIDSet, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	o := s.begin(ctx)
	data, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{uids}}, nil).Wait()
	if err := o.end("looking for messages", err); err != nil {
		return nil, err
	}
	found, _ := data.All.(imap.UIDSet)
	return without(uids, without(uids, found)), nil // and no others, whatever the server says
}

// fetchByNumber is fetchOnce by the numbers that messages have in the folder.
// They hold from the listing to the end of the next command, since a server may
// renumber messages only in commands with UID. RFC 9051, section 7.5.1.
func (s *session) fetchByNumber(ctx context.Context, doing string, uids imap.UIDSet, options *imap.FetchOptions, read messageReader) (again imap.UIDSet, err error) {
	uids, err = s.stillThere(ctx, uids)
	if err != nil || len(uids) == 0 {
		return nil, err
	}
	numbers, err := s.numbersOf(ctx, uids)
	if err != nil {
		return nil, err
	}
	if len(numbers) != len(numbersIn(uids)) {
		return uids, nil // one was removed a moment ago
	}
	uidOf := make(map[uint32]imap.UID, len(numbers))
	var set imap.SeqSet
	for i, uid := range numbersIn(uids) {
		uidOf[numbers[i]] = uid
		set.AddNum(numbers[i])
	}
	got, again, err := s.run(ctx, doing, func() *imapclient.FetchCommand { return s.client.Fetch(set, options) },
		func(o *operation, m *imapclient.FetchMessageData) (imap.UID, bool, error) {
			uid, ok := uidOf[m.SeqNum]
			if !ok {
				return 0, false, errOther
			}
			return read(o, m, uid)
		})
	again.AddSet(without(uids, got)) // unless they are gone by then
	return again, err
}

// numbersOf returns the numbers of messages, in the order of their UIDs.
func (s *session) numbersOf(ctx context.Context, uids imap.UIDSet) ([]uint32, error) {
	o := s.begin(ctx)
	data, err := s.client.Search(&imap.SearchCriteria{UID: []imap.UIDSet{uids}}, nil).Wait()
	if err := o.end("looking for messages", err); err != nil {
		return nil, err
	}
	var numbers []uint32
	set, _ := data.All.(imap.SeqSet)
	for _, r := range set {
		for n := r.Start; n <= r.Stop && len(numbers) <= headsAtOnce; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// without returns the messages of a set that are not in another.
func without(set, other imap.UIDSet) (rest imap.UIDSet) {
	for _, uid := range numbersIn(set) {
		if !other.Contains(uid) {
			rest.AddNum(uid)
		}
	}
	return rest
}

// numbersIn returns the UIDs of a set that this package made: it is small.
func numbersIn(set imap.UIDSet) []imap.UID {
	uids, _ := set.Nums()
	return uids
}
