package sqlstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ceralacca/go-pec/dispatch"
)

func TestSQLiteGroup(t *testing.T) {
	checkGroup(t, openSQLite(t, filepath.Join(t.TempDir(), "sends.db")))
}

func TestPostgreSQLGroup(t *testing.T) { checkGroup(t, openPostgres(t, t.TempDir())) }

// checkGroup has many small blobs put at once, some of them twice, by callers of whom
// every third gives up. Nobody else must notice.
func checkGroup(t *testing.T, s dispatch.Store) {
	t.Helper()
	const rounds, callers = 5, 90
	for round := range rounds {
		var putting sync.WaitGroup
		for n := range callers {
			content := bytes.Repeat(fmt.Appendf(nil, "blob %d of round %d\n", n/2, round), 500)
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			impatient := n%3 == 0
			end := func() {} // of what is read
			if impatient {
				end = giveUp
			}
			putting.Go(func() {
				digest, size, err := s.PutBlob(ctx, io.MultiReader(bytes.NewReader(content), atEnd(end)))
				switch {
				case err == nil:
					checkBlob(t, s, digest, content)
				case !impatient:
					t.Errorf("blob %d: %d bytes, %v", n, size, err)
				}
			})
		}
		putting.Wait()
	}
}

func checkBlob(t *testing.T, s dispatch.Store, digest dispatch.Digest, want []byte) {
	t.Helper()
	blob, err := s.OpenBlob(t.Context(), digest)
	if err != nil {
		t.Errorf("a blob that was put: %v", err)
		return
	}
	defer blob.Close()
	got, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("a blob that was put: %d bytes, %v; want %d others", len(got), err, len(want))
	}
}

// atEnd is the end of a reader, at which something is done.
type atEnd func()

func (f atEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
