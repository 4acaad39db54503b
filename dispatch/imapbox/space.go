package imapbox

import (
	"context"
	"math"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// quotaUnit is what STORAGE is counted in. RFC 9208, section 5.1.
const quotaUnit = 1024

// Space implements dispatch.MailboxSession, for servers with QUOTA. Of several
// quotas that a folder falls under, the one that is exhausted first counts.
func (s *session) Space(ctx context.Context) (used, limit int64, ok bool, err error) {
	if !s.caps.Has(imap.CapQuota) {
		return 0, 0, false, nil
	}
	folder := s.folder
	if folder == "" {
		folder = "INBOX"
	}
	o := s.begin(ctx)
	quotas, err := s.client.GetQuotaRoot(folder).Wait()
	if err := o.end("asking for the quota", err); err != nil {
		return 0, 0, false, err
	}
	used, limit, ok = tightest(quotas)
	return used, limit, ok, nil
}

func tightest(quotas []imapclient.QuotaData) (used, limit int64, ok bool) {
	for _, q := range quotas {
		storage, told := q.Resources[imap.QuotaResourceStorage]
		if !told || storage.Limit <= 0 || max(storage.Usage, storage.Limit) > math.MaxInt64/quotaUnit {
			continue
		}
		u, l := storage.Usage*quotaUnit, storage.Limit*quotaUnit
		if !ok || l-u < limit-used {
			used, limit, ok = u, l, true
		}
	}
	return used, limit, ok
}
