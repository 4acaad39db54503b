package imapbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"net/textproto"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

const (
	// headsAtOnce is how many heads are asked for, and held, at a time.
	headsAtOnce = 250
	// maxHead is how much is read of the fields of one message.
	maxHead = 32 << 10
	// maxSearch is how much the server may say of which messages there are: a
	// folder of more than a million.
	maxSearch = 16 << 20
)

// headFields are the fields that are fetched: those that say what a message is,
// and who says so and when. The subject is not among them, as it proves nothing.
var headFields = []string{
	pec.HeaderReceipt, pec.HeaderTransport, pec.HeaderReference,
	"Message-ID", "Content-Type", "REM-MessageType", "From", "Date",
}

// Heads implements dispatch.MailboxSession. What it holds in memory does not grow
// with the folder, but for a few bytes for each gap between UIDs. The loop over
// it may use the session, as long as it selects no other folder.
func (s *session) Heads(ctx context.Context, after uint32) iter.Seq2[dispatch.MailHead, error] {
	return func(yield func(dispatch.MailHead, error) bool) {
		uids, err := s.search(ctx, after)
		if err != nil {
			yield(dispatch.MailHead{}, err)
			return
		}
		for some := range chunks(uids, after, headsAtOnce) {
			heads, err := s.someHeads(ctx, some)
			for _, h := range heads {
				if !yield(h.MailHead, h.err) {
					return
				}
			}
			if err != nil {
				yield(dispatch.MailHead{}, err)
				return
			}
		}
	}
}

// search returns the UIDs in the folder; at least all those greater than after.
func (s *session) search(ctx context.Context, after uint32) (imap.UIDSet, error) {
	if s.folder == "" {
		return nil, errNoFolder
	}
	if after == math.MaxUint32 {
		return nil, nil
	}
	s.hear() // what comes from here on is news
	var wanted imap.UIDSet
	wanted.AddRange(imap.UID(after)+1, 0) // 0 is *
	options := &imap.SearchOptions{ReturnAll: s.caps.Has(imap.CapESearch)}
	o := s.begin(ctx)
	s.conn.allow(maxSearch)
	s.conn.listing.Store(new(numbers))
	data, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{wanted}}, options).Wait()
	if err := o.end("listing messages", err); err != nil {
		return nil, err
	}
	uids, _ := data.All.(imap.UIDSet)
	return uids, nil
}

// chunks cuts the UIDs of a set that are greater than after into sets of at most
// n. Of "17:*" servers find the last message even if its UID is smaller.
func chunks(set imap.UIDSet, after uint32, n int) iter.Seq[imap.UIDSet] {
	return func(yield func(imap.UIDSet) bool) {
		var chunk imap.UIDSet
		size := 0
		for _, r := range set {
			for next := max(uint64(r.Start), uint64(after)+1); next <= uint64(r.Stop); {
				last := min(uint64(r.Stop), next+uint64(n-size)-1)
				chunk.AddRange(imap.UID(next), imap.UID(last))
				size += int(last - next + 1)
				next = last + 1
				if size == n {
					if !yield(chunk) {
						return
					}
					chunk, size = nil, 0
				}
			}
		}
		if size > 0 {
			yield(chunk)
		}
	}
}

// head is a head, or why it could not be read.
type head struct {
	dispatch.MailHead
	err error
}

// someHeads returns the heads of a set of messages. If the server refuses, it is
// for the sake of one of them: they are asked for one by one.
func (s *session) someHeads(ctx context.Context, uids imap.UIDSet) ([]head, error) {
	heads, err := s.fetchHeads(ctx, uids)
	var refused *ReplyError
	if !errors.As(err, &refused) || refused.Status != string(imap.StatusResponseTypeNo) {
		return heads, err
	}
	heads = nil
	readable := 0
	for one := range chunks(uids, 0, 1) {
		some, oneErr := s.fetchHeads(ctx, one)
		if oneErr != nil {
			if !errors.As(oneErr, &refused) {
				return heads, oneErr
			}
			some = []head{{dispatch.MailHead{UID: uint32(one[0].Start), Header: textproto.MIMEHeader{}}, oneErr}}
		} else {
			readable += len(some)
		}
		heads = append(heads, some...)
	}
	if readable == 0 && len(heads) > 1 {
		return nil, err // it is not about one message
	}
	return heads, nil
}

// fetchHeads asks for heads. Messages that are gone are left out.
func (s *session) fetchHeads(ctx context.Context, uids imap.UIDSet) ([]head, error) {
	var heads []head
	err := s.fetch(ctx, "reading heads", uids, &imap.FetchOptions{
		UID:          true,
		RFC822Size:   true,
		InternalDate: true,
		BodySection: []*imap.FetchItemBodySection{{
			Specifier: imap.PartSpecifierHeader, HeaderFields: headFields, Peek: true,
		}},
	}, func(o *operation, m *imapclient.FetchMessageData, uid imap.UID) (imap.UID, bool, error) {
		h, complete, err := readHead(o, m)
		if err == nil && uid != 0 && h.UID != uint32(uid) {
			err = errOther
		}
		if complete {
			heads = append(heads, head{MailHead: h})
		}
		return imap.UID(h.UID), complete, err
	})
	slices.SortFunc(heads, func(a, b head) int { return cmp.Compare(a.UID, b.UID) })
	return heads, err
}

// readHead reads what the server says of one message, and whether its head is
// among it.
func readHead(o *operation, m *imapclient.FetchMessageData) (h dispatch.MailHead, complete bool, err error) {
	for item := m.Next(); item != nil; item = m.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			h.UID = uint32(item.UID)
		case imapclient.FetchItemDataRFC822Size:
			h.Size = item.Size
		case imapclient.FetchItemDataInternalDate:
			h.Arrived = item.Time
		case imapclient.FetchItemDataBodySection:
			complete = true
			h.Header = textproto.MIMEHeader{}
			if item.Literal == nil {
				continue
			}
			if h.Header, err = readFields(o, item.Literal); err != nil {
				return h, false, err
			}
		}
	}
	return h, complete, nil
}

// readFields reads header fields. It fails only if they do not come whole: people
// send, and servers keep, heads that are no heads, and they must not keep others
// from being read.
func readFields(o *operation, r imap.LiteralReader) (textproto.MIMEHeader, error) {
	defer o.resume()
	l := newLiteral(o, r)
	raw, err := io.ReadAll(io.LimitReader(l, maxHead))
	if err == nil {
		err = l.drain()
	}
	return parseFields(raw), err
}

// parseFields returns the fields of a head, as far as there are any. A line that
// is no field is passed over.
func parseFields(raw []byte) textproto.MIMEHeader {
	header := make(textproto.MIMEHeader)
	var last []string // the values of the field that a folded line goes on with
	for line := range bytes.Lines(raw) {
		text := string(bytes.Trim(line, " \t\r\n"))
		if line[0] == ' ' || line[0] == '\t' {
			if len(last) > 0 && text != "" {
				last[len(last)-1] = join(last[len(last)-1], text)
			}
			continue
		}
		last = nil
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			key := textproto.CanonicalMIMEHeaderKey(string(bytes.TrimRight(name, " \t")))
			header[key] = append(header[key], string(bytes.Trim(value, " \t\r\n")))
			last = header[key]
		}
	}
	return header
}

func join(value, more string) string {
	if value == "" {
		return more
	}
	return value + " " + more
}
