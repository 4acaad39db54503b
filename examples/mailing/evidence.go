package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/receipt"
)

// Whose evidence is written into files. The store holds that of all.
const (
	evidenceAll      = "all"
	evidenceProblems = "problems"
	evidenceNone     = "none"
)

// manyMessages is from how many messages on the evidence of what was delivered
// stays in the store, unless it is asked for: it is gigabytes, in hundreds of
// thousands of files.
const manyMessages = 5000

func (m *mailing) evidenceMode() string {
	switch {
	case m.evidence != "":
		return m.evidence
	case m.batch.Total >= manyMessages:
		return evidenceProblems
	}
	return evidenceAll
}

func (m *mailing) wantsEvidence(s dispatch.SendStatus) bool {
	if s.Status.Try == 0 && len(s.Facts) == 1 {
		return false // it never left
	}
	switch m.evidenceMode() {
	case evidenceAll:
		return true
	case evidenceProblems:
		return s.Status.State != dispatch.Delivered || len(s.Status.Flags) > 0
	}
	return false
}

// evidence is one file of what proves where a send stands.
type evidence struct {
	kind, words string // for file names, and for people
	digest      dispatch.Digest
	write       func(io.Writer) error
}

// evidenceOrder are the kinds in the order of a send's life; others come last.
var evidenceOrder = []string{"message", "acceptance", "non-acceptance", "timeout12h", "delivery", "failure", "timeout24h"}

// evidenceOf returns the message as it was sent, and each receipt as it was
// received.
func (m *mailing) evidenceOf(ctx context.Context, s dispatch.SendStatus) []evidence {
	var list []evidence
	for _, fact := range s.Facts {
		switch {
		case fact.Kind == dispatch.FactAttempt && fact.Attempt == s.Status.Attempt:
			list = append(list, evidence{"message", "message", fact.Content, func(w io.Writer) error {
				return m.dispatcher.WriteMessage(ctx, m.world.account.Address, s.Send.ID, w)
			}})
		case !fact.Raw.IsZero():
			kind, words := kindOf(fact)
			list = append(list, evidence{kind, words, fact.Raw, func(w io.Writer) error {
				return m.dispatcher.WriteMail(ctx, fact.Raw, w)
			}})
		}
	}
	rank := func(e evidence) uint { return uint(slices.Index(evidenceOrder, e.kind)) } // -1 is the largest
	slices.SortStableFunc(list, func(a, b evidence) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// kindOf says what a fact that was read from a message is.
func kindOf(f dispatch.Fact) (kind, words string) {
	switch {
	case f.Notice == nil && f.Kind == dispatch.FactClaim:
		return string(f.Kind), "claim, not verified"
	case f.Notice == nil:
		return string(f.Kind), string(f.Kind)
	case f.Notice.Timeout == receipt.Timeout12h:
		return "timeout12h", "notice of hour 12"
	case f.Notice.Timeout == receipt.Timeout24h:
		return "timeout24h", "notice of hour 24"
	}
	return string(f.Notice.Kind), string(f.Notice.Kind)
}

// writeEvidence writes the evidence of a send, and its timeline, into a folder of
// its own. It adds the digests to SHA256SUMS.
func (m *mailing) writeEvidence(ctx context.Context, sums *bufio.Writer, s dispatch.SendStatus) (files []reportFile, err error) {
	dir := fmt.Sprintf("%s/%07d", m.folder("evidence"), s.Send.ID.Row)
	onDisk := func(name string) string { return filepath.Join(m.report, filepath.FromSlash(name)) }
	if err := os.MkdirAll(onDisk(dir), 0o755); err != nil {
		return nil, err
	}
	for _, e := range m.evidenceOf(ctx, s) {
		// Named for what it is and holds, a file never changes.
		name := fmt.Sprintf("%s/%s-%.8s.eml", dir, e.kind, e.digest)
		if _, err := os.Stat(onDisk(name)); err != nil {
			if err := writeFile(onDisk(name), e.write); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(sums, "%s  %s\n", e.digest, name)
		files = append(files, reportFile{e.words, name})
	}
	name := dir + "/timeline.json"
	return append(files, reportFile{"timeline", name}), writeFile(onDisk(name), func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"send": s.Send.ID, "recipient": s.Send.Recipient, "state": s.Status.State, "digest": s.Send.Digest, "facts": s.Facts})
	})
}

// writeFile writes a file in one step: under its name it is whole or not there.
func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.Create(name + ".tmp")
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
