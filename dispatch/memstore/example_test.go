package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
)

// A transaction is kept as a whole or not at all, and a Message-ID names one send
// for ever. The zero value is an empty store.
func Example() {
	var store memstore.Store
	ctx := context.Background()
	const account = "ufficio@pec.alfa.example"
	add := func(row int64, messageID string) error {
		return store.Update(ctx, account, func(tx dispatch.Tx) error {
			id := dispatch.SendID{Batch: "sollecito", Row: row}
			if err := tx.AddSend(dispatch.Send{ID: id}, dispatch.Progress{State: dispatch.Prepared}); err != nil {
				return err
			}
			return tx.PutMessageID(messageID, id, 1)
		})
	}
	fmt.Println(add(1, "17@pec.alfa.example"))
	err := add(2, "17@pec.alfa.example")
	fmt.Println(errors.Is(err, dispatch.ErrExists))

	err = store.View(ctx, account, func(tx dispatch.Tx) error {
		sends, err := tx.Sends("sollecito", 0, 10)
		fmt.Println(len(sends), "send") // the second went with its Message-ID
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil>
	// true
	// 1 send
}

// A large value, such as an attachment that all messages of a batch share, is kept
// once, under its digest.
func ExampleStore_PutBlob() {
	var store memstore.Store
	ctx := context.Background()
	digest, size, err := store.PutBlob(ctx, strings.NewReader("%PDF-1.7 ..."))
	if err != nil {
		log.Fatal(err)
	}
	again, _, err := store.PutBlob(ctx, strings.NewReader("%PDF-1.7 ..."))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(size, digest == again)

	blob, err := store.OpenBlob(ctx, digest)
	if err != nil {
		log.Fatal(err)
	}
	defer blob.Close()
	start := make([]byte, 8)
	if _, err := blob.ReadAt(start, 0); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", start)
	// Output:
	// 12 true
	// %PDF-1.7
}
