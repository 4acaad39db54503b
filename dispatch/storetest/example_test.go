package storetest_test

import (
	"context"
	"fmt"

	"github.com/ceralacca/go-pec/dispatch"
	"github.com/ceralacca/go-pec/dispatch/memstore"
	"github.com/ceralacca/go-pec/dispatch/storetest"
)

// A store answers with an error although it kept everything, as a database does
// when the line breaks after its commit. A program that adds the same fact again,
// by the same key, does no harm; one that counts would have counted twice.
func ExampleFaulty() {
	faults := []storetest.Fault{storetest.NoFault, storetest.Kept, storetest.NoFault} // of one Update after another
	store := &storetest.Faulty{Store: new(memstore.Store), Fault: func(string) storetest.Fault {
		next := faults[0]
		faults = faults[1:]
		return next
	}}
	ctx := context.Background()
	id := dispatch.SendID{Batch: "sollecito", Row: 1}
	update := func(f func(tx dispatch.Tx) error) error {
		return store.Update(ctx, "ufficio@pec.alfa.example", f)
	}
	err := update(func(tx dispatch.Tx) error {
		return tx.AddSend(dispatch.Send{ID: id}, dispatch.Progress{State: dispatch.Prepared})
	})
	fmt.Println(err)
	for range 2 {
		var added bool
		err := update(func(tx dispatch.Tx) (err error) {
			added, err = tx.AddFact(id, dispatch.Fact{Key: "try-1", Kind: dispatch.FactTry})
			return err
		})
		fmt.Println(added, err)
	}
	// Output:
	// <nil>
	// true storetest: the store fails, as it was told to
	// false <nil>
}
