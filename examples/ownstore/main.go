// Command ownstore shows a store of one's own at work: package dispatch keeps its
// records in whatever keeps the contract of dispatch.Store.
//
//	go run ./examples/ownstore
//
// It writes a few records into a folder, opens it anew, as after a crash, and shows
// what is there: the records, and the journal that they were read from. The store is
// in store.go and blobs.go, some two hundred lines; store_test.go has package
// storetest check it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/pec"
)

func main() {
	dir := flag.String("dir", "", "the folder of the store; a temporary one if empty")
	flag.Parse()
	if err := run(context.Background(), *dir); err != nil {
		fmt.Fprintln(os.Stderr, "ownstore:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "ownstore-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	if err := write(ctx, dir); err != nil {
		return err
	}
	if err := show(ctx, dir); err != nil {
		return err
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		return err
	}
	fmt.Printf("\nIts journal:\n%s", journal)
	return nil
}

const account = "ufficio@pec.alfa.example"

// write stores a send and what became of it, as a dispatcher does: in transactions
// of which all is kept, or nothing.
func write(ctx context.Context, dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	attachment, size, err := s.PutBlob(ctx, strings.NewReader("an attachment that many share"))
	if err != nil {
		return err
	}
	send := dispatch.Send{ID: dispatch.SendID{Batch: "convocazione", Row: 1}, MessageID: "<1@pec.alfa.example>"}
	send.Content = []dispatch.Piece{{Bytes: []byte("Subject: Convocazione\r\n\r\n"), Size: 25}, {Blob: attachment, Size: size}}
	if send.Recipient, err = pec.ParseAddress("sindaco@pec.beta.example"); err != nil {
		return err
	}
	now := time.Now()
	err = s.Update(ctx, account, func(tx dispatch.Tx) error {
		if err := tx.PutAccount(dispatch.Account{Name: account}); err != nil {
			return err
		}
		return tx.AddSend(send, dispatch.Progress{State: dispatch.Prepared, Due: now})
	})
	if errors.Is(err, dispatch.ErrExists) {
		return nil // written when the program ran before
	}
	if err != nil {
		return err
	}
	return s.Update(ctx, account, func(tx dispatch.Tx) error {
		fact := dispatch.Fact{Key: "try/1/1", Kind: dispatch.FactTry, At: now, Attempt: 1, Try: 1}
		if _, err := tx.AddFact(send.ID, fact); err != nil {
			return err
		}
		return tx.PutProgress(send.ID, dispatch.Progress{State: dispatch.Unknown})
	})
}

// show opens the store anew and prints what it finds.
func show(ctx context.Context, dir string) error {
	s, err := Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	for account, err := range s.Accounts(ctx) {
		if err != nil {
			return err
		}
		fmt.Println("Account", account.Name)
		if err := s.View(ctx, account.Name, showSends); err != nil {
			return err
		}
	}
	return nil
}

func showSends(tx dispatch.Tx) error {
	sends, err := tx.Sends("convocazione", 0, 100)
	if err != nil {
		return err
	}
	for _, send := range sends {
		progress, err := tx.Progress(send.ID)
		if err != nil {
			return err
		}
		fmt.Printf("  row %d to %s: %s\n", send.ID.Row, send.Recipient, progress.State)
		facts, err := tx.Facts(send.ID)
		if err != nil {
			return err
		}
		for _, f := range facts {
			fmt.Printf("    %s %s\n", f.At.Format(time.DateTime), f.Kind)
		}
	}
	return nil
}
